"""What happened, as a report or a link says it, read by the terms of its campaign.

    Act             what is to be decided, before its customer is looked up
    Unpaid          an act that is not decided now, and why
    act_of_report   the act of a report
    read_acts       the acts of a batch of reports
    act_of_link     the act of a link

No act is left unpaid because of a cached campaign: one that would pay nothing is read again past the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from ledger import Grade
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import campaign_of_link, campaign_standing, campaign_version
from service.campaigns.rules import LOCATED, VOLUNTEERED, Campaign, OncePer, Standing, claimed_grade, is_at_least
from service.concurrency.fairness import in_chunks
from service.grants.answers import ignored
from service.grants.kinds import locations, purchases, stores, volunteered
from service.grants.schemas import METADATA_BYTES_MAX, GrantAnswer, GrantRequest, Reason
from service.grants.windows import AGE_MAX, AHEAD_MAX, window_at
from service.http.problems import Problem, invalid_field, not_found
from service.offers.queries import Offer

if TYPE_CHECKING:
    from service.services import Services

SOURCE_LINK = "link"
"""The source of what was claimed by a link of ours."""

_encode_metadata = msgspec.json.Encoder(order="deterministic").encode


class Act(msgspec.Struct, frozen=True, gc=False):
    """What happened, whoever reported it, before its customer is looked up.

    ``was_paid_for``: no rule pays for it, and one did. ``rule`` is the number of the rule that pays for it, if one does, and
    ``qualifier`` what it lets count again. ``may_wait`` are the actions of the campaign of which a weak report waits for proof
    of a person, each with the grade that will do. ``points`` are what a purchase earns by its amount; ``None``: the rule's.
    ``store`` is where it happened, if the campaign has budgets for stores. ``offer`` is what the message offers,
    once it is looked up.
    """

    campaign: Campaign
    rule: int | None
    message_id: str
    action: str
    channel: str
    qualifier: str
    grade: Grade
    occurred_at: datetime
    window_at: datetime
    received_at: datetime
    source: str
    principal: int
    metadata: str | None
    may_wait: Mapping[str, Grade]
    was_paid_for: bool = False
    points: int | None = None
    store: str | None = None
    offer: Offer | None = None

    @property
    def is_of_a_message(self) -> bool:
        """Whether it was done with a message; what customers buy or tell of themselves is not."""
        return self.points is None and not self.action.startswith(VOLUNTEERED)

    def proved_actions(self) -> list[str]:
        """The other actions on the message for which this act is proof of a person."""
        return [action for action, needed in self.may_wait.items() if action != self.action and is_at_least(self.grade, needed)]


class ClaimedLink(Protocol):
    """What a claim needs to know of a link."""

    @property
    def campaign_no(self) -> int: ...
    @property
    def campaign_version(self) -> int: ...
    @property
    def customer(self) -> int: ...
    @property
    def message_id(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def minted_at(self) -> datetime: ...


class Unpaid(msgspec.Struct, frozen=True):
    """An act that is not decided now, and why. An earlier decision on it is still answered."""

    act: Act
    reason: Reason


def is_doubtful(read: Act | Unpaid | GrantAnswer | Problem) -> bool:
    """Whether an act would earn nothing because of the cached state of its campaign, which may be a moment old."""
    return isinstance(read, Unpaid) or (isinstance(read, Act) and read.rule is None)


async def act_of_link(
    services: Services, link: ClaimedLink, brand: Brand, grade: Grade, received_at: datetime, *, has_receipt: bool = False
) -> tuple[Act, Reason | None]:
    """A link's act, and the reason if it is not to be decided.

    ``has_receipt``: it is an answer that we have recorded, and no link.
    """
    campaign = await campaign_version(services, link.campaign_no, link.campaign_version)
    standing = await campaign_of_link(services, link.campaign_no)
    if campaign is None or standing is None or campaign.brand_id != brand.brand_id:
        raise not_found("link")
    rule = campaign.rule_number(link.action, link.channel)
    if rule is not None and (campaign.has_store_budgets or not (campaign.rules[rule].pays_links or has_receipt)):
        rule = None
    reason = _not_its_time(campaign, received_at) or (None if rule is not None else "no_rule")
    if reason is None and standing.paused_at is not None:
        standing = await campaign_of_link(services, link.campaign_no, now=True) or standing
        reason = None if standing.paused_at is None else "campaign_paused"
    act = Act(
        campaign=campaign,
        rule=rule,
        message_id=link.message_id,
        action=link.action,
        channel=link.channel,
        qualifier=_qualifier(_once_per(campaign, rule, standing, link.action), link.label, brand, received_at),
        grade=grade,
        occurred_at=received_at,
        window_at=received_at,
        received_at=received_at,
        source=SOURCE_LINK,
        principal=0,
        metadata=None,
        may_wait=standing.waiting_actions,
    )
    return act, reason


def act_of_report(
    item: GrantRequest, standing: Standing | None, principal: Principal, received_at: datetime
) -> Act | Unpaid | GrantAnswer | Problem:
    """The act of a report; or why it is not decided; or what is wrong with the report."""
    if standing is None:
        return invalid_field("/campaign", "the brand has no such campaign", code="unknown_campaign")
    if item.store_id is not None:
        named = stores.at_its_store(item)
        if isinstance(named, Problem):
            return named
        item = named
    occurred_at = received_at if item.occurred_at is None else item.occurred_at.astimezone(UTC)
    counts_at = window_at(occurred_at, received_at, principal.lateness)
    if counts_at is None:
        allowed = f"must lie between {AGE_MAX.days} days ago and {AHEAD_MAX.seconds // 60} minutes ahead"
        return invalid_field("/occurred_at", allowed, code="occurred_at_out_of_range")
    metadata = None if item.metadata is None else _metadata(item)
    if isinstance(metadata, Problem):
        return metadata
    # By the database's clock a version may be a moment younger than our own clock's now.
    campaign = standing.current if item.occurred_at is None else standing.version_at(counts_at)
    reason = _not_its_time(campaign, counts_at) or (None if standing.paused_at is None else "campaign_paused")
    if item.evidence == "X":
        # A visit by a machine does not report the act.
        return ignored(reason or "machine")
    asked = None if item.evidence is None else Grade(item.evidence)
    rule = campaign.rule_number(item.action, item.channel)
    act = Act(
        campaign=campaign,
        rule=rule,
        message_id=item.message_id,
        action=item.action,
        channel=item.channel,
        qualifier=_qualifier(_once_per(campaign, rule, standing, item.action), item.link or "", principal.brand, occurred_at),
        grade=claimed_grade(item.action, asked, principal.max_evidence),
        occurred_at=occurred_at,
        window_at=counts_at,
        received_at=received_at,
        source=principal.reports_as,
        principal=principal.api_key_id,
        metadata=metadata,
        may_wait=standing.waiting_actions,
        was_paid_for=rule is None and item.action in standing.once_per,
        store=item.store_id if campaign.has_store_budgets else None,
    )
    if campaign.has_store_budgets and item.store_id is None and (wrong := stores.missing(campaign, item.action, item.channel)):
        return wrong
    if "." in item.action:
        act = _of_no_message(act, item)
        if isinstance(act, Problem):
            return act
    if item.purchase is not None or (rule is not None and campaign.rules[rule].points_per is not None):
        act = _bought(act, item, principal.brand)
        if isinstance(act, Problem):
            return act
        if act.points == 0:
            reason = reason or "amount_too_small"
    if reason is None and act.rule is None and not act.proved_actions():
        reason = "no_rule"
    return act if reason is None else Unpaid(act, reason)


def _metadata(item: GrantRequest) -> str | Problem:
    """A report's metadata as it is kept."""
    metadata = _encode_metadata(item.metadata).decode()
    if len(metadata.encode()) > METADATA_BYTES_MAX:
        return invalid_field("/metadata", f"must be at most {METADATA_BYTES_MAX} bytes of JSON")
    return locations.coordinates(item) or metadata


