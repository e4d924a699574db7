"""Destinations: where a brand's links may lead, and the number that a link names each by."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brands.brand import Brand
from service.brands.destinations import DestinationRefused, normal_form
from service.http.problems import Problem, invalid_field
from service.links.tables import destination


def allowed_destination(url: str, brand: Brand) -> str | Problem:
    """A destination as it is kept, if the brand's links may lead there."""
    try:
        return normal_form(url, allowed_hosts=brand.destination_hosts, loopback_allowed=brand.mode == "test")
    except DestinationRefused as refused:
        return invalid_field("/destination", str(refused))


def leads_to(asked: str | None, kept: str | None) -> bool:
    """Whether a destination that is asked for is one that is kept, wherever the brand's links may lead by now."""
    if asked is None or kept is None:
        return asked == kept
    try:
        return normal_form(asked, allowed_hosts=[urlsplit(kept).netloc], loopback_allowed=True) == kept
    except DestinationRefused:
        return False


_insert_destinations = (
    insert(destination)
    .from_select(
        ["brand_id", "url"],
        select(
            bindparam("brand_id", type_=destination.c.brand_id.type),
            func.unnest(bindparam("urls", type_=ARRAY(destination.c.url.type))),
        ),
    )
    .on_conflict_do_nothing()
)
_destinations_by_url = select(destination.c.url, destination.c.destination_no).where(
    destination.c.brand_id == bindparam("brand_id"),
    destination.c.url == bindparam("urls", type_=ARRAY(destination.c.url.type)).any_(),
)


async def number_destinations(engine: AsyncEngine, brand: Brand, urls: set[str]) -> Mapping[str, int]:
    """The number of each URL; one that is new gets the next."""
    if not urls:
        return {}
    numbers = await _numbered(engine, brand, urls)
    missing = sorted(urls - numbers.keys())
    if not missing:
        return numbers
    async with engine.begin() as connection:
        await connection.execute(_insert_destinations, {"brand_id": brand.brand_id, "urls": missing})
    return await _numbered(engine, brand, urls)


async def _numbered(engine: AsyncEngine, brand: Brand, urls: set[str]) -> dict[str, int]:
    async with engine.connect() as connection:
        rows = await connection.execute(_destinations_by_url, {"brand_id": brand.brand_id, "urls": sorted(urls)})
        return {row.url: row.destination_no for row in rows}
