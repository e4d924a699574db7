-- Each cap's grants of brand $1 from the events of its book $2 alone, beside what was counted: by customer (0 is all of the
-- campaign's together) and period of the brand's calendar in the time zone $3, or with its times where any 24 hours are a
-- period. One row: what was checked, what is wrong, $4 examples.
--
-- What is held back counts like what is paid. A grant counts against the caps of the version that paid it; a cap has its number
-- in all versions. Where these differ in its limits, the highest is what nobody may have passed. What a rolling day has counted
-- is forgotten after 97 hours.

WITH cap AS (
    SELECT
        campaign.campaign_no, campaign.id, campaign_version.version,
        coalesce(campaign_version.terms -> 'cap_numbers' ->> (term.ordinality - 1)::int, (term.ordinality - 1)::text)::smallint
            AS cap,
        term.value ->> 'per' = 'campaign' AS is_shared, term.value ->> 'per' = 'store' AS is_per_store,
        term.value ->> 'window' AS time_window,
        term.value ->> 'action' AS action, term.value ->> 'channel' AS channel,
        (term.value ->> 'max_grants')::bigint AS max_grants,
        -- Of a cap per store, the highest of all stores.
        CASE
            WHEN jsonb_typeof(term.value -> 'stores') = 'object' THEN greatest(
                (term.value ->> 'max_points')::bigint,
                (SELECT max(store.points::bigint) FROM jsonb_each_text(term.value -> 'stores') AS store (id, points)))
            ELSE (term.value ->> 'max_points')::bigint
        END AS max_points
    FROM rewards.campaign
    JOIN rewards.campaign_version ON campaign_version.campaign_no = campaign.campaign_no
    CROSS JOIN LATERAL jsonb_array_elements(campaign_version.terms -> 'caps') WITH ORDINALITY AS term (value, ordinality)
    WHERE campaign.brand_id = $1
), highest AS (
    SELECT
        cap.campaign_no, cap.cap, min(cap.id) AS id,
        max(coalesce(cap.max_grants, 9223372036854775807)) AS max_grants,
        max(coalesce(cap.max_points, 9223372036854775807)) AS max_points
    FROM cap
    GROUP BY cap.campaign_no, cap.cap
), counting AS (
    SELECT
        cap.campaign_no, cap.cap, cap.time_window, event.window_at, event.points,
        CASE
            WHEN cap.is_shared THEN 0
            -- Below 0, by 60 bits of a hash of the store's id; of an erased event the store is not known any more.
            WHEN cap.is_per_store THEN
                -1 - ('x' || left(encode(sha256(convert_to(event.metadata::jsonb ->> 'store_id', 'UTF8')), 'hex'), 15))::bit(60)::bigint
            ELSE event.customer
        END AS customer
    FROM cap
    JOIN ledger.event
        ON event.book_id = $2 AND event.campaign_no = cap.campaign_no AND event.campaign_version = cap.version
        AND event.outcome IN (1, 6)
        AND event.action = coalesce(cap.action, event.action) AND event.channel = coalesce(cap.channel, event.channel)
), granted AS (
    SELECT
        counting.campaign_no, counting.cap, counting.customer, period.begins_on AS period,
        count(*) AS grants, sum(counting.points)::bigint AS points
    FROM counting
    CROSS JOIN LATERAL (
        SELECT CASE counting.time_window
            WHEN 'ever' THEN date '2000-01-01'
            ELSE date_trunc(counting.time_window, counting.window_at AT TIME ZONE $3)::date
        END AS begins_on
    ) AS period
    WHERE counting.time_window <> 'rolling_day' AND counting.customer IS NOT NULL
    GROUP BY counting.campaign_no, counting.cap, counting.customer, period.begins_on
), forgotten AS (
    SELECT DISTINCT counting.campaign_no, counting.cap FROM counting WHERE counting.customer IS NULL
), any_day AS (
    SELECT
        counting.campaign_no, counting.cap, counting.customer, counting.window_at, counting.points,
        count(*) OVER day_before AS grants, sum(counting.points) OVER day_before AS sum_of_points
    FROM counting
    WHERE counting.time_window = 'rolling_day'
    WINDOW day_before AS (
        PARTITION BY counting.campaign_no, counting.cap, counting.customer ORDER BY counting.window_at
        RANGE BETWEEN interval '23:59:59.999999' PRECEDING AND CURRENT ROW
    )
), recent AS (
    SELECT
        cap_recent.campaign_no, cap_recent.cap, cap_recent.customer,
        timestamptz '2000-01-01 00:00:00+00' + counted.at * interval '1 microsecond' AS window_at, counted.points
    FROM ledger.cap_recent
    CROSS JOIN LATERAL unnest(cap_recent.counted_at, cap_recent.points) AS counted (at, points)
    WHERE cap_recent.book_id = $2
), uncounted AS (
    SELECT any_day.campaign_no, any_day.cap, any_day.customer, any_day.window_at, any_day.points
    FROM any_day
    JOIN ledger.head ON head.book_id = $2 AND any_day.window_at > head.posted_at - interval '96 hours'
    EXCEPT ALL
    SELECT recent.* FROM recent
), overcounted AS (
    SELECT recent.* FROM recent
    EXCEPT ALL
    SELECT any_day.campaign_no, any_day.cap, any_day.customer, any_day.window_at, any_day.points FROM any_day
), compared AS (
    SELECT
        campaign_no, cap, coalesce(granted.customer, used.customer) AS customer,
        coalesce(granted.period, used.period)::text AS period,
        granted.grants, granted.points,
        CASE
            WHEN forgotten.cap IS NULL
                THEN granted.grants IS DISTINCT FROM used.grants::bigint OR granted.points IS DISTINCT FROM used.points
            -- What an erasure has left of a store's grants is no more than what was counted.
            ELSE coalesce(granted.grants, 0) > coalesce(used.grants, 0) OR coalesce(granted.points, 0) > coalesce(used.points, 0)
        END AS miscounted
    FROM granted
    FULL JOIN (
        -- A rejection may leave nothing of what was counted.
        SELECT cap_use.* FROM ledger.cap_use WHERE cap_use.book_id = $2 AND (cap_use.grants <> 0 OR cap_use.points <> 0)
    ) AS used USING (campaign_no, cap, customer, period)
    LEFT JOIN forgotten USING (campaign_no, cap)
    UNION ALL
    SELECT
        any_day.campaign_no, any_day.cap, any_day.customer, 'any 24 hours',
        max(any_day.grants), max(any_day.sum_of_points), false
    FROM any_day
    GROUP BY any_day.campaign_no, any_day.cap, any_day.customer
    UNION ALL
    SELECT different.campaign_no, different.cap, different.customer, different.window_at::text, NULL, NULL, true
    FROM (SELECT uncounted.* FROM uncounted UNION ALL SELECT overcounted.* FROM overcounted) AS different
)
SELECT
    count(*) AS checked,
    count(*) FILTER (WHERE wrong.is) AS violations,
    (array_agg('campaign ' || highest.id || ', ' || CASE compared.customer
            WHEN 0 THEN 'all customers' ELSE 'customer ' || compared.customer END || ', ' || compared.period)
        FILTER (WHERE wrong.is))[1:$4] AS examples
FROM compared
LEFT JOIN highest USING (campaign_no, cap)
CROSS JOIN LATERAL (
    SELECT compared.miscounted OR highest.id IS NULL
        OR compared.grants > highest.max_grants OR compared.points > highest.max_points AS is
) AS wrong_or_unknown
CROSS JOIN LATERAL (SELECT coalesce(wrong_or_unknown.is, false) AS is) AS wrong