def _of_no_message(act: Act, item: GrantRequest) -> Act | Problem:
    """The act as what its action begins with makes of it, whatever message it came by."""
    if item.action.startswith(VOLUNTEERED):
        return _volunteered(act, item)
    return _located(act, item) if item.action.startswith(LOCATED) else act


def _located(act: Act, item: GrantRequest) -> Act | Problem:
    """The act as of the place that the customer came to: nothing else that was said of it is kept."""
    place = locations.place_of(item)
    if isinstance(place, Problem):
        return place
    metadata = None if item.store_id is None else _encode_metadata({stores.KEPT_AS: item.store_id}).decode()
    return msgspec.structs.replace(act, message_id=place, metadata=metadata, may_wait={})


def _volunteered(act: Act, item: GrantRequest) -> Act | Problem:
    """The act as what the customer told, whatever message it came by."""
    qualifier = volunteered.once_per(item.metadata)
    if isinstance(qualifier, Problem):
        return qualifier
    metadata = _encode_metadata({"message_id": item.message_id} | (item.metadata or {})).decode()
    return msgspec.structs.replace(act, message_id=volunteered.MESSAGE_ID, qualifier=qualifier, metadata=metadata, may_wait={})


def _bought(act: Act, item: GrantRequest, brand: Brand) -> Act | Problem:
    """The act as what was bought, whatever message it came by."""
    bought = purchases.purchase_of(item, None if act.rule is None else act.campaign.rules[act.rule], brand)
    if isinstance(bought, Problem):
        return bought
    assert item.purchase is not None
    return msgspec.structs.replace(
        act,
        message_id=item.purchase.order_ref,
        qualifier=purchases.QUALIFIER,
        metadata=bought.metadata,
        may_wait={},
        points=bought.points,
    )


