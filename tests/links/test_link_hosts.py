"""A brand's links may live on a host of its own: they point there, address it, and no other brand's are shown on it."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from tests.api_fixtures import BASE_URL, Api, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.test_visits import headline

pytestmark = pytest.mark.one_process("asks at once what other processes learn within seconds")

HOST = "r.lumen.example"


async def set_link_host(api: Api, link_base_url: str | None, key: str = "admin") -> None:
    admin = api.client(key) if key == "admin" else api.client(key=key)
    brand = (await admin.get("/v1/brand")).json()
    (await admin.put("/v1/brand", json=brand | {"link_base_url": link_base_url})).raise_for_status()


async def visit(links: Links, path: str, host: str, method: str = "GET") -> httpx.Response:
    return await links.api.client(None).request(method, path, headers={"Host": host})


async def test_links_point_to_the_brands_host_and_address_it(links: Links) -> None:
    before = await links.path()
    await set_link_host(links.api, f"https://{HOST}")
    [minted] = await links.mint(links.item("C-2", short=True))
    origin, token = minted["url"].split("/r/")
    assert origin == f"https://{HOST}"
    assert minted["short_url"].startswith(f"https://{HOST}/")
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == HOST
    code = minted["short_url"].rpartition("/")[2]
    for path, host, status in (
        (f"/r/{token}", HOST, 200),
        (f"/r/{token}", HOST.upper(), 200),
        (f"/{code}", HOST, 200),
        (f"/{code}", "rewards.test", 200),
        (before, "rewards.test", 200),
        (before, HOST, 200),
        (f"/r/{token}", "rewards.test", 404),
        (f"/r/{token}", "r.another.example", 404),
    ):
        assert (await visit(links, path, host)).status_code == status, (path, host)
    claimed = await visit(links, f"/r/{token}", HOST, "POST")
    assert claimed.headers["location"].startswith("/r/done/")
    assert await links.balance("C-2") == 25


async def test_no_other_brand_is_shown_on_it(links: Links, owner: asyncpg.Connection[Any]) -> None:
    await set_link_host(links.api, f"https://{HOST}")
    await links.mint(links.item())
    other = await make_keys(owner, await make_brand(owner, "other"))
    await make_campaign(links.api.client(key=other["admin"]))
    answer = await links.api.client(key=other["messaging"]).post("/v1/links", json={"links": [links.item(short=True)]})
    [minted] = answer.json()["results"]
    paths = [minted["url"].removeprefix(BASE_URL), minted["short_url"].removeprefix(BASE_URL)]
    for path in paths:
        assert headline(await visit(links, path, "rewards.test")) == "25 Lumens for you"
        assert (await visit(links, path, HOST)).status_code == 404
    await set_link_host(links.api, None)
    for path in paths:
        links.api.app.state.brands.forget()
        await links.path()
        assert (await visit(links, path, HOST)).status_code == 200
