"""The tables and pictures of the overview, made of what the API answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from urllib.parse import urlencode

import msgspec

from service.campaigns.schemas import CampaignResponse
from service.console.charts import Chart, Series, bars, lines
from service.console.overview.daily import Daily
from service.console.table import Column, Row, Table
from service.evidence.report import EvidenceResponse
from service.ingest.schemas import IngestSourceResponse
from service.reports.report import Report

TRANSFERS = "/console/transfers"
CHANNELS_SHOWN = 5
"""Channels with a colour of their own; the others share one."""
_BAD_STATES = frozenset({"silent", "failing", "stopped"})


class Picture(msgspec.Struct, frozen=True):
    """A chart, and the table with its figures."""

    chart: Chart
    table: Table


def owed(daily: Daily) -> Picture:
    """What was owed at the end of each day."""
    table = Table(
        name="owed",
        caption="Points owed at the end of each day",
        columns=[Column("Day", "date"), Column("Points owed", "points", "owed")],
        rows=[
            Row([day, points], href=_transfers(day, day))
            for day, points in zip(reversed(daily.days), reversed(daily.owed), strict=True)
        ]
        if any(daily.owed)
        else [],
        empty="Nothing is owed yet. What customers earn is owed to them until they spend it, or it expires.",
    )
    return Picture(lines([Series("points owed", daily.owed)], _labels(daily.days)), table)


def granted(daily: Daily) -> Picture:
    """What was granted on each day, by channel."""
    empty = "Nothing was granted on these days. A campaign, a budget and a report or a link make a grant."
    return _by_channel("granted", "Points granted by day and channel", daily, daily.granted, "grant,mature", empty)


def redeemed(daily: Daily) -> Picture:
    """What was redeemed on each day, by the channel on which it was earned."""
    empty = "Nothing was redeemed on these days. A shop redeems points with POST /v1/redemptions."
    return _by_channel("redeemed", "Points redeemed by day and channel", daily, daily.redeemed, "capture", empty)


def budgets(campaigns: Sequence[CampaignResponse]) -> Table:
    """What is left of each campaign's budget."""
    return Table(
        name="budgets",
        caption="Budgets",
        columns=[
            Column("Campaign", "id", "campaign"),
            Column("Name"),
            Column("Funded", "points"),
            Column("Granted", "points"),
            Column("Left", "points"),
            Column("Still left", "left", "share_left"),
        ],
        rows=[_budget(each) for each in campaigns],
        empty="There is no campaign yet. A campaign says what an act earns, and its budget how much it may give.",
    )


def expiring(report: Report) -> Table:
    """What expires in which month."""
    return Table(
        name="expiring",
        caption=f"What expires when, as of {report.until}",
        columns=[
            Column("Month"),
            Column("Points", "points"),
            Column("Worth", "money", "value", currency=report.currency),
        ],
        rows=[Row([row["month"], row["points"], row["value"]]) for row in report.rows],
        empty="Nothing is owed, so nothing expires.",
    )


def machines(evidence: EvidenceResponse) -> Table:
    """What machines were not paid, by campaign."""
    return Table(
        name="machines",
        caption=f"What machines were not paid, {evidence.since} to {evidence.until} (UTC)",
        columns=[
            Column("Campaign", "id", "campaign"),
            Column("Requests", "number"),
            Column("Of machines", "number", "machine_requests"),
            Column("Points not paid", "points", "not_paid_points"),
        ],
        rows=[
            Row([each.campaign, sum(each.requests.values()), each.requests["X"], each.not_paid_points])
            for each in evidence.campaigns
        ],
        empty="Nobody has followed a link on these days. Mail scanners do, and earn nothing.",
    )


def sources(found: Sequence[IngestSourceResponse]) -> Table:
    """Sources that need attention."""
    return Table(
        name="sources",
        caption="Sources that need attention",
        columns=[
            Column("Source", "id"),
            Column("Name"),
            Column("Provider"),
            Column("State"),
            Column("Last accepted", "instant", "verified_at"),
            Column("Waiting", "number"),
        ],
        rows=[
            Row([each.id, each.name, each.provider, each.state, each.verified_at, each.waiting], tone="bad")
            for each in found
            if each.state in _BAD_STATES
        ],
        empty="Every source is as it should be." if found else "No messaging provider is connected yet.",
    )


def _budget(campaign: CampaignResponse) -> Row:
    budget = campaign.budget
    share = budget.left / budget.funded if budget.funded else None
    return Row([campaign.id, campaign.name, budget.funded, budget.granted, budget.left, share])


def _by_channel(name: str, caption: str, daily: Daily, points: Mapping[str, Sequence[int]], verbs: str, empty: str) -> Picture:
    series = _few([Series(channel or "not known", values) for channel, values in points.items() if any(values)])
    rows = [
        Row([day, channel or None, values[place]], href=_transfers(day, day, verb=verbs))
        for place, day in reversed(list(enumerate(daily.days)))
        for channel, values in points.items()
        if values[place]
    ]
    columns = [Column("Day", "date"), Column("Channel"), Column("Points", "points")]
    return Picture(
        bars(series, _labels(daily.days)), Table(name=name, caption=caption, columns=columns, rows=rows, empty=empty)
    )


def _few(series: Sequence[Series]) -> list[Series]:
    """As many series as there are colours: the smallest together."""
    if len(series) <= CHANNELS_SHOWN + 1:
        return list(series)
    rest = [each.values for each in series[CHANNELS_SHOWN:]]
    return [*series[:CHANNELS_SHOWN], Series("others", [sum(day) for day in zip(*rest, strict=True)])]


def _labels(days: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in days]


def _transfers(first: date, last: date, **filters: str) -> str:
    return f"{TRANSFERS}?{urlencode({'from': first.isoformat(), 'to': last.isoformat(), **filters})}"
