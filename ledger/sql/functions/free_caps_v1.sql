-- Takes back what an event counted towards its caps: it was rejected. The head is locked by the caller, so what was read can be
-- updated by its ctid.
--
-- OFFSET 0: each use is looked up by its whole key. A young table's plan would read all uses of the campaign.

CREATE OR REPLACE FUNCTION ledger.free_caps_v1(
    p_book_id      integer,
    p_campaign_no  integer,
    p_customer     bigint,  -- whom it counted against, even if they were merged since
    p_window_at    timestamptz,
    p_points       bigint,
    p_caps         jsonb
) RETURNS void
LANGUAGE sql VOLATILE
AS $function$
    UPDATE ledger.cap_use
    SET grants = cap_use.grants - 1, points = cap_use.points - p_points
    FROM jsonb_array_elements(p_caps) AS cap (term)
    CROSS JOIN LATERAL (
        SELECT found.ctid AS row
        FROM ledger.cap_use AS found
        WHERE found.book_id = p_book_id AND found.campaign_no = p_campaign_no
            AND found.period = (cap.term ->> 1)::date
            AND found.customer = ledger.counted_for_v1(cap.term, p_customer)
            AND found.cap = (cap.term ->> 0)::smallint
        OFFSET 0
    ) AS used
    WHERE cap_use.ctid = used.row;

    UPDATE ledger.cap_recent
    SET counted_at = left_over.counted_at, points = left_over.points
    FROM jsonb_array_elements(p_caps) AS cap (term)
    CROSS JOIN LATERAL (
        SELECT
            coalesce(array_agg(recent.at ORDER BY recent.n), '{}') AS counted_at,
            coalesce(array_agg(recent.points ORDER BY recent.n), '{}') AS points
        FROM (
            SELECT counted.at, counted.points, counted.n,
                row_number() OVER (PARTITION BY counted.at, counted.points ORDER BY counted.n) AS nth
            FROM ledger.cap_recent AS used
            CROSS JOIN LATERAL unnest(used.counted_at, used.points) WITH ORDINALITY AS counted (at, points, n)
            WHERE used.book_id = p_book_id AND used.campaign_no = p_campaign_no AND used.customer = p_customer
                AND used.cap = (cap.term ->> 0)::smallint
        ) AS recent
        WHERE NOT (recent.nth = 1 AND recent.at = ledger.microseconds_v1(p_window_at) AND recent.points = p_points)
    ) AS left_over
    WHERE cap.term ->> 1 IS NULL
        AND cap_recent.book_id = p_book_id AND cap_recent.campaign_no = p_campaign_no AND cap_recent.customer = p_customer
        AND cap_recent.cap = (cap.term ->> 0)::smallint;
$function$;
