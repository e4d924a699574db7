"""The views on the wire. What a view has is its struct's fields: a department sees no field that is not here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from service.customers.schemas import LotResponse


class CareName(msgspec.Struct, frozen=True, kw_only=True):
    """A name of the customer's. It is stored as a keyed hash, so it cannot be shown."""

    kind: str
    """`id`, `email`, `phone` or `device`."""
    verified: bool
    """Whether it is proved to be theirs."""
    since: datetime
    """Since when it is known."""


class CareConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What applies to a channel."""

    channel: str
    """The channel; `rewards` stands for all of them."""
    status: Literal["granted", "refused"]
    """Whether the customer may be contacted on it."""
    at: datetime
    """When the customer decided this."""
    source: str
    """Where they said so."""
    reason: str | None
    """Why they refuse: `complaint` or `stop`; null for any other decision."""


class CareEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened to the customer."""

    at: datetime
    """When it was posted or decided."""
    text: str
    """What happened, in words."""
    type: str
    """The type of transfer, such as `grant`; `waiting` or `refused` for a decision that moved no points."""
    points: int
    """The change in the points the customer can spend; negative when they left."""
    campaign: str | None
    """The campaign's id; null if none."""
    action: str | None
    """What the customer did; null if nothing."""
    channel: str | None
    """Where; null if nothing was done."""
    message_id: str | None
    """The sender's id of the message, also of one that a purchase came by; null if none, or erased."""
    grant_id: str | None
    """The grant it is of; null if none."""
    held_until: datetime | None
    """Until when the points of the grant are held back; null if they are not."""
    redemption_id: str | None
    """The redemption it is of; null if none."""
    order_ref: str | None
    """The shop's reference of the purchase; null if none, or erased."""
    store_id: str | None
    """The store that authorized it; null if none."""
    terminal_id: str | None
    """The POS terminal that authorized it; null if none."""
    reason: str | None
    """Why it was refused or corrected; null if it was not."""
    reference: str | None
    """The reference given with a correction; null if none, or erased."""
    note: str | None
    """What was said about a correction; null if nothing, or erased."""
    may: Sequence[str]
    """The calls with which somebody in care may act on it."""


class CareStatement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a customer, for those who answer them."""

    customer: str
    """Our number (`cus_`) of the customer."""
    former: Sequence[str]
    """Our numbers of the customers who were merged into this one."""
    confirmed: bool
    """Whether the brand has given its own id for them."""
    verified: bool
    """Whether a name of theirs is verified."""
    spendable: int
    """The points they can spend now."""
    held: int
    """Points set aside for purchases."""
    pending: int
    """Points held back until somebody approves of them."""
    lots: Sequence[LotResponse]
    """The spendable points by expiry day, soonest first."""
    names: Sequence[CareName]
    """Their names: the 100 that have been known for longest."""
    consents: Sequence[CareConsent]
    """What applies to each channel that they said something of."""
    entries: Sequence[CareEntry]
    """What happened, newest first."""
    next: str | None
    """The `after` of the next page; null on the last page."""


class MarketingChannel(msgspec.Struct, frozen=True, kw_only=True):
    """How the customer responds on a channel."""

    channel: str
    """The channel."""
    status: Literal["granted", "refused"] | None
    """Whether they may be contacted on it; null if they have not said."""
    messages: int
    """Messages they were sent in the last 30 days."""
    rewards: int
    """Acts of theirs in that time that were rewarded."""
    points: int
    """Points these acts earned."""
    last_message_at: datetime | None
    """When they were last sent one in that time; null if they were not."""
    last_rewarded_at: datetime | None
    """When they were last rewarded in that time; null if they were not."""


class MarketingEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One act of the customer's."""

    at: datetime
    """When it counts."""
    campaign: str
    """The campaign's id."""
    campaign_version: int
    """The version of the campaign it was decided by."""
    action: str
    """What they did."""
    channel: str
    """Where."""
    message_id: str | None
    """The sender's id of the message, also of one that a purchase came by; null if erased."""
    evidence: str
    """How well it is proved, `A` to `D`."""
    outcome: str
    """How it was decided: `granted`, `held_back`, `waiting` or `refused`."""
    reason: str | None
    """Why it was not granted; null if it was."""
    points: int
    """Points it earned, or holds back."""


class MarketingStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer does on which channel, for those who make campaigns."""

    customer: str
    """Our number (`cus_`) of the customer."""
    frequency: str | None
    """How often they want to hear of the brand: `any`, `weekly` or `monthly`; null if they have not said."""
    channels: Sequence[MarketingChannel]
    """Their response on each channel that they were contacted on in the last 30 days, or said something of."""
    entries: Sequence[MarketingEntry]
    """Their acts, newest first."""
    next: str | None
    """The `after` of the next page; null on the last page."""


class FinanceClass(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed to the customer in one accounting class: `opening` and all of `movements` come to `closing`."""

    account_class: str = msgspec.field(name="class")
    """The accounting class: `engagement`, `purchase` or `third_party`."""
    opening: int
    """Points owed at the beginning of the first day."""
    movements: dict[str, int]
    """By how many points each type of transfer changed it, such as `grant` or `capture`."""
    closing: int
    """Points owed at the end of the last day."""
    opening_value: int | None
    """What the opening was worth on the day before, in minor units of the brand's currency, rounded down; null: points have no
    value yet."""
    closing_value: int | None
    """What the closing is worth on the last day, likewise."""