def _once_per(campaign: Campaign, rule: int | None, standing: Standing, action: str) -> OncePer:
    """What an act counts once per, even if the rule that paid for it is gone."""
    return standing.once_per.get(action, "message") if rule is None else campaign.rules[rule].once_per


def _qualifier(once_per: OncePer, label: str, brand: Brand, occurred_at: datetime) -> str:
    """What the rule lets count again: nothing, another link, another day."""
    match once_per:
        case "message":
            return ""
        case "link":
            return label
        case "day":
            # The day on which it happened, however late the report: else a retry on another day would be paid again.
            return brand.calendar.day(occurred_at).isoformat()


def _not_its_time(campaign: Campaign, at: datetime) -> Reason | None:
    if at < campaign.starts_at:
        return "campaign_not_started"
    return "campaign_over" if at >= campaign.ends_at else None


async def read_acts(
    services: Services, principal: Principal, items: Sequence[GrantRequest | Problem], received_at: datetime
) -> list[Act | Unpaid | GrantAnswer | Problem]:
    """The act of each item, in order. A campaign that would pay nothing is read again, once, past the cache."""
    names = {item.campaign for item in items if isinstance(item, GrantRequest)}
    campaigns = {name: await campaign_standing(services, principal.brand, name) for name in names}

    def read(item: GrantRequest | Problem) -> Act | Unpaid | GrantAnswer | Problem:
        return item if isinstance(item, Problem) else act_of_report(item, campaigns[item.campaign], principal, received_at)

    acts = await in_chunks(read, items)
    # Of most batches each item is an act that a rule pays for.
    uncertain = [n for n, each in enumerate(acts) if type(each) is not Act or each.rule is None]
    doubtful = {item.campaign for n in uncertain if isinstance(item := items[n], GrantRequest) and is_doubtful(acts[n])}
    if not doubtful:
        return acts
    for name in doubtful:
        campaigns[name] = await campaign_standing(services, principal.brand, name, now=True)
    return await in_chunks(read, items)
