"""Creating a brand: all or nothing, and only as it should be."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg
import pytest

from service.brands.errors import BrandExists, BrandInvalid
from service.brands.queries import BrandDirectory, find_brand, find_brand_by_id, list_brands
from service.storage.database import APPLICATION_ROLE, create_engine
from tests.api_fixtures import make_brand
from tests.conftest import Database

Owner: TypeAlias = "asyncpg.Connection[Any]"


async def test_a_brand_has_a_book_of_its_own(owner: Owner, database: Database) -> None:
    first = await make_brand(owner)
    second = await make_brand(owner, code="other", destination_hosts=["a.example", "localhost:8080"])
    assert first.book.book_id != second.book.book_id
    heads = await owner.fetch("SELECT book_id, brand_id, unit, time_zone FROM ledger.head ORDER BY brand_id")
    assert [tuple(head) for head in heads] == [
        (first.book.book_id, first.brand_id, "LUM", "Europe/Berlin"),
        (second.book.book_id, second.brand_id, "LUM", "Europe/Berlin"),
    ]
    engine = create_engine(database.application_url, APPLICATION_ROLE)
    assert await find_brand(engine, "lumen") == first
    assert await find_brand_by_id(engine, second.brand_id) == second
    assert await find_brand(engine, "nobody") is None
    assert await list_brands(engine) == [first, second]
    directory = BrandDirectory(engine)
    assert await directory.by_code("other") == await directory.by_id(second.brand_id) == second
    await engine.dispose()


async def test_a_code_is_taken_once_and_the_second_try_leaves_nothing(owner: Owner) -> None:
    await make_brand(owner)
    with pytest.raises(BrandExists, match="'lumen'"):
        await make_brand(owner, name="Another")
    assert await owner.fetchval("SELECT count(*) FROM ledger.head") == 1
    assert await owner.fetchval("SELECT name FROM rewards.brand") == "Lumen"


WRONG_BRANDS: list[tuple[dict[str, Any], str]] = [
    ({"code": "Lumen"}, "code 'Lumen' must be"),
    ({"code": "a" * 40}, "must be 1 to 39"),
    ({"code": "customers"}, "must not begin with cus"),
    ({"mode": "prod"}, "must be live or test"),
    ({"name": ""}, "name must be"),
    ({"points_code": "pts"}, "points code"),
    ({"currency": "Euro"}, "currency"),
    ({"time_zone": "Berlin"}, "time zone 'Berlin'"),
    ({"issue_limit": -1}, "issue limit"),
    ({"accent_color": "blue"}, "accent colour"),
    ({"destination_hosts": ["https://shop.example/"]}, "destination host"),
    ({"destination_hosts": ["shop.example", "*.example"]}, "destination host"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_BRANDS)
async def test_a_brand_that_should_not_be_is_not_created(owner: Owner, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BrandInvalid, match=message):
        await make_brand(owner, **{"code": "lumen"} | wrong)
    assert await owner.fetchval("SELECT count(*) FROM ledger.head") == 0
