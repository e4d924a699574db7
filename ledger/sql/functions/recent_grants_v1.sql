-- What caps of the last day have counted: by cap, as its index in p_recent_wallets, when each grant counted and its points.
-- One row a grant. Locks nothing. Called by post_grants_v1, which holds the heads of the books.

CREATE OR REPLACE FUNCTION ledger.recent_grants_v1(
    p_book_ids          integer[],
    p_wallet_books      integer[],
    p_wallet_customers  bigint[],
    p_recent_wallets    integer[],
    p_recent_campaigns  integer[],
    p_recent_caps       smallint[]
) RETURNS TABLE (ix integer, at bigint, points bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT recent.ix, counted.at, counted.points
    FROM (
        SELECT
            unnest(p_recent_wallets) AS wallet, unnest(p_recent_campaigns) AS campaign_no, unnest(p_recent_caps) AS cap,
            generate_series(1, cardinality(p_recent_caps)) AS ix
    ) AS recent
    CROSS JOIN LATERAL (
        SELECT cap_recent.counted_at, cap_recent.points
        FROM ledger.cap_recent
        WHERE cap_recent.book_id = p_book_ids[p_wallet_books[recent.wallet]]
            AND cap_recent.campaign_no = recent.campaign_no
            AND cap_recent.customer = p_wallet_customers[recent.wallet]
            AND cap_recent.cap = recent.cap
        LIMIT 1
    ) AS found
    CROSS JOIN LATERAL unnest(found.counted_at, found.points) AS counted (at, points)
$function$;
