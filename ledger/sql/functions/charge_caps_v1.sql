-- Counts an event that was paid, or is held back, towards the caps that its terms list (see pay_waiting_v1). The head is locked by
-- the caller.

CREATE OR REPLACE FUNCTION ledger.charge_caps_v1(
    p_head         ledger.head,
    p_campaign_no  integer,
    p_customer     bigint,
    p_window_at    timestamptz,
    p_points       bigint,
    p_caps         jsonb
) RETURNS void
LANGUAGE sql VOLATILE
AS $function$
    INSERT INTO ledger.cap_use AS cap_use (book_id, campaign_no, period, customer, cap, grants, points)
    SELECT
        p_head.book_id, p_campaign_no, (cap.term ->> 1)::date, ledger.counted_for_v1(cap.term, p_customer),
        (cap.term ->> 0)::smallint, 1, p_points
    FROM jsonb_array_elements(p_caps) AS cap (term)
    WHERE cap.term ->> 1 IS NOT NULL
    ON CONFLICT (book_id, campaign_no, period, customer, cap)
        DO UPDATE SET grants = cap_use.grants + 1, points = cap_use.points + excluded.points;

    INSERT INTO ledger.cap_recent AS cap_recent (book_id, campaign_no, customer, cap, counted_at, points)
    SELECT
        p_head.book_id, p_campaign_no, p_customer, (cap.term ->> 0)::smallint, ARRAY[ledger.microseconds_v1(p_window_at)],
        ARRAY[p_points]
    FROM jsonb_array_elements(p_caps) AS cap (term)
    WHERE cap.term ->> 1 IS NULL
    ON CONFLICT (book_id, campaign_no, customer, cap)
        DO UPDATE SET
            counted_at = cap_recent.counted_at || excluded.counted_at, points = cap_recent.points || excluded.points;
$function$;