class FinanceLot(msgspec.Struct, frozen=True, kw_only=True):
    """Points that the customer can spend now, of one class and last day."""

    account_class: str = msgspec.field(name="class")
    """Their accounting class."""
    expires_on: date | None
    """The last day on which they can be spent, in the brand's time zone; null: they never expire."""
    points: int
    """How many points."""
    value: int | None
    """What they are worth today, in minor units of the brand's currency, rounded down; null: points have no value yet."""


class FinanceEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One transfer of the customer's."""

    seq: int
    """The transfer's number in the book."""
    accounting_date: date
    """The business date it counts on."""
    posted_at: datetime
    """When it was posted."""
    type: str
    """The type of transfer, such as `grant` or `capture`."""
    account_class: str = msgspec.field(name="class")
    """The accounting class of its points."""
    points: int
    """How many points moved."""
    change: int
    """By how much it changed what is owed: setting points aside changes nothing, spending them does."""
    value: int | None
    """What `points` were worth on the accounting date, in minor units, rounded down; null: points had no value."""
    debit: str
    """The account the points left."""
    credit: str
    """The account they reached."""
    campaign: str | None
    """The campaign's id; null if none."""
    redemption_id: str | None
    """The redemption it is of; null if none."""


class FinanceStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed to a customer, what changed it, and what it is worth. It ties to the ledger, or fails."""

    customer: str
    """Our number (`cus_`) of the customer."""
    since: date = msgspec.field(name="from")
    """The first accounting date included."""
    until: date = msgspec.field(name="to")
    """The last accounting date included."""
    currency: str
    """The brand's currency."""
    seq: int
    """The last transfer included."""
    classes: Sequence[FinanceClass]
    """What is owed by accounting class, as in the roll-forward: points held back are not owed yet. What fell due and is not
    posted is still in it; lots have it no more."""
    lots: Sequence[FinanceLot]
    """What they can spend now, soonest to expire first."""
    entries: Sequence[FinanceEntry]
    """Their transfers, newest first, whatever the days asked for."""
    next: str | None
    """The `after` of the next page; null on the last page."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A transfer of the customer's, or a decision that moved no points."""

    seq: int
    """The transfer's number in the book; of a decision, the last one before it."""
    place: int | None
    """The decision's number among those that moved no points; null for a transfer."""
    at: datetime
    """When it was posted or decided."""
    accounting_date: date | None
    """The business date a transfer counts on; null for a decision."""
    verb: str | None
    """The transfer's verb, such as `grant` or `time_out`; null for a decision."""
    debit: str | None
    """The account the points left; null for a decision."""
    credit: str | None
    """The account they reached; null for a decision."""
    points: int
    """How many points moved; 0 for a decision."""
    transaction_id: int | None
    """The first transfer of those it stands or falls with; null for a decision."""
    leaf_version: int | None
    """The version of the row's hash; null for a decision."""
    details_hash: str | None
    """The hash of what was reported, as the log has it, in hexadecimal; null if it has none."""
    grant_id: str | None
    """The event it belongs to; null if none."""
    outcome: str | None
    """How the event stands now: `granted`, `held_back`, `waiting` or `refused`; null without event."""
    reason: str | None
    """Why the event was not granted, or why points were corrected; null if neither."""
    evidence: str | None
    """The event's grade, `A` to `D`; null without event."""
    campaign: str | None
    """The campaign's id; null if none."""
    campaign_version: int | None
    """The version of the campaign that the event was decided by; null without event."""
    rule: int | None
    """The rule of that version, from 0; null without event."""
    source: str | None
    """Who reported the event: `api` for a key, `link` for our own link; null without event."""
    principal: str | None
    """The API key that reported the event or asked for the correction: `key_` and a number; null if none."""
    redemption_id: str | None
    """The redemption it is of; null if none."""


class AuditLook(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail about the customer."""

    entry: int
    """Its number in the trail."""
    at: datetime
    """When."""
    act: str
    """The act: `customer.look` is a look of a person, with the first call in that hour."""
    call: str | None
    """The call with which somebody looked; null for other acts."""
    principal: str | None
    """The API key it was done with: `key_` and a number; null for the operator."""
    person: str | None
    """The person whose key it is: `per_` and a number; null for a system's key and the operator."""


class AuditStatement(msgspec.Struct, frozen=True, kw_only=True):
    """What was posted and decided for a customer, by which rule and on whose report, and who looked at them."""

    customer: str
    """Our number (`cus_`) of the customer."""
    looks: Sequence[AuditLook]
    """What the audit trail has about them, newest first: the last 100. This look comes next."""
    entries: Sequence[AuditEntry]
    """What was posted and decided, newest first."""
    next: str | None
    """The `after` of the next page; null on the last page."""
