"""What a campaign pays: pure decisions over its terms.

A report is matched by action and channel; a rule that names the channel wins over one that does not. A cap is counted under its
number, which it keeps in every version of the campaign while only its limits change. What waits for proof of a person is asked
of all recent versions, so that it makes no difference which of them the acts on a message were judged by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Literal

import msgspec

from ledger import AccountClass, Grade, GrantTerms

OncePer = Literal["message", "link", "day"]
CapPer = Literal["customer", "campaign", "store"]
Window = Literal["day", "week", "month", "ever", "rolling_day"]

THE_ONLY_PERIOD = date(2000, 1, 1)
"""What counts for ever is counted under this day."""


VOLUNTEERED = "data."
"""What the actions begin with by which customers tell something about themselves."""
LOCATED = "location."
"""What the actions begin with by which customers come to a place."""
OF_NO_MESSAGE = (VOLUNTEERED, LOCATED)
"""What the actions begin with that are of no message: no link reports them, and no proof on a message pays for them."""


class PointsPer(msgspec.Struct, frozen=True):
    """What a purchase earns: ``points`` for every ``minor_units`` of its amount. What is left of a point is not paid."""

    points: int
    """How many points."""
    minor_units: int
    """For how many minor units of the brand's currency."""

    def earned(self, amount_minor: int) -> int:
        """The points for an amount, rounded down."""
        return amount_minor * self.points // self.minor_units


class Rule(msgspec.Struct, frozen=True):
    """What an action earns: ``points``, once per ``once_per``, paid at once from ``min_evidence`` on; or ``points_per`` amount.

    With ``hold_back_days``, the points are held back until they are approved, for at most this many days.
    """

    action: str
    """What the customer does, such as `click`."""
    points: int
    """How many points it earns; 0 if it earns by amount."""
    channel: str | None = None
    """The channel the rule applies to; null: every channel without a rule of its own for the action."""
    once_per: OncePer = "message"
    """How often the action earns: once per message, per link in it, or per day of the brand's calendar."""
    min_evidence: Grade = Grade.C
    """The weakest evidence grade that is paid at once, from `A` (strongest) to `D`. A weaker report waits."""
    hold_back_days: int | None = None
    """The most days the points are held back until they are approved; null: they are paid at once."""
    points_per: PointsPer | None = None
    """How many points a purchase earns by its amount; null: it earns `points`."""

    def pays_at_once(self, grade: Grade) -> bool:
        """Say whether evidence of ``grade`` is strong enough."""
        return is_at_least(grade, self.min_evidence)

    @property
    def pays_links(self) -> bool:
        """Whether following a link can be such an act: nobody buys by it, comes anywhere, or says under which consent they tell
        something.
        """
        return self.points_per is None and not self.action.startswith(OF_NO_MESSAGE)

    @property
    def proof_needed(self) -> Grade | None:
        """The weakest grade of another act on the message by which a report is paid that is too weak; ``None``: it waits alone.

        What counts once a link or a day has no one event a message; what customers volunteer and buy, and where they come to,
        is of no message.
        """
        is_of_none = self.action.startswith(OF_NO_MESSAGE) or self.points_per is not None
        if self.once_per != "message" or self.min_evidence is Grade.D or is_of_none:
            return None
        return min(self.min_evidence, Grade.B)


class Cap(msgspec.Struct, frozen=True):
    """A limit on the grants or points in one period of the brand's calendar: per customer or store, or for the whole campaign.

    A ``rolling_day`` is any 24 hours, and only per customer.
    """

    per: CapPer = "customer"
    """What is counted: each `customer` or `store` separately, or the whole `campaign`."""
    window: Window = "day"
    """The period: a `day`, a `week` from Monday, a `month` of the brand's calendar, `ever`, or any 24 hours (`rolling_day`)."""
    action: str | None = None
    """The action that counts; null: all actions."""
    channel: str | None = None
    """The channel that counts; null: all channels."""
    max_grants: int | None = None
    """The most grants in one period; null: no limit."""
    max_points: int | None = None
    """The most points in one period; null: no limit, or per store: that of `stores` alone."""
    stores: Mapping[str, int] | None = None
    """Per store: the most points of stores that have a limit of their own; null: none has."""

    def points_for(self, store: str | None) -> int | None:
        """The most points in one period, of a store if it is per store. A store without a limit gives nothing."""
        if self.per != "store" or store is None:
            return self.max_points
        others = 0 if self.stores is not None and self.max_points is None else self.max_points
        return (self.stores or {}).get(store, others)

    @property
    def counts(self) -> tuple[CapPer, Window, str | None, str | None]:
        """What is counted: all of the cap but its limits."""
        return self.per, self.window, self.action, self.channel

    def covers(self, action: str, channel: str) -> bool:
        """Say whether a grant for ``action`` on ``channel`` counts against this cap."""
        return self.action in (None, action) and self.channel in (None, channel)

    def period(self, day: date) -> date | None:
        """The first day of the period that ``day`` is in; a rolling day has none. Weeks begin on Monday."""
        match self.window:
            case "day":
                return day
            case "week":
                return day - timedelta(days=day.weekday())
            case "month":
                return day.replace(day=1)
            case "ever":
                return THE_ONLY_PERIOD
            case "rolling_day":
                return None


