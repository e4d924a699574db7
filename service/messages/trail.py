"""The trail of a message or a conversation: what was sent, what was fetched, what was decided and what that moved.

All of it is one customer's, so it is found among what is theirs; each part looks at a bounded number of entries, and the answer
says whether that was all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger import ActFilter, Event, Transfer, TransferFilter
from service.auth import looks
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.evidence.click_log import message_key
from service.grants.queries import describe
from service.http.identifiers import customer_id, parse_grant_id
from service.http.problems import invalid_field, not_found
from service.links.schemas import public_link_id
from service.messages.queries import SQL, SentMessage
from service.messages.trail_schemas import (
    TrailAct,
    TrailClick,
    TrailLink,
    TrailMessage,
    TrailOffer,
    TrailPosting,
    TrailResponse,
)
from service.offers import reading
from service.offers.reading import StoredOffer

if TYPE_CHECKING:
    from service.services import Services

MESSAGES_MAX = 50
"""Messages of a conversation that are looked at, the first ones."""
LINKS_MAX = 1_000
"""Links of a customer's number that are looked through, the newest."""
OFFERS_MAX = 10
"""Offers of a conversation that are looked at, the first ones."""
ROWS_MAX = 1_000
"""Clicks that are shown, and acts and postings of one message."""

_MESSAGES = (SQL / "messages_of_trail.sql").read_text()
_LINKS = (SQL / "links_of_trail.sql").read_text()
_HAS_MANY_LINKS = (SQL / "has_many_links.sql").read_text()
_CLICKS = (SQL / "clicks_of_trail.sql").read_text()


class Subject(NamedTuple):
    """Whose trail it is, of which messages."""

    known: Customer
    message_ids: Sequence[str]

    @property
    def numbers(self) -> list[int]:
        """All numbers that the customer has had."""
        return [self.known.customer, *self.known.former]


async def of_message(services: Services, brand: Brand, message_id: str, customer: str | None) -> TrailResponse:
    """The trail of a message. The customer may be left out if it was registered for one alone."""
    known = await _named(services, brand, customer)
    registered = await _registered(services, brand, known, message_id=message_id)
    known = known or await _only_one(services, brand, registered, "/message_id")
    return await _trail(services, brand, Subject(known, [message_id]), registered)


async def of_conversation(services: Services, brand: Brand, conversation: str, customer: str | None) -> TrailResponse:
    """The trail of a conversation: of all messages that were registered as part of it."""
    known = await _named(services, brand, customer)
    registered = await _registered(services, brand, known, conversation=conversation)
    if not registered:
        raise not_found("conversation")
    known = known or await _only_one(services, brand, registered, "?conversation")
    subject = Subject(known, list(dict.fromkeys(each.message_id for each in registered[:MESSAGES_MAX])))
    return await _trail(services, brand, subject, registered)


async def _named(services: Services, brand: Brand, customer: str | None) -> Customer | None:
    if customer is None:
        return None
    known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
    if known is None:
        raise not_found("customer")
    return known


async def _registered(
    services: Services, brand: Brand, known: Customer | None, *, message_id: str | None = None, conversation: str | None = None
) -> list[SentMessage]:
    """What was registered, one more than is looked at."""
    numbers = None if known is None else [known.customer, *known.former]
    rows = await services.pool.fetch(_MESSAGES, brand.brand_id, message_id, conversation, numbers, MESSAGES_MAX + 1)
    return [SentMessage(*row) for row in rows]


async def _only_one(services: Services, brand: Brand, registered: Sequence[SentMessage], at: str) -> Customer:
    """The customer of messages, if it is one."""
    if not registered:
        raise invalid_field("?customer", "is required, as no message is registered under this id")
    numbers = {each.customer for each in registered}
    found = await services.customers.find_numbers(brand, numbers)
    people = {each.customer: each for each in found.values()}
    if len(people) != 1:
        raise invalid_field("?customer", f"is required: several customers have messages with this {at[1:]}")
    return next(iter(people.values()))


