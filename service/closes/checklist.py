"""What is left open in a period before it is closed.

blocker   the books are wrong: it has to be mended, and cannot be skipped
warning   something that may still change the period's figures was not decided: it is skipped with a reason
note      does not change the period: what comes later counts in the next one, or is reckoned
"""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import Book, GrantOutcome, Ledger, LeftOpen
from service.approvals.queries import count_open
from service.auth.queries import count_late_keys
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.http.periods import Period
from service.storage.spool_watch.reports import Waiting

if TYPE_CHECKING:
    from service.services import Services

RECONCILING_S = 3.0
"""How long campaigns are counted, one after the other. Those that are left are a warning."""
_NAMED_MAX = 5


class Severity(enum.StrEnum):
    """How much an open item matters."""

    BLOCKER = "blocker"
    WARNING = "warning"
    NOTE = "note"


class Item(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    code: str
    """Its name, by which a warning is skipped."""
    severity: Severity
    """`blocker`, `warning`, or `note`."""
    count: int
    """How many are open; 0 if there is nothing to do."""
    detail: str
    """What that is, for people."""
    where: str
    """Where to look: a path of this API, or `rewards doctor`."""

    @property
    def is_open(self) -> bool:
        """Whether there is something to do."""
        return self.count > 0


async def checklist(services: Services, brand: Brand, period: Period) -> list[Item]:
    """All that is looked at for a period."""
    left = await services.ledger.left_open(brand.book, period.end)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    spools = await services.spool_reports.waiting()
    wrong, uncounted = await _reconcile(services.ledger, brand.book, list(campaigns))
    return [
        _campaigns_that_are_wrong([campaigns[campaign_no] for campaign_no in wrong]),
        Item(
            "campaigns_not_counted",
            Severity.WARNING,
            uncounted,
            "Campaigns with too many events to count them here.",
            "/v1/campaigns/{campaign_id}/reconciliation",
        ),
        Item(
            "deferred_claims",
            Severity.WARNING,
            spools.files,
            f"Files of deferred claims that wait on machines' disks{_since(spools)}. They count when they are posted.",
            "rewards doctor",
        ),
        Item(
            "silent_machines",
            Severity.WARNING,
            spools.silent,
            f"Machines that have not said lately what waits on their disks{_named(spools.machines)}.",
            "rewards doctor",
        ),
        Item(
            "grants_to_approve",
            Severity.WARNING,
            left.to_approve,
            "Grants that are held back. They count as held back until they are approved or rejected.",
            "/v1/grants?outcome=held_back",
        ),
        Item(
            "approvals_open",
            Severity.WARNING,
            await count_open(services.engine, brand.brand_id),
            "Requests that wait for another person, or were approved and are not carried out yet. They count when they are.",
            "/v1/approvals?state=pending",
        ),
        Item(
            "waiting_grants",
            Severity.NOTE,
            left.waiting,
            "Events that wait for more evidence. They count when they are paid.",
            "/v1/grants?outcome=waiting",
        ),
        Item(
            "late_sources",
            Severity.NOTE,
            await count_late_keys(services.engine, brand.brand_id, _hours(left.at - left.ends_at)),
            "API keys that may still report acts of this period. They count when they are posted.",
            "/v1/keys",
        ),
        _dues_that_are_not_posted(left),
    ]


def _named(names: Sequence[str]) -> str:
    return f": {', '.join(names)}" if names else ""


def _since(spools: Waiting) -> str:
    return "" if spools.since is None else f" since {spools.since:%Y-%m-%dT%H:%M:%SZ}"


def _campaigns_that_are_wrong(ids: Sequence[str]) -> Item:
    return Item(
        "campaigns_do_not_add_up",
        Severity.BLOCKER,
        len(ids),
        f"Campaigns whose granted points are not what their events were paid{_named(ids[:_NAMED_MAX])}.",
        "/v1/campaigns/{campaign_id}/reconciliation",
    )


def _dues_that_are_not_posted(left: LeftOpen) -> Item:
    return Item(
        "unsettled_dues",
        Severity.NOTE,
        left.unsettled,
        "Holds and held-back points that fell due and, as one, lots that expired: not posted yet, and counted in this period.",
        "/v1/closes/{period}",
    )


def _hours(since: timedelta) -> int:
    return max(0, since // timedelta(hours=1))


async def _reconcile(ledger: Ledger, book: Book, campaign_nos: Sequence[int]) -> tuple[list[int], int]:
    """The campaigns whose budget is not what their events were paid, and how many were not counted in time."""
    wrong: list[int] = []
    ends_at = time.monotonic() + RECONCILING_S
    for place, campaign_no in enumerate(campaign_nos):
        if time.monotonic() > ends_at:
            return wrong, len(campaign_nos) - place
        # An event may be decided while it is counted: then it is counted once more.
        if not await _adds_up(ledger, book, campaign_no) and not await _adds_up(ledger, book, campaign_no):
            wrong.append(campaign_no)
    return wrong, 0


async def _adds_up(ledger: Ledger, book: Book, campaign_no: int) -> bool:
    found = await ledger.reconcile(book, campaign_no)
    paid = (GrantOutcome.GRANTED, GrantOutcome.HELD_BACK)
    return found.granted + found.clawed_back - found.adjusted == sum(
        each.points for each in found.decisions if each.outcome in paid
    )
