"""The feed over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger, Position
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.campaigns.queries import campaign_ids
from service.feed.schemas import FeedEntry, FeedPage
from service.http.identifiers import parse_position, position
from service.http.pagination import LIMIT_DEFAULT, AfterPosition, Limit


@get("/v1/events", guards=[requires(Scope.EVENTS_READ)], tags=["events"])
async def list_events(
    ledger: NamedDependency[Ledger],
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> FeedPage:
    """All that happened to the brand's customers, oldest first, as soon as it has.

    Keep the ``position`` of the last entry you have dealt with, and go on behind it: nothing is missed and nothing comes twice,
    however often you stop. What waited or was refused and is decided anew is an entry of its own, under the same ``grant_id``.
    """
    brand = principal.brand
    begin = (None if after is None else parse_position(after)) or Position()
    found = await ledger.feed(brand.book, after=begin, limit=limit + 1)
    campaigns = await campaign_ids(engine, brand.brand_id)
    items = [FeedEntry.of(entry, brand.book.book_id, campaigns) for entry in found[:limit]]
    return FeedPage(items=items, next=items[-1].position if items else position(begin), more=len(found) > limit)


route_handlers: list[Any] = [list_events]
