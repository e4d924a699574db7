-- Says whether an event of so many points would pass one of the caps that its terms list (see pay_waiting_v1). The head is locked
-- by the caller. A batch of reports counts its own caps in post_grants_v1.

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
    SELECT coalesce(bool_or(counted.passes), false)
    FROM ledger.cap_counts_v1(
        p_head.book_id, p_campaign_no, p_customer, ledger.microseconds_v1(p_window_at), p_head.posted_at, p_points, p_caps
    ) AS counted
$function$;
