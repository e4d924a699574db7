-- What each of the caps that an event's terms list (see pay_waiting_v1) has counted where the event would count, in their order, and
-- whether so many points more would pass it. Locks nothing. Around what happened more than 73 hours ago it is not known any more
-- what the last day's caps have counted: an event of then passes them.

CREATE OR REPLACE FUNCTION ledger.cap_counts_v1(
    p_book_id      integer,
    p_campaign_no  integer,
    p_customer     bigint,
    p_at           bigint,       -- when the event counts, in microseconds since 2000-01-01
    p_clock        timestamptz,
    p_points       bigint,
    p_caps         jsonb
) RETURNS TABLE (place bigint, grants bigint, points bigint, is_known boolean, passes boolean)
LANGUAGE sql STABLE
AS $function$
    SELECT
        cap.place, used.grants, used.points, reach.is_known,
        NOT reach.is_known
            OR coalesce(used.grants >= (cap.term ->> 2)::bigint, false)
            OR coalesce(used.points + p_points > (cap.term ->> 3)::bigint, false)
    FROM jsonb_array_elements(p_caps) WITH ORDINALITY AS cap (term, place)
    CROSS JOIN LATERAL (
        SELECT cap.term ->> 1 IS NOT NULL
            OR timestamptz '2000-01-01 00:00:00+00' + p_at * interval '1 microsecond' >= p_clock - interval '73 hours' AS is_known
    ) AS reach
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(counted.grants), 0)::bigint AS grants, coalesce(sum(counted.points), 0)::bigint AS points
        FROM (
            SELECT cap_use.grants::bigint, cap_use.points
            FROM ledger.cap_use
            WHERE cap_use.book_id = p_book_id AND cap_use.campaign_no = p_campaign_no
                AND cap_use.period = (cap.term ->> 1)::date
                AND cap_use.customer = ledger.counted_for_v1(cap.term, p_customer)
                AND cap_use.cap = (cap.term ->> 0)::smallint
            UNION ALL
            SELECT 1, recent.points
            FROM ledger.cap_recent
            CROSS JOIN LATERAL unnest(cap_recent.counted_at, cap_recent.points) AS recent (at, points)
            WHERE cap.term ->> 1 IS NULL
                AND cap_recent.book_id = p_book_id AND cap_recent.campaign_no = p_campaign_no
                AND cap_recent.customer = p_customer AND cap_recent.cap = (cap.term ->> 0)::smallint
                AND abs(recent.at - p_at) < 86400000000  -- a day
        ) AS counted
    ) AS used
$function$;
