-- Redemptions as they stand at p_clock: sums from their accounts, history from the log. One JSON object each, with its place in
-- p_ids; none for an id that there is not.
-- Locks nothing. A hold that has timed out is shown as expired, whether or not its release has been posted.

CREATE OR REPLACE FUNCTION ledger.redemptions_v1(
    p_book_id      integer,
    p_ids          bigint[],  -- elements may be NULL
    p_clock        timestamptz,
    p_time_zone    text,
    p_grace_days   integer,
    p_balances     bigint[],  -- what each one's customer can spend, where that is known; NULL: it is looked up
    p_seqs         bigint[]   -- and as of which seq
) RETURNS TABLE (place integer, answer jsonb)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $function$
#variable_conflict use_column
DECLARE
    c_kind_held       CONSTANT smallint := 3;
    c_kind_spent      CONSTANT smallint := 4;
    c_verb_authorize  CONSTANT smallint := 6;
    c_verb_capture    CONSTANT smallint := 7;
    c_verb_void       CONSTANT smallint := 8;
    c_verb_refund     CONSTANT smallint := 9;
    c_verb_time_out   CONSTANT smallint := 16;
BEGIN
    RETURN QUERY
    SELECT
        wanted.place,
        jsonb_build_object(
            'redemption', redemption.id,
            'customer', redemption.customer,
            'status', ledger.redemption_status_v1(
                redemption.closed_at, redemption.deadline, p_clock, sums.captured, sums.refunded),
            'order_ref', redemption.order_ref,
            'store_id', redemption.store_id,
            'terminal_id', redemption.terminal_id,
            'value', redemption.value,
            'authorized', sums.authorized,
            'captured', sums.captured,
            'released', CASE WHEN state.closed THEN sums.authorized - sums.captured ELSE 0 END,
            'refunded', sums.refunded,
            'expires_at', ledger.rfc3339_v1(redemption.deadline),
            'balance', coalesce(wanted.balance, (
                SELECT spendable.points
                FROM ledger.spendable_v1(
                    p_book_id, redemption.customer, p_clock, (p_clock AT TIME ZONE p_time_zone)::date, p_time_zone, p_grace_days,
                    true
                ) AS spendable
            )),
            'balance_seq', wanted.seq,
            'operations', coalesce(history.operations, '[]'::jsonb),
            'lots', coalesce(sums.lots, '[]'::jsonb)
        )
    FROM (
        SELECT
            unnest(p_ids) AS id, unnest(p_balances) AS balance, unnest(p_seqs) AS seq,
            generate_series(1, cardinality(p_ids)) AS place
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT redemption.*
        FROM ledger.redemption
        WHERE redemption.book_id = p_book_id AND redemption.id BETWEEN wanted.id AND wanted.id  -- see redeem_v2
        ORDER BY redemption.id
        LIMIT 1
    ) AS redemption
    CROSS JOIN LATERAL (
        SELECT redemption.closed_at IS NOT NULL OR redemption.deadline <= p_clock AS closed
    ) AS state
    CROSS JOIN LATERAL (
        SELECT
            sum(lot.authorized)::bigint AS authorized, sum(lot.captured)::bigint AS captured,
            sum(lot.refunded)::bigint AS refunded,
            jsonb_agg(jsonb_build_object(
                'account_class', lot.account_class, 'expires_on', nullif(lot.expires_on, 'infinity'),
                'held', CASE WHEN state.closed THEN 0 ELSE lot.held END,
                'captured', lot.captured, 'refunded', lot.refunded
            ) ORDER BY lot.expires_on, lot.account_class) AS lots
        FROM (
            SELECT
                account.expires_on, ledger.account_class_v1(account.id) AS account_class,
                coalesce(sum(account.credits) FILTER (WHERE account.kind = c_kind_held), 0) AS authorized,
                coalesce(sum(account.credits - account.debits) FILTER (WHERE account.kind = c_kind_held), 0) AS held,
                coalesce(sum(account.credits) FILTER (WHERE account.kind = c_kind_spent), 0) AS captured,
                coalesce(sum(account.debits) FILTER (WHERE account.kind = c_kind_spent), 0) AS refunded
            FROM ledger.account
            WHERE account.book_id = p_book_id
                AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(redemption.id), 'held')
                AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(redemption.id), 'budget')
            GROUP BY account.expires_on, account_class
        ) AS lot
    ) AS sums
    CROSS JOIN LATERAL (
        -- A null for each operation that says nothing would cost a hundredth of a redemption.
        SELECT jsonb_agg(CASE
            WHEN operation.occurred_at = operation.posted_at THEN jsonb_build_object(
                'verb', operation.verb, 'points', operation.points,
                'posted_at', ledger.rfc3339_v1(operation.posted_at), 'seq', operation.seq,
                'ref', step.ref, 'store_id', step.store_id, 'terminal_id', step.terminal_id)
            ELSE jsonb_build_object(
                'verb', operation.verb, 'points', operation.points,
                'posted_at', operation.posted_at, 'seq', operation.seq, 'occurred_at', operation.occurred_at,
                'ref', step.ref, 'store_id', step.store_id, 'terminal_id', step.terminal_id)
        END ORDER BY operation.seq) AS operations
        FROM (
            SELECT
                CASE transfer.verb
                    WHEN c_verb_authorize THEN 'authorize'
                    WHEN c_verb_capture THEN 'capture'
                    WHEN c_verb_void THEN 'void'
                    WHEN c_verb_refund THEN 'refund'
                    WHEN c_verb_time_out THEN 'void'
                END AS verb,
                sum(transfer.amount)::bigint AS points, transfer.posted_at, transfer.occurred_at, min(transfer.seq) AS seq
            FROM (
                -- The customer's, and those of everyone it belonged to before: who authorized it, and all they were merged into. Each
                -- by the index of customers.
                SELECT redemption.customer
                UNION
                SELECT merged.customer FROM ledger.merged_into_v1(p_book_id, redemption.customer) AS merged
                UNION
                SELECT unnest(ARRAY[begun.customer, spell.survivor])
                FROM ledger.transfer AS begun
                LEFT JOIN LATERAL (
                    SELECT spell.survivor
                    FROM ledger.spell
                    WHERE spell.book_id = p_book_id AND spell.customer = begun.customer
                    OFFSET 0
                ) AS spell ON true
                WHERE begun.book_id = p_book_id AND begun.seq = redemption.id
            ) AS member
            CROSS JOIN LATERAL (
                SELECT transfer.*
                FROM ledger.transfer
                WHERE transfer.book_id = p_book_id AND transfer.customer = member.customer AND transfer.seq >= redemption.id
                OFFSET 0
            ) AS transfer
            WHERE (transfer.verb BETWEEN c_verb_authorize AND c_verb_refund OR transfer.verb = c_verb_time_out)
                AND ledger.redemption_owner_v1(redemption.id)
                    IN (substring(transfer.debit FROM 1 FOR 11), substring(transfer.credit FROM 1 FOR 11))
            GROUP BY coalesce(transfer.transaction_id, transfer.seq), transfer.verb, transfer.posted_at, transfer.occurred_at
        ) AS operation
        LEFT JOIN LATERAL (
            SELECT step.ref, step.store_id, step.terminal_id
            FROM ledger.redemption_step AS step
            WHERE step.book_id = p_book_id AND step.redemption = redemption.id AND step.seq = operation.seq
            LIMIT 1
        ) AS step ON true
    ) AS history;
END
$function$;
