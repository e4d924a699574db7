"""Campaigns on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import FUND_MAX, AccountClass, Grade
from service.campaigns.rules import Campaign, Cap, CapPer, OncePer, Rule, Standing, Window
from service.http.bodies import Body, Identifier, Points, Slug

ClassName = Literal["engagement", "purchase", "third_party"]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
FundPoints = Annotated[int, msgspec.Meta(ge=1, le=FUND_MAX, description="Whole points.")]
CampaignId = Annotated[
    str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$(?!\\n)", description="Lower case, at most 64 characters.")
]


class RuleRequest(Body, frozen=True):
    """What an action is worth."""

    action: Slug
    """What the customer does, such as `click`."""
    points: Points
    """How many points it pays."""
    channel: Slug | None = None
    """The channel on which it pays. Absent: any on which no other rule for the action pays."""
    once_per: OncePer = "message"
    """How often the act pays: once for each message, link or day. The same in all rules for an action, in every version."""
    min_evidence: Literal["A", "B", "C", "D"] = "C"
    """The weakest evidence that is paid at once; a weaker report waits for a stronger one, or another act on the message."""
    hold_back_days: Annotated[int, msgspec.Meta(ge=1, le=90)] | None = None
    """Set the points aside until somebody approves of them; after so many days they are rejected. Absent: pay at once."""


class CapRequest(Body, frozen=True):
    """The most that can be earned in one period of the brand's calendar: a week begins on Monday."""

    per: CapPer
    """Who is counted: each customer, or all of the campaign's together."""
    window: Window
    """How long a period is. A `rolling_day` is any 24 hours, whenever they begin; it is for one customer alone."""
    action: Slug | None = None
    """Count this action alone. Absent: all actions."""
    channel: Slug | None = None
    """Count this channel alone. Absent: all channels."""
    max_grants: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    """The most grants in one period. At least one of the two limits is given."""
    max_points: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] | None = None
    """The most points in one period."""


class TermsRequest(Body, frozen=True):
    """What a version of a campaign says."""

    name: Identifier
    """The campaign's name for people."""
    starts_at: Instant
    """From when on it pays, with a time zone: what happened before is not paid."""
    ends_at: Instant
    """What happens from then on is not paid: later than `starts_at`."""
    rules: Annotated[list[RuleRequest], msgspec.Meta(min_length=1, max_length=100)]
    """What it pays for: at most one rule for an action on a channel."""
    caps: Annotated[list[CapRequest], msgspec.Meta(max_length=8)] = msgspec.field(default_factory=list[CapRequest])
    """The most that can be earned in it; each cap counts something else."""
    account_class: ClassName = msgspec.field(default="engagement", name="class")
    """What kind of promise its points are to the accountants. A later version changes it for points granted from then on."""
    expires_after_months: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = 12
    """Points last to the end of the month that lies so many months after they were earned; null: for ever."""

    def pays(self) -> tuple[Rule, ...]:
        """The rules, as campaigns keep them."""
        return tuple(
            Rule(rule.action, rule.points, rule.channel, rule.once_per, Grade(rule.min_evidence), rule.hold_back_days)
            for rule in self.rules
        )

    def limits(self) -> tuple[Cap, ...]:
        """The caps, as campaigns keep them."""
        return tuple(Cap(cap.per, cap.window, cap.action, cap.channel, cap.max_grants, cap.max_points) for cap in self.caps)


class CampaignRequest(TermsRequest, frozen=True, kw_only=True):
    """A campaign. With a ``budget`` it is funded at once, which takes the scope ``funds:write`` too."""

    id: CampaignId
    """Your own id of the campaign; it cannot change."""
    budget: Annotated[int, msgspec.Meta(ge=0, le=FUND_MAX)] = 0
    """Points to fund it with at once. 0: it is funded later."""

    example: ClassVar[dict[str, Any]] = {
        "id": "newsletter-thanks",
        "name": "Newsletter thanks",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2036-01-01T00:00:00Z",
        "budget": 5_000_000,
        "rules": [
            {"action": "open", "points": 1, "min_evidence": "D"},
            {"action": "click", "channel": "email", "points": 5},
            {"action": "reply", "points": 20},
        ],
        "caps": [{"per": "customer", "window": "day", "max_grants": 10}],
        "expires_after_months": 12,
    }


