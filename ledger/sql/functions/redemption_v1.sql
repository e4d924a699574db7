-- A redemption as it stands at p_clock: see redemptions_v1. One JSON object, or NULL.

CREATE OR REPLACE FUNCTION ledger.redemption_v1(
    p_book_id    integer,
    p_id         bigint,
    p_clock      timestamptz,
    p_time_zone  text,
    p_grace_days integer
) RETURNS jsonb
LANGUAGE sql STABLE
AS $function$
    SELECT shown.answer
    FROM ledger.head
    CROSS JOIN LATERAL ledger.redemptions_v1(
        p_book_id, ARRAY[p_id], p_clock, p_time_zone, p_grace_days, ARRAY[NULL::bigint], ARRAY[head.seq]
    ) AS shown
    WHERE head.book_id = p_book_id
$function$;