async def _trail(services: Services, brand: Brand, subject: Subject, registered: Sequence[SentMessage]) -> TrailResponse:
    looks.see(subject.known.customer)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    pool, numbers = services.pool, subject.numbers
    links: list[Any] = await pool.fetch(_LINKS, brand.brand_id, numbers, subject.message_ids, LINKS_MAX)
    keys = [message_key(number, message_id) for number in numbers for message_id in subject.message_ids]
    clicks: list[Any] = await pool.fetch(_CLICKS, keys, ROWS_MAX)
    acts, has_all_acts = await _acts(services, brand, subject, campaigns)
    offered = await reading.of_messages(services, brand, numbers, subject.message_ids, limit=OFFERS_MAX + 1)
    return TrailResponse(
        customer=customer_id(subject.known.customer),
        messages=[_message(each, campaigns) for each in registered[:MESSAGES_MAX]],
        links=[_link(row, campaigns) for row in links],
        clicks=[
            TrailClick(link_id=public_link_id(row["link_id"]), at=row["at"], way=row["way"], evidence=row["grade"])
            for row in clicks
        ],
        acts=acts,
        offers=await _offers(services, brand, offered[:OFFERS_MAX]),
        complete=has_all_acts
        and len(offered) <= OFFERS_MAX
        and len(registered) <= MESSAGES_MAX
        and len(clicks) < ROWS_MAX
        and not await pool.fetchval(_HAS_MANY_LINKS, numbers, LINKS_MAX),
    )


async def _acts(
    services: Services, brand: Brand, subject: Subject, campaigns: Mapping[int, str]
) -> tuple[list[TrailAct], bool]:
    """What was decided on the messages, oldest first, and whether that is all."""
    ledger, book, numbers = services.ledger, brand.book, subject.numbers
    cut = (await ledger.head(book)).seq
    events: list[Event] = []
    moved: dict[tuple[int | None, bytes | None], list[Transfer]] = defaultdict(list)
    is_all = True
    for message_id in subject.message_ids:
        act = ActFilter(message_id=message_id)
        found, following = await ledger.find_events(book, customers=numbers, act=act, limit=ROWS_MAX)
        events += found
        wanted = TransferFilter(customers=tuple(numbers), act=act)
        transfers, more = await ledger.find_transfers(book, wanted, after=0, cut=cut, limit=ROWS_MAX)
        for each in transfers:
            moved[each.campaign_no, each.event_key].append(each)
        is_all = is_all and following is None and more is None
    events.sort(key=lambda event: (event.decided_at, event.key))
    return [
        TrailAct(grant=describe(event, campaigns), postings=[_posting(each) for each in moved[event.campaign_no, event.key]])
        for event in events
    ], is_all


async def _offers(services: Services, brand: Brand, offered: Sequence[StoredOffer]) -> list[TrailOffer]:
    """Offers, each with what its claim moved, on whichever of its messages that was."""
    shown: list[TrailOffer] = []
    for offer in await reading.describe(services, brand, offered):
        name = None if offer.claim is None else parse_grant_id(offer.claim.grant_id)
        moved = [] if name is None else await _moved(services, brand, *name)
        shown.append(TrailOffer(offer=offer, postings=moved))
    return shown


async def _moved(services: Services, brand: Brand, campaign_no: int, key: bytes) -> list[TrailPosting]:
    ledger = services.ledger
    events = await services.events.get_many({(brand.book, campaign_no, key)})
    event = events.get((brand.book, campaign_no, key))
    if event is None:
        return []
    cut = (await ledger.head(brand.book)).seq
    wanted = TransferFilter(customers=(event.customer,), act=ActFilter(message_id=event.message_id))
    transfers, _ = await ledger.find_transfers(brand.book, wanted, after=0, cut=cut, limit=ROWS_MAX)
    return [_posting(each) for each in transfers if (each.campaign_no, each.event_key) == (campaign_no, key)]


def _posting(transfer: Transfer) -> TrailPosting:
    return TrailPosting(seq=transfer.seq, verb=transfer.verb.name.lower(), points=transfer.amount, posted_at=transfer.posted_at)


def _message(sent: SentMessage, campaigns: Mapping[int, str]) -> TrailMessage:
    return TrailMessage(
        message_id=sent.message_id,
        campaign=campaigns[sent.campaign_no],
        channel=sent.channel,
        conversation=sent.conversation,
        offer_group=sent.offer_group,
        provider=sent.provider,
        provider_message_id=sent.provider_message_id,
        sent_at=sent.sent_at,
    )


def _link(row: Any, campaigns: Mapping[int, str]) -> TrailLink:
    return TrailLink(
        link_id=public_link_id(row["link_id"]),
        message_id=row["message_id"],
        campaign=campaigns[row["campaign_no"]],
        action=row["action"],
        channel=row["channel"],
        label=row["label"] or None,
        minted_at=row["minted_at"],
        sent_at=row["sent_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
