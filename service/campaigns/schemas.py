"""Campaigns on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ledger import FUND_MAX, AccountClass, Grade
from service.campaigns.rules import Campaign, Cap, CapPer, OncePer, PointsPer, Rule, Standing, Window
from service.http.bodies import Body, Identifier, Points, Slug

ClassName = Literal["engagement", "purchase", "third_party"]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
FundPoints = Annotated[int, msgspec.Meta(ge=1, le=FUND_MAX, description="Whole points.")]
CampaignId = Annotated[
    str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$(?!\\n)", description="Lower case, at most 64 characters.")
]


class PointsPerRequest(Body, frozen=True):
    """What a purchase earns by its amount: 3 points for every 100 minor units make 59 points of 19.99. A part of a point is not
    paid.
    """

    points: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    """How many points."""
    minor_units: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    """For how many minor units of the brand's currency: cents, pence, yen."""


class RuleRequest(Body, frozen=True):
    """What an action earns: exactly one of `points` and `points_per`."""

    action: Slug
    """What the customer does, such as `click`."""
    points: Points | None = None
    """How many points it earns."""
    channel: Slug | None = None
    """The channel the rule applies to. Absent: every channel without a rule of its own for the action."""
    once_per: OncePer = "message"
    """How often the action earns: once per message, link or day. The same in all rules for an action, in every version."""
    min_evidence: Literal["A", "B", "C", "D"] = "C"
    """The weakest evidence grade that is paid at once. A weaker report waits for a stronger one, or for another event on the
    same message."""
    hold_back_days: Annotated[int, msgspec.Meta(ge=1, le=90)] | None = None
    """Hold the points back until they are approved; after this many days they are rejected. Absent: pay at once."""
    points_per: PointsPerRequest | None = None
    """How many points a purchase earns by its amount, which its report says (`purchase`). Needs `once_per` `message`, and the
    accounting class of the campaign says what its points are: mostly `purchase`."""


StoreLimits = Annotated[
    dict[Identifier, Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000_000)]], msgspec.Meta(min_length=1, max_length=1_000)
]


class CapRequest(Body, frozen=True):
    """A limit on what can be earned in one period. Periods follow the brand's calendar; weeks begin on Monday."""

    per: CapPer
    """What is counted: each `customer` or `store` separately, or the whole `campaign`. With a cap per `store`, each report
    names its store (`store_id`)."""
    window: Window
    """The length of a period. A `rolling_day` is any 24 hours, and only for `per: customer`."""
    action: Slug | None = None
    """Count only this action. Absent: all actions."""
    channel: Slug | None = None
    """Count only this channel. Absent: all channels."""
    max_grants: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    """The most grants in one period. Give at least one of the two limits."""
    max_points: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] | None = None
    """The most points in one period; per `store`, of each that is not in `stores`, and if absent these give nothing."""
    stores: StoreLimits | None = None
    """Per `store`: the most points of each in one period, by your id of the store; at most 1,000."""


class TermsRequest(Body, frozen=True):
    """A campaign's terms."""

    name: Identifier
    """The campaign's display name."""
    starts_at: Instant
    """When it starts, with a time zone. Earlier events earn nothing."""
    ends_at: Instant
    """When it ends, later than `starts_at`. Events at or after it earn nothing."""
    rules: Annotated[list[RuleRequest], msgspec.Meta(min_length=1, max_length=100)]
    """What the campaign pays for: at most one rule per action and channel."""
    caps: Annotated[list[CapRequest], msgspec.Meta(max_length=8)] = msgspec.field(default_factory=list[CapRequest])
    """Limits on what can be earned; no two caps count the same thing."""
    account_class: ClassName = msgspec.field(default="engagement", name="class")
    """The accounting class of the campaign's points. A new version changes it for points granted from then on."""
    expires_after_months: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = 12
    """Points expire at the end of the month this many months after they were earned; null: never."""

    def pays(self) -> tuple[Rule, ...]:
        """The rules, as campaigns keep them."""
        return tuple(
            Rule(
                rule.action,
                rule.points or 0,
                rule.channel,
                rule.once_per,
                Grade(rule.min_evidence),
                rule.hold_back_days,
                None if rule.points_per is None else PointsPer(rule.points_per.points, rule.points_per.minor_units),
            )
            for rule in self.rules
        )

    def limits(self) -> tuple[Cap, ...]:
        """The caps, as campaigns keep them."""
        return tuple(
            Cap(cap.per, cap.window, cap.action, cap.channel, cap.max_grants, cap.max_points, cap.stores) for cap in self.caps
        )


