-- Says whether an event of so many points would pass one of the caps that its terms list (see pay_waiting_v1). The head is locked
-- by the caller. A batch of reports counts its own caps in post_grants_v1. Around what happened more than 73 hours ago it is not
-- known any more what the last day's caps have counted: it passes them.

CREATE OR REPLACE FUNCTION ledger.passes_a_cap_v1(
    p_head         ledger.head,
    p_campaign_no  integer,
    p_customer     bigint,
    p_window_at    timestamptz,
    p_points       bigint,
    p_caps         jsonb
) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT coalesce(bool_or(
        (cap.term ->> 1 IS NULL AND p_window_at < p_head.posted_at - interval '73 hours')
            OR used.grants >= (cap.term ->> 2)::bigint OR used.points + p_points > (cap.term ->> 3)::bigint
    ), false)
    FROM jsonb_array_elements(p_caps) AS cap (term)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(counted.grants), 0) AS grants, coalesce(sum(counted.points), 0) AS points
        FROM (
            SELECT cap_use.grants::bigint, cap_use.points
            FROM ledger.cap_use
            WHERE cap_use.book_id = p_head.book_id AND cap_use.campaign_no = p_campaign_no
                AND cap_use.period = (cap.term ->> 1)::date
                AND cap_use.customer = CASE WHEN (cap.term ->> 4)::boolean THEN 0 ELSE p_customer END
                AND cap_use.cap = (cap.term ->> 0)::smallint
            UNION ALL
            SELECT 1, recent.points
            FROM ledger.cap_recent
            CROSS JOIN LATERAL unnest(cap_recent.counted_at, cap_recent.points) AS recent (at, points)
            WHERE cap.term ->> 1 IS NULL
                AND cap_recent.book_id = p_head.book_id AND cap_recent.campaign_no = p_campaign_no
                AND cap_recent.customer = p_customer AND cap_recent.cap = (cap.term ->> 0)::smallint
                AND abs(recent.at - ledger.microseconds_v1(p_window_at)) < 86400000000
        ) AS counted
    ) AS used
$function$;
