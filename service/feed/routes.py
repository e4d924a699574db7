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
from service.identifiers import parse_position
from service.pagination import LIMIT_DEFAULT, AfterPosition, Limit

_BEGINNING = "0"


@get("/v1/events", guards=[requires(Scope.EVENTS_READ)], tags=["events"])
async def list_events(
    ledger: NamedDependency[Ledger],
    engine: NamedDependency[AsyncEngine],
    principal: NamedDependency[Principal],
    after: AfterPosition = None,
    limit: Limit = LIMIT_DEFAULT,
) -> FeedPage:
    """All that happened to the brand's customers, oldest first.

    Keep the ``position`` of the last entry you have dealt with, and go on behind it: nothing is missed and nothing comes twice,
    however often you stop. Grants and everything about points are there at once. What was refused or waits is there as soon as
    points have moved after it; until then ``GET /v1/grants`` shows it. If what waited is paid later, that is an entry of its
    own, under the same ``grant_id``.
    """
    brand = principal.brand
    begin = (None if after is None else parse_position(after)) or Position(0)
    found = await ledger.happenings(brand.book, after=begin, limit=limit + 1)
    campaigns = await campaign_ids(engine, brand.brand_id)
    items = [FeedEntry.of(happening, brand.book.book_id, campaigns) for happening in found[:limit]]
    return FeedPage(items=items, next=items[-1].position if items else after or _BEGINNING, more=len(found) > limit)


route_handlers: list[Any] = [list_events]
