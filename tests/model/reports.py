"""Random reports, and the orders that an application would make of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from ledger import AccountClass, Book, CapUse, Grade, GrantOrder, month_end, proof_key
from ledger.testing import corroboration, order
from tests.model.plain_ledger import PlainLedger

CUSTOMERS = tuple(range(1, 10))
CAMPAIGNS = (1, 2)
CAPS = ("a day", "last day", "shared", "a month", "a store")
REPLY = "reply"

customers = st.sampled_from([1, 1, 1, 2, 2, 2, 3, 3, *CUSTOMERS])


@dataclass(frozen=True, repr=False)
class Report:
    """Somebody says that a customer did something with a message. ``informed``: he knows all her ids."""

    customer: int = 1
    informed: bool = True
    campaign_no: int = 1
    message: int = 0
    action: str = "open"
    grade: Grade = Grade.A
    alone: bool = False
    points: int = 5
    unlimited: bool = False
    caps: frozenset[str] = frozenset()
    limit: int = 1
    late_h: int = 0
    account_class: AccountClass = AccountClass.ENGAGEMENT
    lasts: str = "for ever"
    held_back_h: int = 0
    again: bool = False

    def __repr__(self) -> str:
        """What it says that is not usual."""
        said = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return f"Report({', '.join(f'{name}={value!r}' for name, value, usual in said if value != usual)})"


def _report(said: dict[str, Any]) -> Report:
    return Report(**said)


reports = st.fixed_dictionaries(
    {
        "customer": customers,
        "informed": st.sampled_from([True, True, True, False]),
        "campaign_no": st.sampled_from([1, 1, 2]),
        "message": st.sampled_from([0, 0, 1, 2]),
        "action": st.sampled_from(["open", "open", "click", REPLY]),
        "grade": st.sampled_from([Grade.A, Grade.B, Grade.B, Grade.C, Grade.D]),
        "alone": st.sampled_from([False, False, False, True]),
        "points": st.sampled_from([5, 10, 20, 50]),
        "unlimited": st.sampled_from([False, False, True]),
        "caps": st.sampled_from(
            [frozenset[str](), *(frozenset([each]) for each in CAPS), frozenset(CAPS[:2]), frozenset(CAPS)]
        ),
        "limit": st.sampled_from([1, 1, 2, 4]),
        "late_h": st.sampled_from([0, 0, 0, 24, 24, 48, 72, 5, 30]),
        "account_class": st.sampled_from(AccountClass),
        "lasts": st.sampled_from(["for ever", "a day", "two weeks", "this month", "next month", "no longer"]),
        "held_back_h": st.sampled_from([0, 0, 0, 1, 24, 240]),
        "again": st.sampled_from([False, False, True]),
    }
).map(_report)


def needed(action: str, campaign_no: int) -> Grade:
    """The weakest grade that pays at once; the second campaign asks for a session of those who open."""
    return Grade.A if action == "open" and campaign_no == 2 else Grade.B


def last_day(lasts: str, today: date) -> date | None:
    """The last day of points that are to last so long."""
    days: dict[str, date | None] = {
        "a day": today + timedelta(days=1),
        "two weeks": today + timedelta(days=14),
        "this month": month_end(today, 0),
        "next month": month_end(today, 1),
        "for ever": None,
        "no longer": today - timedelta(days=1),
    }
    return days[lasts]


def order_of(book: Book, plain: PlainLedger, report: Report, number: int) -> GrantOrder:
    """What the application asks of the ledger; it looks up in the plain one who the customer is. No two numbers are alike."""
    customer, *former = plain.group(plain.survivor(report.customer)) if report.informed else [report.customer]
    former = sorted(former)
    past = tuple(plain.past(customer)) if report.informed else ()
    at = plain.now - timedelta(hours=report.late_h)
    message_id = f"message-{report.message}-of-{plain.today:%Y-%m}"
    asked = order(
        book,
        customer=customer,
        former=tuple(former),
        past=past,
        generation=plain.generations[customer] if report.informed else 0,
        campaign_no=report.campaign_no,
        message_id=message_id,
        action=report.action,
        grade=report.grade,
        points=report.points,
        waits=report.grade > needed(report.action, report.campaign_no),
        unlimited=report.unlimited,
        caps=_caps(report, plain.day(at)),
        account_class=report.account_class,
        expires_on=last_day(report.lasts, plain.today),
        at=at,
        held_back=report.held_back_h > 0,
        due_at=plain.now + timedelta(hours=report.held_back_h, microseconds=-number),
        again=report.again,
    )
    others = [action for action in ("open", "click") if action != report.action]
    # A weak act proves nothing, whatever it is said to bear on.
    proved = [action for action in others if report.grade <= needed(action, report.campaign_no) or report.grade > Grade.B]
    bears = corroboration(
        customer=customer,
        message_id=message_id,
        campaign_no=report.campaign_no,
        may_wait=tuple(proved),
        former=tuple(former),
        past=past,
        needs=needed(report.action, report.campaign_no),
    )
    if report.action == REPLY:
        key = proof_key(campaign_no=report.campaign_no, message_id=message_id, customer=customer)
        unpaid = asked.on(points=0, waits=False)
        return msgspec.structs.replace(unpaid, key=key, former_keys=(), past_keys=(), corroboration=bears)
    return asked if report.alone else msgspec.structs.replace(asked, corroboration=bears)


def _caps(report: Report, day: date) -> tuple[CapUse, ...]:
    caps = {
        "a day": CapUse(0, day, max_grants=2 * report.limit),
        "a month": CapUse(1, day.replace(day=1), max_points=100 * report.limit),
        "last day": CapUse(2, None, max_grants=report.limit, max_points=60 * report.limit),
        "shared": CapUse(3, day.replace(day=1), max_grants=5 * report.limit, shared=True),
        "a store": CapUse(4, day.replace(day=1), max_points=40 * report.limit, shared=True, group=-1 - report.message % 2),
    }
    return tuple(caps[name] for name in sorted(report.caps))
