-- A redemption as it stands at p_clock: sums from its accounts, history from the log. One JSON object, or NULL.
-- Locks nothing. A hold that has timed out is shown as expired, whether or not its release has been posted.

CREATE OR REPLACE FUNCTION ledger.redemption_v1(
    p_book_id    integer,
    p_id         bigint,
    p_clock      timestamptz,
    p_time_zone  text,
    p_grace_days integer
) RETURNS jsonb
LANGUAGE sql STABLE
AS $function$
    SELECT jsonb_build_object(
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
        'balance', spendable.points,
        'balance_seq', head.seq,
        'operations', coalesce(history.operations, '[]'::jsonb),
        'lots', coalesce(sums.lots, '[]'::jsonb)
    )
    FROM ledger.redemption
    JOIN ledger.head ON head.book_id = redemption.book_id
    CROSS JOIN LATERAL (
        SELECT redemption.closed_at IS NOT NULL OR redemption.deadline <= p_clock AS closed
    ) AS state
    CROSS JOIN LATERAL ledger.spendable_v1(
        redemption.book_id, redemption.customer, p_clock, (p_clock AT TIME ZONE p_time_zone)::date, p_time_zone, p_grace_days,
        true
    ) AS spendable
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
                account.expires_on, get_byte(account.id, 11) & 15 AS account_class,
                coalesce(sum(account.credits) FILTER (WHERE account.kind = 3), 0) AS authorized,
                coalesce(sum(account.credits - account.debits) FILTER (WHERE account.kind = 3), 0) AS held,
                coalesce(sum(account.credits) FILTER (WHERE account.kind = 4), 0) AS captured,
                coalesce(sum(account.debits) FILTER (WHERE account.kind = 4), 0) AS refunded
            FROM ledger.account
            WHERE account.book_id = redemption.book_id
                AND account.id >= ledger.account_owner_v1(3, redemption.id) || '\x30'::bytea
                AND account.id < ledger.account_owner_v1(3, redemption.id) || '\x50'::bytea
            GROUP BY account.expires_on, account_class
        ) AS lot
    ) AS sums
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
            'verb', operation.verb, 'points', operation.points,
            'posted_at', ledger.rfc3339_v1(operation.posted_at), 'seq', operation.seq,
            'ref', step.ref, 'store_id', step.store_id, 'terminal_id', step.terminal_id
        ) ORDER BY operation.seq) AS operations
        FROM (
            SELECT
                (ARRAY['authorize', 'capture', 'void', 'refund'])[transfer.verb - 5] AS verb,
                sum(transfer.amount)::bigint AS points, min(transfer.posted_at) AS posted_at, min(transfer.seq) AS seq
            FROM (
                -- Hers, and those of whose it was before: of who authorized it, and of all whom she has been part of. Each by the
                -- index of customers.
                SELECT redemption.customer
                UNION
                SELECT merged.customer
                FROM ledger.customer_state AS merged
                WHERE merged.book_id = redemption.book_id AND merged.moved_to = redemption.customer
                UNION
                SELECT unnest(ARRAY[begun.customer, spell.survivor])
                FROM ledger.transfer AS begun
                LEFT JOIN ledger.spell ON spell.book_id = begun.book_id AND spell.customer = begun.customer
                WHERE begun.book_id = redemption.book_id AND begun.seq = redemption.id
            ) AS member
            JOIN ledger.transfer
                ON transfer.book_id = redemption.book_id
                AND transfer.customer = member.customer
                AND transfer.seq >= redemption.id
            WHERE transfer.verb BETWEEN 6 AND 9
                AND ledger.account_owner_v1(3, redemption.id)
                    IN (substring(transfer.debit FROM 1 FOR 11), substring(transfer.credit FROM 1 FOR 11))
            GROUP BY transfer.transaction_id, transfer.verb
        ) AS operation
        LEFT JOIN ledger.redemption_step AS step ON step.book_id = redemption.book_id AND step.seq = operation.seq
    ) AS history
    WHERE redemption.book_id = p_book_id AND redemption.id = p_id
$function$;
