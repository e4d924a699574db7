"""What the document says: `PersonalData`, which is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec


class SubjectResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who it is about."""

    numbers: Sequence[str]
    """Our numbers of the customer: the one of now, and those of customers who were merged into it."""
    confirmed: bool
    """Whether the brand has given its own id for them."""
    verified: bool
    """Whether a name of theirs is verified."""
    spendable: int
    """The points they can spend now."""
    held: int
    """Points set aside for purchases."""
    pending: int
    """Points that wait for approval."""


class IdentityEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name of theirs. It is stored as a keyed hash, so it cannot be shown."""

    identity_id: str
    """The name's id, as in verifications."""
    kind: str
    """`id`, `email`, `phone` or `device`."""
    stored_at: datetime
    """Since when it is known."""
    verified: bool
    """Whether it is proved to be theirs."""


class VerificationEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A proof of a name, or its withdrawal."""

    identity_id: str
    """The name."""
    method: str | None
    """How it was proved; null: a withdrawal."""
    proof: str | None
    """What the brand says of the proof."""
    reason: str | None
    """Why it was withdrawn."""
    at: datetime
    """When."""


class ConsentEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What they said about a channel."""

    channel: str
    """The channel; `rewards` stands for all of them."""
    status: str
    """`granted` or `refused`."""
    at: datetime
    """When they said so."""
    source: str
    """Where they said so."""
    reason: str | None
    """Why they refused: `complaint` or `stop`; null for any other decision."""
    recorded_at: datetime
    """When it was recorded."""


class PreferenceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often they want to hear of the brand."""

    frequency: str | None
    """`any`, `weekly` or `monthly`; null: not said."""
    answered_at: datetime
    """When they answered."""


class LinkEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link that they were sent."""

    campaign: str
    """The campaign's id."""
    message_id: str
    """The sender's id of the message."""
    action: str
    """What following it reports."""
    channel: str
    """The message's channel."""
    label: str
    """What tells it from other links of the message."""
    destination: str | None
    """Where it leads; null for an image."""
    minted_at: datetime
    """When it was made."""
    sent_at: datetime | None
    """When the message was sent, if that was said."""
    expires_at: datetime
    """Until when it earns."""


class MessageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that they were sent, as the sender registered it."""

    message_id: str
    """The sender's id of the message."""
    campaign: str
    """The campaign's id."""
    channel: str
    """The channel."""
    conversation: str | None
    """The conversation that it is part of."""
    offer_group: str | None
    """The offer that it makes."""
    provider: str
    """Who sent it."""
    provider_message_id: str | None
    """The provider's id of it."""
    sent_at: datetime
    """When it was sent."""
    registered_at: datetime
    """When we were told of it."""


class OfferMessageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that made them an offer."""

    message_id: str
    """The sender's id of the message."""
    channel: str
    """The channel."""
    sent_at: datetime
    """When it was sent."""
    delivered_at: datetime | None
    """When it arrived, if that is known."""
    opened_at: datetime | None
    """When it was opened first, if it was."""
    clicked_at: datetime | None
    """When it was clicked first, if it was."""
    failed_at: datetime | None
    """When it was known never to arrive."""


class OfferEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An offer that they were made."""

    offer_group: str
    """The sender's id of it."""
    campaign: str
    """The campaign's id."""
    offered_at: datetime
    """When it was made."""
    lapses_at: datetime
    """When it lapses."""
    ended_at: datetime | None
    """When it was claimed or lapsed."""
    messages: Sequence[OfferMessageEntry]
    """The messages that made it."""


class DeviceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device on which the brand's app runs for them."""

    device: str
    """The id of the device: `dev_` and 24 hexadecimal digits."""
    public_key: str
    """Its public key, in Base64."""
    enrolled_at: datetime
    """When it was enrolled."""
    revoked_at: datetime | None
    """When it was revoked; null: it was not."""
    day: str | None
    """The last business day on which it reported anything; null: it has reported nothing."""
    receipts: int
    """How many acts it reported on that day."""
    points: int
    """What these earned."""


class OfferNoticeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an offer that they were made."""

    what: str
    """`lapsed`, or `fell_back`: a message did not arrive."""
    at: datetime
    """When it was noted."""
    campaign: str
    """The campaign's id."""
    offer_group: str | None
    """The sender's id of the offer."""
    channel: str | None
    """The channel of the message that did not arrive."""
    message_id: str | None
    """The sender's id of it."""


class ClickEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a link of theirs, of the last thirty days."""

    at: datetime
    """When."""
    way: str
    """What it was fetched for."""
    grade: str
    """How much of a person the request showed."""
    network: str | None
    """The network it came from, not the address."""
    agent: str | None
    """A keyed hash of what the browser called itself."""


class ActEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report of what they did that moved no points."""

    outcome: str
    """Why: `waiting`, `cap_reached`, `group_cap_reached` (of a store), `budget_exhausted` or `offer_lapsed`."""
    at: datetime
    """When it was decided."""
    counts_at: datetime
    """When it counts."""
    grant_id: str
    """The event's id."""
    campaign: str
    """The campaign's id."""
    action: str
    """What they did."""
    channel: str
    """Where."""
    message_id: str | None
    """The sender's id of the message."""
    label: str | None
    """What it was counted once for, beside the message: a link's label, or a day."""
    evidence: str
    """How well it is proved, `A` to `D`."""
    source: str
    """Who reported it: `api`, or `link` for a link of ours."""
    metadata: Any
    """What the reporter sent along."""


class TransferEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A movement of their points, with what was reported of a grant."""

    seq: int
    """Its number in the book."""
    type: str
    """The type of transfer, such as `grant` or `capture`."""
    points: int
    """How many points moved."""
    at: datetime
    """When it was posted."""
    occurred_at: datetime
    """When what it is for happened."""
    from_: str = msgspec.field(name="from")
    """The account the points left."""
    to: str
    """The account they reached."""
    grant_id: str | None
    """The grant; null if none. The fields below are of it."""
    campaign: str | None
    """The campaign's id."""
    action: str | None
    """What they did."""
    channel: str | None
    """Where."""
    message_id: str | None
    """The sender's id of the message."""
    label: str | None
    """What it was counted once for, beside the message: a link's label, or a day."""
    evidence: str | None
    """How well it is proved, `A` to `D`."""
    source: str | None
    """Who reported it: `api`, or `link` for a link of ours."""
    metadata: Any
    """What the reporter sent along."""


class StepEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a storefront said about a capture or refund."""

    seq: int
    """Its first transfer."""
    ref: str | None
    """The storefront's own reference."""
    store_id: str | None
    """The store."""
    terminal_id: str | None
    """The POS terminal."""


class RedemptionEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points used for a purchase; how many, the transfers say."""

    redemption_id: str
    """The redemption's id."""
    order_ref: str | None
    """The storefront's reference of the purchase."""
    value: int | None
    """What the points paid, in minor units of the brand's currency."""
    store_id: str | None
    """The store that authorized it."""
    terminal_id: str | None
    """The POS terminal that authorized it."""
    expires_at: datetime
    """Until when its points were held at most."""
    ended_at: datetime | None
    """When nothing was held any more; null: something is."""
    steps: Sequence[StepEntry]
    """What was said about captures and refunds."""


class CorrectionEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points that somebody of the brand's took or gave."""

    type: str
    """`clawback`: points of a grant were taken back. `adjust`: points were given or taken for a reason."""
    at: datetime
    """When."""
    grant_id: str | None
    """The grant; null if it was of none."""
    points: int
    """How many points were moved."""
    given: bool
    """Whether they were given; otherwise they were taken."""
    shortfall: int
    """How many were not there to be taken."""
    reason: str
    """Why."""
    reference: str | None
    """The brand's own reference."""
    note: str | None
    """What was said about it."""
    returned: int | None
    """The value of what was returned of the purchase, in minor units; null if it was no return."""


class ShortfallEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points that will be taken back as soon as they return to the customer."""

    grant_id: str
    """The grant they are of."""
    points: int
    """How many."""


class CodeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that they claimed."""

    batch: str
    """The id of its batch."""
    serial: int
    """Its number in the batch; of a code that pays each, the transfers have it alone."""
    action: str
    """What claiming it reports."""
    channel: str
    """Where."""
    claimed_at: datetime
    """When."""


class ApprovalEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for the customer that waited for another person of the brand's."""

    kind: str
    """What it was for, such as `adjustment`."""
    asked: Any
    """What was asked for, as it was sent."""
    asked_at: datetime
    """When it was asked for."""
    decision: str | None
    """`approved`, `declined` or `expired`; null while it waits."""
    decided_at: datetime | None
    """When that was decided."""
    note: str | None
    """What was said about it."""
    executed_at: datetime | None
    """When it was carried out."""
    result: Any
    """What came of it."""


class ErasureEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An erasure that was asked for."""

    asked_at: datetime
    """When."""
    by_customer: bool
    """Whether the customer asked for it."""
    state: str
    """How far it has come."""
    erases_at: datetime
    """Until when the customer may use their points."""


class RecordedAct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the audit trail has about them: a look of a person, a merge, an export such as this."""

    act: str
    """The act, such as `customer.look`."""
    at: datetime
    """When."""


class PersonalData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is held of a customer. Lists are in the order in which it came, links in none."""

    made_at: datetime
    """When this was put together."""
    customer: SubjectResponse
    """Who it is about."""
    identities: Sequence[IdentityEntry]
    """Their names."""
    verifications: Sequence[VerificationEntry]
    """Proofs of their names."""
    consents: Sequence[ConsentEntry]
    """What they said about channels."""
    preferences: Sequence[PreferenceEntry]
    """How often they want to hear of the brand."""
    transfers: Sequence[TransferEntry]
    """What moved their points."""
    acts: Sequence[ActEntry]
    """What was reported of them and moved none."""
    redemptions: Sequence[RedemptionEntry]
    """What they used points for."""
    corrections: Sequence[CorrectionEntry]
    """What somebody of the brand's took back, took or gave."""
    shortfalls: Sequence[ShortfallEntry]
    """What will be taken back as soon as it returns to them."""
    codes: Sequence[CodeEntry]
    """Codes they claimed."""
    approvals: Sequence[ApprovalEntry]
    """Requests for them that waited for another person."""
    erasures: Sequence[ErasureEntry]
    """Erasures that were asked for."""
    recorded_acts: Sequence[RecordedAct]
    """What the audit trail has about them."""
    links: Sequence[LinkEntry]
    """Links they were sent."""
    offers: Sequence[OfferEntry]
    """Offers that they were made."""
    offer_notices: Sequence[OfferNoticeEntry]
    """What became of them, other than that they were claimed."""
    messages: Sequence[MessageEntry]
    """Messages they were sent, of those that were registered."""
    devices: Sequence[DeviceEntry]
    """Devices on which the brand's app runs for them."""
    clicks: Sequence[ClickEntry]
    """Requests for these links."""
