"""The transfers of the log, by what they are, whose they are, and what their events and redemptions say."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ledger import AccountClass, ActFilter, AsOf, Book, Cut, Ledger, RedemptionFilter, Transfer, TransferFilter, Verb
from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.http.filters import check_narrow, read_date, read_days, read_metadata, read_principal
from service.http.problems import invalid_field
from service.redemptions.actions import redemption_number

if TYPE_CHECKING:
    from service.services import Services

Named = TypeVar("Named", bound=enum.IntEnum)

REDEMPTIONS_OF_ORDER_MAX = 100
_NARROW = ("customer", "redemption", "order_ref")
_BROAD = ("message_id", "principal", "metadata", "store_id", "terminal_id")


async def find_transfers(
    ledger: Ledger, book: Book, at: Cut | AsOf, wanted: TransferFilter, *, after: int, limit: int
) -> tuple[list[Transfer], int | None]:
    """A page of the log, of it what is ``wanted``, and the ``after`` of the next page; None at the end."""
    if wanted != TransferFilter():
        if isinstance(at, AsOf):
            raise invalid_field("?as_of", "cannot be sent with filters: send `to`, or a cut")
        return await ledger.find_transfers(book, wanted, after=after, cut=at.seq, limit=limit)
    found = await _list_transfers(ledger, book, at, after=after, limit=limit + 1)
    return found[:limit], found[limit - 1].seq if len(found) > limit else None


async def _list_transfers(ledger: Ledger, book: Book, at: Cut | AsOf, *, after: int, limit: int) -> list[Transfer]:
    if isinstance(at, AsOf):
        return await ledger.transfers_as_of(book, at, after=after, limit=limit)
    return await ledger.transfers(book, after=after, cut=at.seq, limit=limit)


class TransferQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed of the log, as it was asked for; ``None`` is any."""

    verb: str | None
    campaign: str | None
    account_class: str | None
    since: str | None
    until: str | None
    occurred_since: str | None
    occurred_until: str | None
    channel: str | None
    action: str | None
    grade: str | None
    customer: str | None
    redemption: str | None
    order_ref: str | None
    message_id: str | None
    principal: str | None
    metadata: str | None
    store_id: str | None
    terminal_id: str | None


async def transfer_filter(
    services: Services, brand: Brand, campaigns: Mapping[int, str], asked: TransferQuery
) -> TransferFilter:
    """What a caller asks for. Raises the problem of a name or a date that is none, or of what no index answers."""
    since, until = read_days(asked.since, asked.until)
    check_narrow({name: getattr(asked, name) for name in (*_NARROW, *_BROAD)}, _NARROW, since, until)
    return TransferFilter(
        verbs=None if asked.verb is None else tuple(_named(Verb, name, "?verb") for name in asked.verb.split(",")),
        campaign_no=None if asked.campaign is None else _numbered(campaigns, asked.campaign),
        account_class=None if asked.account_class is None else _named(AccountClass, asked.account_class, "?class"),
        since=since,
        until=until,
        occurred_since=None if asked.occurred_since is None else read_date("?occurred_from", asked.occurred_since),
        occurred_until=None if asked.occurred_until is None else read_date("?occurred_to", asked.occurred_until),
        act=_act(asked),
        customers=None if asked.customer is None else await _customers(services, brand, asked.customer),
        redemptions=await _redemptions(services.ledger, brand, asked),
        store_id=asked.store_id,
        terminal_id=asked.terminal_id,
    )


def _act(asked: TransferQuery) -> ActFilter:
    return ActFilter(
        action=asked.action,
        channel=asked.channel,
        grade=asked.grade,
        message_id=asked.message_id,
        principal=None if asked.principal is None else read_principal(asked.principal),
        metadata=None if asked.metadata is None else read_metadata(asked.metadata),
    )


async def _customers(services: Services, brand: Brand, named: str) -> tuple[int, ...]:
    known = await customers.find(services, brand, CustomerRef(id=named), now=True)
    return () if known is None else (known.customer, *known.former)


async def _redemptions(ledger: Ledger, brand: Brand, asked: TransferQuery) -> tuple[int, ...] | None:
    """The numbers of the redemption or of the order's; ``None`` for any."""
    found: set[int] | None = None
    if asked.order_ref is not None:
        of_order = RedemptionFilter(order_ref=asked.order_ref)
        listed, more = await ledger.find_redemptions(brand.book, of_order, limit=REDEMPTIONS_OF_ORDER_MAX)
        if more is not None:
            raise invalid_field("?order_ref", f"has more than {REDEMPTIONS_OF_ORDER_MAX} redemptions: send `redemption`")
        found = {each.redemption for each in listed}
    if asked.redemption is not None:
        number = redemption_number(brand, asked.redemption)
        found = {number} if found is None else found & {number}
    return None if found is None else tuple(sorted(found))


def _numbered(campaigns: Mapping[int, str], campaign: str) -> int:
    for number, name in campaigns.items():
        if name == campaign:
            return number
    raise invalid_field("?campaign", "the brand has no such campaign", code="unknown_campaign")


def _named(kind: type[Named], name: str, pointer: str) -> Named:
    for each in kind:
        if each.name.lower() == name:
            return each
    raise invalid_field(pointer, f"must be of: {', '.join(each.name.lower() for each in kind)}")
