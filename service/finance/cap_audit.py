"""The audit of caps: what the ledger counted against each cap is what it granted, and never more than the campaign allows.

The ledger checks what it can without knowing campaigns; which grants count against which cap is in the campaign's terms.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from ledger import Finding
from service.brands.brand import Brand

_EXAMPLES = 5

# Each cap's grants by customer and period of the brand's calendar, from the events alone, beside what was counted. A grant
# counts against the caps of the version that paid it; a cap has its number in all versions. Where they differ in its limits,
# the highest is what nobody may have passed.
_CAPS = """
WITH cap AS (
    SELECT
        campaign.campaign_no, campaign.id, campaign_version.version,
        coalesce(campaign_version.terms -> 'cap_numbers' ->> (term.ordinality - 1)::int, (term.ordinality - 1)::text)::smallint
            AS cap,
        term.value ->> 'window' AS time_window,
        term.value ->> 'action' AS action, term.value ->> 'channel' AS channel,
        (term.value ->> 'max_grants')::bigint AS max_grants, (term.value ->> 'max_points')::bigint AS max_points
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
), granted AS (
    SELECT
        cap.campaign_no, cap.cap, event.customer, period.begins_on AS period,
        count(*) AS grants, sum(event.points)::bigint AS points
    FROM cap
    JOIN ledger.event
        ON event.book_id = $2 AND event.campaign_no = cap.campaign_no AND event.campaign_version = cap.version
        AND event.outcome = 1
        AND event.action = coalesce(cap.action, event.action) AND event.channel = coalesce(cap.channel, event.channel)
    CROSS JOIN LATERAL (
        SELECT CASE cap.time_window
            WHEN 'ever' THEN date '2000-01-01'
            ELSE date_trunc(cap.time_window, event.window_at AT TIME ZONE $3)::date
        END AS begins_on
    ) AS period
    GROUP BY cap.campaign_no, cap.cap, event.customer, period.begins_on
), compared AS (
    SELECT
        coalesce(granted.customer, used.customer) AS customer, coalesce(granted.period, used.period) AS period,
        coalesce(granted.campaign_no, used.campaign_no) AS campaign_no, coalesce(granted.cap, used.cap) AS cap,
        granted.grants, granted.points,
        granted.grants IS DISTINCT FROM used.grants::bigint OR granted.points IS DISTINCT FROM used.points AS miscounted
    FROM granted
    FULL JOIN (SELECT * FROM ledger.cap_use WHERE cap_use.book_id = $2) AS used
        USING (campaign_no, cap, customer, period)
)
SELECT
    count(*) AS checked,
    count(*) FILTER (WHERE wrong.is) AS violations,
    (array_agg('campaign ' || highest.id || ', customer ' || compared.customer || ', ' || compared.period)
        FILTER (WHERE wrong.is))[1:$4] AS examples
FROM compared
LEFT JOIN highest USING (campaign_no, cap)
CROSS JOIN LATERAL (
    SELECT compared.miscounted OR highest.id IS NULL
        OR compared.grants > highest.max_grants OR compared.points > highest.max_points AS is
) AS wrong_or_unknown
CROSS JOIN LATERAL (SELECT coalesce(wrong_or_unknown.is, false) AS is) AS wrong
"""


async def audit_caps(connection: asyncpg.Connection[Any], brand: Brand) -> Finding:
    """Compare every counter with the grants it stands for, and both with the cap. The reader's role is enough."""
    row = await connection.fetchrow(_CAPS, brand.brand_id, brand.book.book_id, brand.time_zone, _EXAMPLES)
    assert row is not None
    return Finding("caps_hold_and_are_counted_right", row["checked"], row["violations"], tuple(row["examples"] or ()))
