-- Appends one transaction to a book whose head is locked: its transfers, its balances, its head.
-- Returns the seq of the first transfer. Everything but grants is posted through here.
-- A balance that would fall below its floor violates the table's CHECK: callers decide before they write.

CREATE OR REPLACE FUNCTION ledger.write_transfers_v1(
    p_head          ledger.head,
    p_occurred_at   timestamptz,
    p_customer      bigint,       -- NULL: none
    p_campaign_no   integer,      -- NULL: none
    p_due_at        timestamptz,  -- NULL: none
    p_details_hash  bytea,        -- NULL: none
    p_transaction   bigint,       -- NULL: a transaction of its own, named after its first transfer
    p_verbs         smallint[],
    p_debits        bytea[],
    p_credits       bytea[],
    p_amounts       bigint[],
    p_event_key     bytea DEFAULT NULL,
    p_due_on        date DEFAULT NULL  -- the business date on which it fell due; an expiry always has its lot's last day
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_first   bigint;
    v_ids     bytea[];
    v_debits  bigint[];
    v_credits bigint[];
BEGIN
    UPDATE ledger.head
    SET seq = head.seq + cardinality(p_amounts), posted_at = p_head.posted_at
    WHERE head.book_id = p_head.book_id
    RETURNING head.seq - cardinality(p_amounts) + 1 INTO v_first;

    INSERT INTO ledger.transfer (
        book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, due_at, campaign_no, verb, debit, credit,
        event_key, details_hash, due_on
    )
    SELECT
        p_head.book_id, v_first + leg.ix - 1, p_head.posted_at, p_occurred_at, leg.amount, p_customer,
        nullif(coalesce(p_transaction, v_first), v_first + leg.ix - 1), p_due_at,
        p_campaign_no, leg.verb, leg.debit, leg.credit,
        p_event_key, p_details_hash,
        CASE leg.verb WHEN ledger.verb_v1('expire') THEN ledger.account_expires_on_v1(leg.debit) ELSE p_due_on END
    FROM unnest(p_verbs, p_debits, p_credits, p_amounts) WITH ORDINALITY AS leg (verb, debit, credit, amount, ix);

    SELECT array_agg(movement.id), array_agg(movement.debits), array_agg(movement.credits)
    INTO v_ids, v_debits, v_credits
    FROM (
        SELECT side.id, sum(side.debits)::bigint AS debits, sum(side.credits)::bigint AS credits
        FROM (
            SELECT leg.debit AS id, leg.amount AS debits, 0 AS credits FROM unnest(p_debits, p_amounts) AS leg (debit, amount)
            UNION ALL
            SELECT leg.credit, 0, leg.amount FROM unnest(p_credits, p_amounts) AS leg (credit, amount)
        ) AS side
        GROUP BY side.id
    ) AS movement;

    -- Of the book only these accounts are read, whatever the planner knew of the table when the session began.
    UPDATE ledger.account
    SET debits = account.debits + movement.debits, credits = account.credits + movement.credits
    FROM unnest(v_ids, v_debits, v_credits) AS movement (id, debits, credits)
    WHERE account.book_id = p_head.book_id AND account.id = ANY (v_ids) AND account.id = movement.id;

    INSERT INTO ledger.account (book_id, id, kind, expires_on, debits, credits)
    SELECT
        p_head.book_id, movement.id, ledger.account_kind_v1(movement.id), ledger.account_expires_on_v1(movement.id),
        movement.debits, movement.credits
    FROM unnest(v_ids, v_debits, v_credits) AS movement (id, debits, credits)
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM ledger.account WHERE account.book_id = p_head.book_id AND account.id = movement.id LIMIT 1
    ) AS known ON true
    WHERE known.is_there IS NULL;

    IF p_customer IS NOT NULL THEN
        PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_customer);
    END IF;
    RETURN v_first;
END
$function$;
