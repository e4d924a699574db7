-- What was paid in a piece of a book's log, $3 < seq <= $4, beside what its campaign's version says: of brand $1, book $2, which keeps
-- its books in time zone $5; at most $6 examples.
-- One row: how many grants were recomputed, how many are wrong, examples of these, and how many had to be taken as they are, because
-- no version of their campaign is there, or nothing proves their details since they were erased. Locks nothing.
--
-- A grant is paid by the rule for its action and channel (one that names the channel before one that does not), on evidence that is
-- strong enough, in the campaign's time, by a version that was there, for what had happened by then. Its points last from the day on which it counts; decided again,
-- from the day on which that was done, which may have been a moment before it was posted.

WITH granted AS MATERIALIZED (
    SELECT
        event.campaign_no, event.campaign_version, event.action, event.channel, event.rule, event.grade::text AS grade, event.window_at,
        coalesce(event.salt, event.personal_hash) AS proof, transfer.seq, transfer.posted_at, transfer.occurred_at, transfer.verb, transfer.amount, transfer.credit,
        event.metadata
    FROM ledger.transfer
    JOIN ledger.event
        ON event.book_id = $2 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    WHERE transfer.book_id = $2 AND transfer.seq > $3 AND transfer.seq <= $4 AND transfer.verb IN (2, 3)
), kind AS (
    SELECT DISTINCT granted.campaign_no, granted.campaign_version, granted.action, granted.channel FROM granted
), promised AS (
    SELECT
        kind.campaign_no, kind.campaign_version, kind.action, kind.channel, campaign.id,
        EXISTS (
            SELECT FROM rewards.campaign_version AS any_version WHERE any_version.campaign_no = campaign.campaign_no
        ) AS has_versions,
        version.created_at, version.starts_at, version.ends_at, version.account_class, version.expires_after_months,
        rule.number AS rule, rule.points, rule.per_points, rule.per_minor_units, rule.min_evidence, rule.is_held_back
    FROM kind
    LEFT JOIN rewards.campaign ON campaign.campaign_no = kind.campaign_no AND campaign.brand_id = $1
    LEFT JOIN rewards.campaign_version AS version
        ON version.campaign_no = campaign.campaign_no AND version.version = kind.campaign_version
    LEFT JOIN LATERAL (
        SELECT
            listed.place - 1 AS number, (listed.rule ->> 'points')::bigint AS points,
            (listed.rule -> 'points_per' ->> 'points')::numeric AS per_points,
            (listed.rule -> 'points_per' ->> 'minor_units')::numeric AS per_minor_units,
            coalesce(listed.rule ->> 'min_evidence', 'C') AS min_evidence, listed.rule ->> 'hold_back_days' IS NOT NULL AS is_held_back
        FROM jsonb_array_elements(version.terms -> 'rules') WITH ORDINALITY AS listed (rule, place)
        WHERE listed.rule ->> 'action' = kind.action AND coalesce(listed.rule ->> 'channel', kind.channel) = kind.channel
        ORDER BY listed.rule ->> 'channel' IS NULL, listed.place
        LIMIT 1
    ) AS rule ON true
), judged AS (
    SELECT
        granted.seq, promised.id, granted.proof IS NULL OR NOT promised.has_versions AS is_taken, promised.has_versions AS is_recomputed,
        CASE
            WHEN NOT promised.has_versions THEN NULL
            WHEN promised.created_at IS NULL THEN format('there is no version %s', granted.campaign_version)
            WHEN promised.rule IS NULL THEN format('version %s pays nothing for it', granted.campaign_version)
            WHEN granted.amount <> bought.points THEN format('%s points, not %s', granted.amount, bought.points)
            WHEN granted.rule <> promised.rule THEN format('rule %s, not %s', granted.rule, promised.rule)
            WHEN granted.grade > promised.min_evidence THEN format('on evidence %s, below %s', granted.grade, promised.min_evidence)
            WHEN granted.window_at < promised.starts_at OR granted.window_at >= promised.ends_at THEN 'not in the campaign''s time'
            -- As service/grants/windows.py takes reports: of 400 days, by a clock that is at most five minutes ahead.
            WHEN granted.occurred_at > granted.window_at + interval '5 minutes' THEN 'happened after it counts'
            WHEN granted.occurred_at < granted.window_at - interval '400 days' THEN 'happened too long before it counts'
            WHEN granted.posted_at < promised.created_at THEN format('before version %s was made', granted.campaign_version)
            WHEN (granted.verb = 3) <> promised.is_held_back THEN 'held back, or not, against its rule'
            WHEN get_byte(granted.credit, 11) & 15 <> promised.account_class THEN 'of another class'
            WHEN granted.verb = 2 AND NOT EXISTS (
                SELECT
                FROM (VALUES (granted.window_at), (granted.posted_at), (granted.posted_at - interval '1 minute')) AS earned (at)
                WHERE ledger.account_expires_on_v1(granted.credit) = coalesce((
                    date_trunc('month', earned.at AT TIME ZONE $5)
                    + make_interval(months => promised.expires_after_months + 1) - interval '1 day'
                )::date, 'infinity')
            ) THEN 'with another last day'
        END AS wrong
    FROM granted
    JOIN promised USING (campaign_no, campaign_version, action, channel)
    CROSS JOIN LATERAL (
        -- By amount, rounded down; what was bought is erased with the customer.
        SELECT CASE
            WHEN promised.per_points IS NULL THEN promised.points
            ELSE div((granted.metadata::jsonb -> 'purchase' ->> 'amount_minor')::numeric * promised.per_points, promised.per_minor_units)
        END AS points
    ) AS bought
)
SELECT
    count(*) FILTER (WHERE judged.is_recomputed) AS checked,
    count(judged.wrong) AS violations,
    count(*) FILTER (WHERE judged.is_taken) AS taken,
    (array_agg(format('seq %s, campaign %s: %s', judged.seq, judged.id, judged.wrong) ORDER BY judged.seq)
        FILTER (WHERE judged.wrong IS NOT NULL))[1:$6] AS examples
FROM judged
