"""A brand's links may live on a host of its own: they point there, address it, and no other brand's are shown on it."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import jwt
import pytest

from service.egress.hosts import host_of
from tests.api_fixtures import BASE_URL, have_link_host, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.pages.test_visits import headline

pytestmark = pytest.mark.one_process("asks at once what other processes learn within seconds")

HOST = "r.lumen.example"


async def visit(links: Links, path: str, host: str, method: str = "GET") -> httpx.Response:
    return await links.api.client(None).request(method, path, headers={"Host": host})


async def test_links_point_to_the_brands_host_and_address_it(links: Links) -> None:
    before = await links.path()
    await have_link_host(links.api, f"https://{HOST}")
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
    await have_link_host(links.api, f"https://{HOST}")
    await links.mint(links.item())
    other = await make_keys(owner, await make_brand(owner, "other"))
    await make_campaign(links.api.client(key=other["admin"]))
    answer = await links.api.client(key=other["messaging"]).post("/v1/links", json={"links": [links.item(short=True)]})
    [minted] = answer.json()["results"]
    paths = [minted["url"].removeprefix(BASE_URL), minted["short_url"].removeprefix(BASE_URL)]
    for path in paths:
        assert headline(await visit(links, path, "rewards.test")) == "25 Lumens for you"
        assert (await visit(links, path, HOST)).status_code == 404
    await have_link_host(links.api, None)
    for path in paths:
        links.api.services.brands.forget()
        await links.path()
        assert (await visit(links, path, HOST)).status_code == 200


async def test_the_address_alone_says_nothing_of_us_there(links: Links) -> None:
    await have_link_host(links.api, f"https://{HOST}")
    await links.path()
    browser = {"Accept": "text/html"}
    there = await links.api.client(None).get("/", headers=browser | {"Host": HOST})
    assert (there.status_code, headline(there)) == (404, "We cannot find this link")
    assert "Lumen" in there.text
    assert "Atomic" not in there.text
    here = await links.api.client(None).get("/", headers=browser | {"Host": "rewards.test"})
    assert (here.status_code, headline(here)) == (200, "Atomic Rewards")


HAVE_OF_OLD = """
    INSERT INTO rewards.link_host
        (brand_id, host, place, base_url, state, proven_by, challenge, claimed_at, verified_at, next_check_at)
    SELECT brand_id, $1, split_part($1, ':', 1), $2, 'verified', 'operator', 'x', now(), now(), now()
    FROM rewards.brand WHERE code = 'other'
"""

OWN = [
    "https://rewards.test",
    "https://rewards.test/",
    "HTTPS://REWARDS.TEST",
    "https://rewards.test.",
    "https://rewards.test:443",
    "https://rewards.test:80",
    "https://rewards.test:8443",
    "https://ｒewards.test",
    "https://rewards。test",
    "http://rewards.test",
    "https://me@rewards.test",
    "https://r.lumen.example\\@rewards.test",
    "https://rewards.test\\",
    "https://rewards..test",
    "https://localhost:8080",
    "https://127.0.0.1:8080",
    "https://127.1:8080",
    "https://0x7f.1:8080",
    "https://[::1]:8080",
    "https://[::ffff:127.0.0.1]:8080",
    "http://127.0.0.1:8080",
    "https://10.0.0.1",
    "https://[fd00::1]",
    "https://intranet",
    "https://r.localhost",
    "https://r.shop.example:0",
]


async def test_no_administrator_takes_the_services_own_host(links: Links, owner: asyncpg.Connection[Any]) -> None:
    """However it is spelt; nor an address or a name that means something else on each machine."""
    other = links.api.client(key=(await make_keys(owner, await make_brand(owner, "other")))["admin"])
    brand = (await other.get("/v1/brand")).json()
    for spelling in OWN:
        answer = await other.put("/v1/brand", json=brand | {"link_base_url": spelling})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/link_base_url"), spelling
    assert (await other.get("/v1/brand")).json() == brand


@pytest.mark.parametrize("taken", ["http://rewards.test", "https://rewards.test", "https://rewards.test:8443"])
async def test_a_brand_that_has_the_services_host_from_of_old_keeps_nobody_out(
    links: Links, owner: asyncpg.Connection[Any], taken: str
) -> None:
    """It was possible once: its links are at the service's address now, as everybody's."""
    other = await make_keys(owner, await make_brand(owner, "other"))
    await owner.execute("UPDATE rewards.brand SET link_base_url = $1 WHERE code = 'other'", taken)
    await owner.execute(HAVE_OF_OLD, host_of(taken), taken)
    await make_campaign(links.api.client(key=other["admin"]))
    answer = await links.api.client(key=other["messaging"]).post("/v1/links", json={"links": [links.item()]})
    [theirs] = answer.json()["results"]
    assert theirs["url"].startswith(f"{BASE_URL}/r/")
    [ours] = await links.mint(links.item("C-2", short=True))
    wallet = await links.api.client("messaging").post(
        "/v1/page-links", json={"pages": [{"customer": {"id": "C-2"}, "kind": "wallet"}]}
    )
    urls = [theirs["url"], ours["url"], ours["short_url"], wallet.json()["results"][0]["url"]]
    for host in "rewards.test", "REWARDS.test.", "rewards.test:80", "rewards.test:443":
        for url in urls:
            assert (await visit(links, url.removeprefix(BASE_URL), host)).status_code == 200, (host, url)


async def test_a_request_may_spell_the_host_as_it_likes(links: Links) -> None:
    await have_link_host(links.api, f"https://{HOST}")
    path = (await links.mint(links.item()))[0]["url"].removeprefix(f"https://{HOST}")
    for host in HOST, HOST.upper(), f"{HOST}.", f"{HOST}:443", f"{HOST}.:80":
        assert (await visit(links, path, host)).status_code == 200, host
    for host in "r.another.example", f"{HOST}:x", f"me@{HOST}", f"{HOST}\\", f".{HOST}", f"{HOST}..", "", "[::1":
        assert (await visit(links, path, host)).status_code == 404, host


DEAD_ENDS = ["/", "/r/hello", "/ABCDEFGHIJKLMNOP", "/nothing", "/r/done/x", "/wallet/x", "/preferences/x"]


@pytest.mark.parametrize("path", DEAD_ENDS)
async def test_what_is_not_found_on_a_host_of_the_brands_own_leads_to_its_home(links: Links, path: str) -> None:
    await have_link_host(links.api, f"https://{HOST}")
    home = {"home_url": "https://shop.example/home"}
    (await links.api.client("admin").patch("/v1/brand", json=home)).raise_for_status()
    links.api.services.brands.forget()
    await links.mint(links.item())
    await visit(links, await links.path(), HOST)
    browser = {"Accept": "text/html"}
    there = await links.api.client(None).get(path, headers=browser | {"Host": HOST})
    assert (there.status_code, headline(there)) == (404, "We cannot find this link")
    assert 'href="https://shop.example/home"' in there.text
    elsewhere = await links.api.client(None).get("/r/hello", headers=browser)
    assert "shop.example" not in elsewhere.text
