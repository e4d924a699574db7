-- What a book's accounts of a range of ids, p_after < id <= p_until, had been debited and credited at a cut: the accounts now, less
-- what was posted on them since, read at one instant. Accounts that were not used up to the cut are left out.
-- Returns a row for each account, by id. Locks nothing.
--
-- A transfer on a customer's account has their number, and one on a redemption's that of the customer it belonged to then: so the
-- log is read by customer. Accounts of the house and of campaigns are moved by transfers of anybody: of these all of the log
-- after p_since is read, and the caller says what p_cut < seq <= p_since moved (see log_lines_v1; other lines are ignored).

CREATE OR REPLACE FUNCTION ledger.account_sums_v1(
    p_book_id   integer,
    p_cut       bigint,
    p_after     bytea,
    p_until     bytea,
    p_since     bigint,
    p_lines     bytea[],
    p_debits    bigint[],
    p_credits   bigint[]
) RETURNS TABLE (id bytea, debits bigint, credits bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
-- So that what has moved is matched with the accounts by hash, however little the planner expects; look-ups have no other way.
SET enable_nestloop = off
AS $function$
#variable_conflict use_column
DECLARE
    v_customers  bigint[];
    v_shared     boolean;
BEGIN
    IF p_cut >= (SELECT head.seq FROM ledger.head WHERE head.book_id = p_book_id) THEN
        RETURN QUERY
        SELECT account.id, account.debits::bigint, account.credits::bigint
        FROM ledger.account
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until
            AND (account.debits > 0 OR account.credits > 0)
        ORDER BY account.id;
        RETURN;
    END IF;

    v_shared := EXISTS (
        SELECT FROM ledger.account
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until AND account.id < '\x01'::bytea
    ) OR EXISTS (
        SELECT FROM ledger.account
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until
            AND account.id >= '\x02'::bytea AND account.id < '\x03'::bytea
    );
    v_customers := ARRAY(
        SELECT ledger.account_number_v1(account.id)
        FROM ledger.account
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until
            AND account.id >= '\x01'::bytea AND account.id < '\x02'::bytea
        UNION
        SELECT whose.customer
        FROM ledger.account
        CROSS JOIN LATERAL (
            SELECT redemption.customer
            FROM ledger.redemption
            WHERE redemption.book_id = p_book_id
                AND redemption.id BETWEEN ledger.account_number_v1(account.id) AND ledger.account_number_v1(account.id)
            ORDER BY redemption.id  -- see redeem_v2
            OFFSET 0
        ) AS owner
        -- Redemptions go along when their customer is merged into another, and when they are split off again.
        CROSS JOIN LATERAL (
            SELECT owner.customer
            UNION ALL
            SELECT unnest(ARRAY[begun.customer, spell.survivor])
            FROM (
                SELECT transfer.customer
                FROM ledger.transfer
                WHERE transfer.book_id = p_book_id AND transfer.seq = ledger.account_number_v1(account.id)
                OFFSET 0
            ) AS begun
            LEFT JOIN LATERAL (
                SELECT spell.survivor FROM ledger.spell
                WHERE spell.book_id = p_book_id AND spell.customer = begun.customer
                OFFSET 0
            ) AS spell ON true
            UNION ALL
            SELECT merged.customer FROM ledger.merged_into_v1(p_book_id, owner.customer) AS merged
        ) AS whose
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until AND account.id >= '\x03'::bytea
    );

    RETURN QUERY
    WITH since AS (
        SELECT moved.id, sum(moved.debits)::bigint AS debits, sum(moved.credits)::bigint AS credits
        FROM (
            SELECT side.id, side.debits, side.credits
            FROM unnest(v_customers) AS owner (customer)
            CROSS JOIN LATERAL (
                SELECT transfer.debit, transfer.credit, transfer.amount
                FROM ledger.transfer
                WHERE transfer.book_id = p_book_id AND transfer.customer = owner.customer AND transfer.seq > p_cut
                OFFSET 0
            ) AS posted
            CROSS JOIN LATERAL (
                VALUES (posted.debit, posted.amount, 0::bigint), (posted.credit, 0, posted.amount)
            ) AS side (id, debits, credits)
            WHERE get_byte(side.id, 0) IN (1, 3)
            UNION ALL
            SELECT side.id, side.debits, side.credits
            FROM ledger.transfer AS posted
            CROSS JOIN LATERAL (
                VALUES (posted.debit, posted.amount, 0::bigint), (posted.credit, 0, posted.amount)
            ) AS side (id, debits, credits)
            WHERE v_shared AND posted.book_id = p_book_id AND posted.seq > p_since AND get_byte(side.id, 0) IN (0, 2)
            UNION ALL
            SELECT before.line, before.debits, before.credits
            FROM unnest(p_lines, p_debits, p_credits) AS before (line, debits, credits)
            WHERE get_byte(before.line, 0) IN (0, 2)
        ) AS moved
        WHERE moved.id > p_after AND moved.id <= p_until
        GROUP BY moved.id
    )
    SELECT account.id, account.debits - coalesce(since.debits, 0), account.credits - coalesce(since.credits, 0)
    FROM ledger.account
    LEFT JOIN since ON since.id = account.id
    WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until
        AND (account.debits > coalesce(since.debits, 0) OR account.credits > coalesce(since.credits, 0))
    ORDER BY account.id;
END
$function$;