class VersionRequest(TermsRequest, frozen=True, kw_only=True):
    """The terms of a campaign from now on, all of them: what is left out has its default, not its old value."""

    version: Annotated[int, msgspec.Meta(ge=2, le=2**31 - 1)] | None = None
    """Which version this is to be, so that a late retry, or a colleague, changes nothing unseen. Absent: the next."""

    example: ClassVar[dict[str, Any]] = {
        "version": 2,
        "name": "Hello again, with a weekly cap",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2036-01-01T00:00:00Z",
        "rules": [
            {"action": "open", "points": 1, "min_evidence": "D"},
            {"action": "click", "points": 25},
            {"action": "reply", "points": 100, "min_evidence": "A"},
        ],
        "caps": [{"per": "customer", "window": "week", "max_points": 1_000}],
    }


class BudgetResponse(msgspec.Struct, frozen=True):
    """``funded`` less ``granted`` is ``left``."""

    funded: int
    """All points that the campaign was ever given to grant."""
    granted: int
    """What it has granted, and what is held back."""
    left: int
    """What it can still grant."""


class CampaignResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as it is now."""

    id: str
    """The campaign's id, as the brand chose it."""
    version: int
    """The number of the version in force."""
    name: str
    """The campaign's name for people."""
    starts_at: datetime
    """From when on it pays: what happened before is not paid."""
    ends_at: datetime
    """What happens from then on is not paid."""
    rules: Sequence[Rule]
    """What it pays for."""
    caps: Sequence[Cap]
    """The most that can be earned in it."""
    account_class: ClassName = msgspec.field(name="class")
    """What kind of promise its points are to the accountants: `engagement`, `purchase` or `third_party`."""
    expires_after_months: int | None
    """Points last to the end of the month that lies so many months after they were earned; null: for ever."""
    created_at: datetime
    """When the campaign was made."""
    paused_at: datetime | None
    """Since when it pays nothing; null while it pays."""
    budget: BudgetResponse
    """What it may grant, and has granted, in points."""

    @classmethod
    def of(cls, standing: Standing, budget: tuple[int, int]) -> CampaignResponse:
        """``budget`` is what was funded and what was granted, in points."""
        funded, granted = budget
        campaign = standing.current
        return cls(
            id=campaign.id,
            version=campaign.version,
            name=campaign.name,
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            rules=campaign.rules,
            caps=campaign.caps,
            account_class=class_name(campaign.account_class),
            expires_after_months=campaign.expires_after_months,
            created_at=standing.created_at,
            paused_at=standing.paused_at,
            budget=BudgetResponse(funded=funded, granted=granted, left=funded - granted),
        )


class VersionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a campaign. It never changes."""

    version: int
    """The number of this version: 1, 2, 3 ..."""
    name: str
    """The campaign's name for people."""
    starts_at: datetime
    """From when on it pays: what happened before is not paid."""
    ends_at: datetime
    """What happens from then on is not paid."""
    rules: Sequence[Rule]
    """What it pays for."""
    caps: Sequence[Cap]
    """The most that can be earned in it."""
    account_class: ClassName = msgspec.field(name="class")
    """What kind of promise its points are to the accountants: `engagement`, `purchase` or `third_party`."""
    expires_after_months: int | None
    """Points last to the end of the month that lies so many months after they were earned; null: for ever."""
    created_at: datetime
    """From when on it was in force, until the next was made."""

    @classmethod
    def of(cls, campaign: Campaign) -> VersionResponse:
        """Show one version."""
        return cls(
            version=campaign.version,
            name=campaign.name,
            starts_at=campaign.starts_at,
            ends_at=campaign.ends_at,
            rules=campaign.rules,
            caps=campaign.caps,
            account_class=class_name(campaign.account_class),
            expires_after_months=campaign.expires_after_months,
            created_at=campaign.created_at,
        )


class FundRequest(Body, frozen=True):
    """Points for a campaign to grant."""

    points: FundPoints
    """How many points to add to the budget."""

    example: ClassVar[dict[str, Any]] = {"points": 1_000_000}


class FundResponse(msgspec.Struct, frozen=True):
    """What the campaign has left now, and all that the brand has issued."""

    campaign: str
    """The campaign's id."""
    funded: int
    """How many points this call added."""
    budget_left: int
    """What the campaign can grant now, in points."""
    issued: int
    """All points that the brand has ever funded its campaigns with."""


def class_name(account_class: AccountClass) -> ClassName:
    """The accounting class as the wire says it."""
    names: dict[AccountClass, ClassName] = {
        AccountClass.ENGAGEMENT: "engagement",
        AccountClass.PURCHASE: "purchase",
        AccountClass.THIRD_PARTY: "third_party",
    }
    return names[account_class]