class CampaignRequest(TermsRequest, frozen=True, kw_only=True):
    """A campaign. With a `budget` it is funded at once, which also needs the scope `funds:write`."""

    id: CampaignId
    """Your id for the campaign; it cannot change."""
    budget: Annotated[int, msgspec.Meta(ge=0, le=FUND_MAX)] = 0
    """Points to fund it with at once. 0: fund it later."""
    offers: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether its messages may make offers (`offer_group`), each of which is paid once on whatever channels it is made. It
    cannot change. Absent: false."""

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
    """A campaign's complete terms from now on. An omitted field takes its default, not its previous value."""

    version: Annotated[int, msgspec.Meta(ge=2, le=2**31 - 1)] | None = None
    """The number this version is to have, so that a late retry or a colleague's change is not overwritten. Absent: the next
    number."""

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
    """A budget, in points. `left` is `funded` minus `granted`."""

    funded: int
    """All points the campaign was ever funded with."""
    granted: int
    """Points granted, including held-back points, and without those that were taken back."""
    left: int
    """Points it can still grant."""


class StoreBudgetResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a store may give in the current period of a cap per store."""

    store_id: str
    """Your id of the store."""
    cap: int
    """The cap's index, from 0, in `caps`."""
    period: date
    """The first day of the period, in the brand's time zone; 2000-01-01 if it counts for ever."""
    max_points: int
    """The most points in the period."""
    granted: int
    """Points granted in it, including held-back points."""
    left: int
    """Points it can still give in the period."""


class CampaignResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as it stands now."""

    id: str
    """The campaign's id, as you chose it."""
    version: int
    """The number of the version in force."""
    name: str
    """The campaign's display name."""
    starts_at: datetime
    """When it starts. Earlier events earn nothing."""
    ends_at: datetime
    """When it ends. Events at or after it earn nothing."""
    rules: Sequence[Rule]
    """What it pays for."""
    caps: Sequence[Cap]
    """Limits on what can be earned."""
    account_class: ClassName = msgspec.field(name="class")
    """The accounting class of its points: `engagement`, `purchase` or `third_party`."""
    expires_after_months: int | None
    """Points expire at the end of the month this many months after they were earned; null: never."""
    created_at: datetime
    """When the campaign was created."""
    paused_at: datetime | None
    """When it was paused; null if it is not."""
    offers: bool
    """Whether its messages may make offers, each of which is paid once on whatever channels it is made."""
    budget: BudgetResponse
    """Its budget, in points."""
    store_budgets: Sequence[StoreBudgetResponse] | None
    """What each store with a limit of its own has given and has left; null in lists."""

    @classmethod
    def of(
        cls, standing: Standing, budget: tuple[int, int], store_budgets: Sequence[StoreBudgetResponse] | None = None
    ) -> CampaignResponse:
        """Describe a campaign; ``budget`` is what was funded and granted, in points."""
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
            offers=campaign.makes_offers,
            budget=BudgetResponse(funded=funded, granted=granted, left=funded - granted),
            store_budgets=store_budgets,
        )


class VersionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a campaign's terms. It never changes."""

    version: int
    """The number of this version: 1, 2, 3 ..."""
    name: str
    """The campaign's display name."""
    starts_at: datetime
    """When it starts. Earlier events earn nothing."""
    ends_at: datetime
    """When it ends. Events at or after it earn nothing."""
    rules: Sequence[Rule]
    """What it pays for."""
    caps: Sequence[Cap]
    """Limits on what can be earned."""
    account_class: ClassName = msgspec.field(name="class")
    """The accounting class of its points: `engagement`, `purchase` or `third_party`."""
    expires_after_months: int | None
    """Points expire at the end of the month this many months after they were earned; null: never."""
    created_at: datetime
    """When this version took effect. It stays in force until the next version."""

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
    """The result of funding a campaign."""

    campaign: str
    """The campaign's id."""
    funded: int
    """How many points this call added."""
    budget_left: int
    """Points the campaign can grant now."""
    issued: int
    """All points the brand has ever funded its campaigns with."""


def class_name(account_class: AccountClass) -> ClassName:
    """The accounting class as it appears on the wire."""
    names: dict[AccountClass, ClassName] = {
        AccountClass.ENGAGEMENT: "engagement",
        AccountClass.PURCHASE: "purchase",
        AccountClass.THIRD_PARTY: "third_party",
    }
    return names[account_class]