class Campaign(msgspec.Struct, frozen=True, dict=True):
    """A campaign as one of its versions has it. Versions never change."""

    campaign_no: int
    brand_id: int
    id: str
    version: int
    name: str
    starts_at: datetime
    ends_at: datetime
    account_class: AccountClass
    expires_after_months: int | None
    rules: tuple[Rule, ...]
    caps: tuple[Cap, ...]
    cap_numbers: tuple[int, ...]
    """The number of each cap: its counter's key in the ledger."""
    created_at: datetime
    makes_offers: bool = False
    """Whether its messages may be of offers, each of which is paid once. All versions say the same."""

    @cached_property
    def terms(self) -> dict[tuple[int, date, str, str, Grade, str, int, str | None], GrantTerms]:
        """What its grants were asked for on, so that those of one kind and day are asked for on the same.

        By rule, day, action, channel, grade, source, principal, and store if stores have budgets.
        """
        return {}

    @cached_property
    def has_store_budgets(self) -> bool:
        """Whether it limits what each store gives: then each act names one, and no link can."""
        return any(cap.per == "store" for cap in self.caps)

    def rule_number(self, action: str, channel: str) -> int | None:
        """Which of ``rules`` pays for ``action`` on ``channel``."""
        of_any_channel: int | None = None
        for number, rule in enumerate(self.rules):
            if rule.action != action:
                continue
            if rule.channel == channel:
                return number
            if rule.channel is None and of_any_channel is None:
                of_any_channel = number
        return of_any_channel

    def rule_for(self, action: str, channel: str) -> Rule | None:
        """The rule that pays for ``action`` on ``channel``."""
        number = self.rule_number(action, channel)
        return None if number is None else self.rules[number]

    def rule_of_link(self, action: str, channel: str) -> Rule | None:
        """The rule that pays for following a link with ``action`` on ``channel``."""
        rule = self.rule_for(action, channel)
        return rule if rule is not None and rule.pays_links and not self.has_store_budgets else None


class Standing(msgspec.Struct, frozen=True, dict=True):
    """A campaign as it stands: its recent versions, newest first, and since when it is paused.

    ``earlier`` says of the actions that older versions paid for what they were counted once per.
    """

    versions: tuple[Campaign, ...]
    created_at: datetime
    paused_at: datetime | None
    earlier: Mapping[str, OncePer] = {}

    @property
    def current(self) -> Campaign:
        """The version in force."""
        return self.versions[0]

    def version_at(self, at: datetime) -> Campaign:
        """The version that was in force at ``at``; the oldest known for what was before."""
        for version in self.versions:
            if version.created_at <= at:
                return version
        return self.versions[-1]

    @cached_property
    def once_per(self) -> Mapping[str, OncePer]:
        """The actions that any version has ever paid for, and what each is counted once per, which never changes."""
        return {**self.earlier, **{rule.action: rule.once_per for version in self.versions for rule in version.rules}}

    @cached_property
    def waiting_actions(self) -> Mapping[str, Grade]:
        """The actions of which a weak report waits for proof of a person, and the weakest grade that will do."""
        needed = sorted(
            (rule.action, rule.proof_needed) for version in self.versions for rule in version.rules if rule.proof_needed
        )
        # Of several, the weakest: it comes last.
        return dict(needed)


def store_group(store_id: str) -> int:
    """The number under which the ledger counts for a store: below 0, of 60 bits of a hash of its id."""
    return -1 - (int.from_bytes(sha256(store_id.encode()).digest()[:8], "big") >> 4)


def number_caps(caps: Sequence[Cap], earlier: Iterable[Campaign]) -> tuple[int, ...]:
    """The number of each of ``caps``: the one that an earlier version counted the same thing under, or the next."""
    used = [(cap.counts, number) for version in earlier for cap, number in zip(version.caps, version.cap_numbers, strict=True)]
    known = dict(reversed(used))
    following = max((number for _, number in used), default=-1) + 1
    numbers: list[int] = []
    for cap in caps:
        if cap.counts not in known:
            known[cap.counts] = following
            following += 1
        numbers.append(known[cap.counts])
    return tuple(numbers)


def is_at_least(grade: Grade, needed: Grade) -> bool:
    """Say whether ``grade`` is as strong as ``needed``, or stronger."""
    return grade <= needed  # as letters: A is the strongest


def claimed_grade(action: str, asked: Grade | None, strongest: Grade) -> Grade:
    """The grade of a report: what it claims, never more than its reporter may. Without a claim an open is unattested."""
    claim = asked if asked is not None else Grade.D if action == "open" else strongest
    return max(claim, strongest)
