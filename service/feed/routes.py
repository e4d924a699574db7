"""The feed over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import get

from ledger import Position
from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids
from service.feed.queries import read_feed
from service.feed.schemas import FeedEntry, FeedPage
from service.http.identifiers import parse_position, position
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterPosition, Limit

if TYPE_CHECKING:
    from service.services import Services


@get("/v1/events", guards=[requires(Scope.EVENTS_READ)], tags=["events"], responses=problems("position_beyond_end"))
async def list_events(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> FeedPage:
    """List everything that happened to the brand's customers, oldest first, as soon as it has happened.

    Store the `position` of the last entry you processed and resume after it: no entry is skipped or repeated, however often
    you stop. When a waiting or refused event is decided again, that is an entry of its own, with the same `grant_id`.
    """
    brand = principal.brand
    begin = (None if after is None else parse_position(after)) or Position()
    found = await read_feed(services.ledger, brand.book, after=begin, limit=limit + 1)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    items = [FeedEntry.of(entry, brand.book.book_id, campaigns) for entry in found[:limit]]
    looks.see(*(item.customer for item in items))
    return FeedPage(items=items, next=items[-1].position if items else position(begin), more=len(found) > limit)


route_handlers: list[Any] = [list_events]
