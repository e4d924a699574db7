-- Redemptions of the customers $2 in the book $1, after number $3, at most $4, with what was said about their steps.

SELECT begun.id, jsonb_build_object(
    'redemption_id', 'red_' || lpad(to_hex($1::integer), 8, '0') || lpad(to_hex(begun.id), 16, '0'),
    'order_ref', begun.order_ref, 'value', begun.value, 'store_id', begun.store_id, 'terminal_id', begun.terminal_id,
    'expires_at', begun.deadline, 'ended_at', begun.closed_at,
    'steps', coalesce((
        SELECT jsonb_agg(
            jsonb_build_object(
                'seq', step.seq, 'ref', step.ref, 'store_id', step.store_id, 'terminal_id', step.terminal_id
            ) ORDER BY step.seq
        )
        FROM ledger.redemption_step AS step
        WHERE step.book_id = $1 AND step.redemption = begun.id
    ), '[]'::jsonb)
)::text
FROM unnest($2::bigint[]) AS wanted (customer)
CROSS JOIN LATERAL (
    SELECT redemption.* FROM ledger.redemption
    WHERE redemption.book_id = $1 AND redemption.customer = wanted.customer AND redemption.id > $3::bigint
    ORDER BY redemption.id
    LIMIT $4
) AS begun
ORDER BY begun.id
LIMIT $4
