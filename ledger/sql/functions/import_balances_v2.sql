-- Opens lots that a brand brings along from elsewhere: opening to lot, all rows of a file in one transaction, a file once.
-- Returns one row: whether it was posted now, and where, how many lots and how many points; or, in `already`, the places of
-- the rows whose customer, or who is one with them (p_former_places, p_formers), has a lot of the same class and last day from
-- an opening before: then nothing is posted, unless p_again says that this is meant. The file is known by any of p_hashes and
-- is recorded under the first. Not for the application: an operator imports. Locks the book's head until all is posted.
-- Raises invalid_parameter_value, and posts nothing, unless count and sum are what the operator says, for a last day that is
-- past, and for a customer who was moved or erased.

CREATE OR REPLACE FUNCTION ledger.import_balances_v2(
    p_brand_id       integer,
    p_book_id        integer,
    p_now            timestamptz,
    p_hashes         bytea[],
    p_again          boolean,
    p_count          integer,
    p_sum            bigint,
    p_customers      bigint[],
    p_points         bigint[],
    p_classes        smallint[],
    p_last_days      date[],
    p_former_places  integer[],
    p_formers        bigint[]
) RETURNS TABLE (posted boolean, first_seq bigint, lots integer, points bigint, already integer[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_house     CONSTANT bytea := ledger.house_owner_v1();
    v_debits    bytea[];
    v_credits   bytea[];
    v_sum       bigint;
    v_already   integer[];
BEGIN
    RETURN QUERY
        SELECT false, known.first_seq, known.lots, known.points, '{}'::integer[]
        FROM ledger.balance_import AS known WHERE known.book_id = p_book_id AND known.file_hash = ANY (p_hashes)
        LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    SELECT coalesce(sum(points), 0)::bigint INTO v_sum FROM unnest(p_points) AS points;
    IF cardinality(p_points) <> p_count OR v_sum <> p_sum OR p_count = 0 THEN
        RAISE EXCEPTION 'there are % rows and % points, not % and %', cardinality(p_points), v_sum, p_count, p_sum
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(p_last_days) AS last_day
        WHERE last_day < (v_head.posted_at AT TIME ZONE v_head.time_zone)::date
    ) THEN
        RAISE EXCEPTION 'a last day is past' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (
        SELECT FROM ledger.customer_state AS state
        WHERE state.book_id = p_book_id AND state.customer = ANY (p_customers)
            AND (state.frozen OR state.erased OR state.moved_to IS NOT NULL)
    ) THEN
        RAISE EXCEPTION 'a customer was moved or erased' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF NOT p_again THEN
        -- Nearly nobody has such a lot yet: transfers are read only of customers whose lot is there.
        SELECT array_agg(DISTINCT there.ix ORDER BY there.ix) INTO v_already
        FROM (
            SELECT opened.ix::integer, opened.customer, opened.class, opened.last_day
            FROM unnest(p_customers, p_classes, p_last_days) WITH ORDINALITY AS opened (customer, class, last_day, ix)
            UNION ALL
            SELECT former.place, former.customer, p_classes[former.place], p_last_days[former.place]
            FROM unnest(p_former_places, p_formers) AS former (place, customer)
        ) AS there
        CROSS JOIN LATERAL (
            SELECT account.id
            FROM ledger.account
            WHERE account.book_id = p_book_id
                AND account.id = ledger.account_id_v2(
                    ledger.customer_owner_v1(there.customer), 'lot', there.class, there.last_day
                )
            OFFSET 0
        ) AS lot
        WHERE EXISTS (
            SELECT FROM ledger.transfer AS opening
            WHERE opening.book_id = p_book_id AND opening.customer = there.customer AND opening.verb = ledger.verb_v1('open')
                AND opening.credit = lot.id
        );
        IF v_already IS NOT NULL THEN
            RETURN QUERY SELECT false, NULL::bigint, 0, 0::bigint, v_already;
            RETURN;
        END IF;
    END IF;

    SELECT
        array_agg(ledger.account_id_v2(v_house, 'opening', opened.class, 'infinity') ORDER BY opened.ix),
        array_agg(ledger.account_id_v2(ledger.customer_owner_v1(opened.customer), 'lot', opened.class, opened.last_day)
            ORDER BY opened.ix)
    INTO v_debits, v_credits
    FROM unnest(p_customers, p_classes, p_last_days) WITH ORDINALITY AS opened (customer, class, last_day, ix);

    UPDATE ledger.head SET seq = head.seq + p_count, posted_at = v_head.posted_at WHERE head.book_id = p_book_id;

    INSERT INTO ledger.transfer (
        book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, verb, debit, credit
    )
    SELECT
        p_book_id, v_head.seq + opened.ix, v_head.posted_at, v_head.posted_at, opened.amount, opened.customer,
        CASE WHEN opened.ix > 1 THEN v_head.seq + 1 END, 14, opened.debit, opened.credit
    FROM unnest(p_customers, p_points, v_debits, v_credits) WITH ORDINALITY AS opened (customer, amount, debit, credit, ix);

    INSERT INTO ledger.account AS account (book_id, id, kind, expires_on, debits, credits)
    SELECT
        p_book_id, side.id, ledger.account_kind_v1(side.id), ledger.account_expires_on_v1(side.id),
        sum(side.debits)::bigint, sum(side.credits)::bigint
    FROM (
        SELECT opened.debit AS id, opened.amount AS debits, 0 AS credits FROM unnest(v_debits, p_points) AS opened (debit, amount)
        UNION ALL
        SELECT opened.credit, 0, opened.amount FROM unnest(v_credits, p_points) AS opened (credit, amount)
    ) AS side
    GROUP BY side.id
    ON CONFLICT (book_id, id)
        DO UPDATE SET debits = account.debits + excluded.debits, credits = account.credits + excluded.credits;

    PERFORM ledger.refresh_customer_state_v1(p_book_id, customer.number)
    FROM (SELECT DISTINCT number FROM unnest(p_customers) AS number) AS customer;

    INSERT INTO ledger.balance_import (book_id, file_hash, first_seq, lots, points, posted_at)
    VALUES (p_book_id, p_hashes[1], v_head.seq + 1, p_count, v_sum, v_head.posted_at);
    RETURN QUERY SELECT true, v_head.seq + 1, p_count, v_sum, '{}'::integer[];
END
$function$;
