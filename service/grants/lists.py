"""Lists of decisions, newest first, by what was reported and what was decided."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from ledger import ActFilter, Book, Ledger, Position
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.customers import actions as customers
from service.customers.schemas import CustomerRef
from service.grants.queries import describe
from service.grants.schemas import DECIDED, GrantResponse
from service.http.filters import check_narrow, read_days, read_metadata, read_principal
from service.http.identifiers import parse_position, position
from service.http.pagination import Page

if TYPE_CHECKING:
    from service.services import Services

_NARROW = ("customer",)
_ONE_DAY = timedelta(days=1)
_NOTHING: Page[GrantResponse] = Page(items=[], next=None)


class GrantFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed, as it was asked for; ``None`` is any."""

    customer: str | None
    campaign: str | None
    outcome: str | None
    since: str | None
    until: str | None
    message_id: str | None
    action: str | None
    channel: str | None
    evidence: str | None
    principal: str | None
    metadata: str | None
    store_id: str | None = None


async def list_grants(
    services: Services, brand: Brand, wanted: GrantFilters, *, after: str | None, limit: int
) -> Page[GrantResponse]:
    """A page of the decisions that are wanted. Raises the ``Problem`` of a filter that cannot be answered."""
    act = _act(wanted)
    since, until = read_days(wanted.since, wanted.until)
    check_narrow({"customer": wanted.customer} | _sent(wanted), _NARROW, since, until)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    named = wanted.customer
    known = None if named is None else await customers.find(services, brand, CustomerRef(id=named), now=True)
    campaign_no = next((number for number, name in campaigns.items() if name == wanted.campaign), None)
    if (named is not None and known is None) or (wanted.campaign is not None and campaign_no is None):
        return _NOTHING
    events, following = await services.ledger.find_events(
        brand.book,
        customers=() if known is None else (known.customer, *known.former),
        campaign_no=campaign_no,
        outcomes=[number for number, (name, _) in DECIDED.items() if name == wanted.outcome],
        act=act,
        since=Position() if since is None else await _before(services.ledger, brand.book, since),
        before=await _beginning(services.ledger, brand.book, after, until),
        limit=limit,
    )
    return Page(items=[describe(event, campaigns) for event in events], next=None if following is None else position(following))


def _act(wanted: GrantFilters) -> ActFilter:
    return ActFilter(
        action=wanted.action,
        channel=wanted.channel,
        grade=wanted.evidence,
        message_id=wanted.message_id,
        principal=None if wanted.principal is None else read_principal(wanted.principal),
        metadata=None if wanted.metadata is None else read_metadata(wanted.metadata),
        store_id=wanted.store_id,
    )


def _sent(wanted: GrantFilters) -> dict[str, object]:
    names = ("message_id", "action", "channel", "evidence", "principal", "metadata", "store_id")
    return {name: getattr(wanted, name) for name in names}


async def _beginning(ledger: Ledger, book: Book, after: str | None, until: date | None) -> Position | None:
    """Before which event a page begins: the one that the page before ended with, or the first behind the days asked for."""
    asked = None if after is None else parse_position(after)
    if asked is not None or until is None:
        return asked
    last = await _before(ledger, book, until + _ONE_DAY)
    return Position(last.seq + 1, last.place + 1)


async def _before(ledger: Ledger, book: Book, day: date) -> Position:
    """The last event before a business date."""
    return Position((await ledger.cut_before_day(book, day)).seq, await ledger.place_before_day(book, day))
