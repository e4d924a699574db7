-- Keeps what caps of the last day have counted, for those that have counted a grant since they were read. The heads of the books
-- are locked by the caller. A grant so long ago that no report can still count near it is left out.

CREATE OR REPLACE FUNCTION ledger.keep_recent_grants_v1(
    p_book_ids          integer[],
    p_wallet_books      integer[],
    p_wallet_customers  bigint[],
    p_recent_wallets    integer[],
    p_recent_campaigns  integer[],
    p_recent_caps       smallint[],
    p_clocks            timestamptz[],  -- by book
    p_added             boolean[],      -- by cap: whether it has counted a grant since it was read
    p_grant_recents     integer[],      -- by grant: its cap, when it counted in microseconds since 2000-01-01, its points
    p_grant_at          bigint[],
    p_grant_points      bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    -- A day and the three that a report may be late, and an hour for reports that are on their way.
    c_counts_for   CONSTANT interval := interval '97 hours';
    c_epoch        CONSTANT timestamptz := '2000-01-01 00:00:00+00';
    c_microsecond  CONSTANT interval := interval '1 microsecond';
BEGIN
    INSERT INTO ledger.cap_recent (book_id, campaign_no, customer, cap, counted_at, points)
    SELECT
        p_book_ids[p_wallet_books[p_recent_wallets[counted.recent]]], p_recent_campaigns[counted.recent],
        p_wallet_customers[p_recent_wallets[counted.recent]], p_recent_caps[counted.recent],
        array_agg(counted.at ORDER BY counted.n), array_agg(counted.points ORDER BY counted.n)
    FROM unnest(p_grant_recents, p_grant_at, p_grant_points) WITH ORDINALITY AS counted (recent, at, points, n)
    WHERE p_added[counted.recent]
        AND c_epoch + counted.at * c_microsecond > p_clocks[p_wallet_books[p_recent_wallets[counted.recent]]] - c_counts_for
    GROUP BY counted.recent
    -- In the order of their keys, as wallets are: neighbours share pages.
    ORDER BY counted.recent
    ON CONFLICT (book_id, campaign_no, customer, cap)
        DO UPDATE SET counted_at = excluded.counted_at, points = excluded.points;
END
$function$;
