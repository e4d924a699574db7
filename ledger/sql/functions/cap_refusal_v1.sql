-- How an event of so many points would be refused for a cap that its terms list (see pay_waiting_v1): see GrantOutcome; NULL if it passes
-- none. The head is locked by the caller. A batch of reports counts its own caps in post_grants_v1.

CREATE OR REPLACE FUNCTION ledger.cap_refusal_v1(
    p_head         ledger.head,
    p_campaign_no  integer,
    p_customer     bigint,
    p_window_at    timestamptz,
    p_points       bigint,
    p_caps         jsonb
) RETURNS smallint
LANGUAGE sql STABLE
AS $function$
    SELECT CASE
        WHEN bool_or(p_caps -> (counted.place::integer - 1) ->> 5 IS NULL) THEN ledger.grant_outcome_v1('cap_reached')
        WHEN count(*) > 0 THEN ledger.grant_outcome_v1('group_cap_reached')
    END
    FROM ledger.cap_counts_v1(
        p_head.book_id, p_campaign_no, p_customer, ledger.microseconds_v1(p_window_at), p_head.posted_at, p_points, p_caps
    ) AS counted
    WHERE counted.passes
$function$;
