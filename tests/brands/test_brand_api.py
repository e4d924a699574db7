"""``/v1/brand``: what may change of a brand, what may not, and what its points are worth."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api_fixtures import Api, make_brand, make_keys
from tests.brands.pictures import png

HALF_A_CENT = {"points": 100, "minor_units": 50}

PIXEL = base64.b64encode(png(1, 1)).decode()
OF_BEFORE = ("name", "points_name", "accent_color", "destination_hosts", "point_value")
FINGERPRINT = ":".join(["AB"] * 32)
PAGES: dict[str, Any] = {
    "language": "ar",
    "logo": PIXEL,
    "home_url": "https://shop.example/",
    "link_base_url": "https://r.shop.example",
    "app_links": {
        "apple": ["ABCDE12345.com.example.app"],
        "android": [{"package": "com.example.app", "sha256": [FINGERPRINT]}],
    },
    "goals": [{"name": "A coffee on us", "points": 500}, {"name": "Breakfast for two", "points": 2_000}],
    "logo_dark": base64.b64encode(png(1, 2)).decode(),
    "banner": base64.b64encode(png(2, 1)).decode(),
    "font": "serif",
    "corner_radius": 0,
}


async def put(client: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    """Send back what GET answered, changed."""
    known = (await client.get("/v1/brand")).json()
    return await client.put("/v1/brand", json=known | changed)


async def test_every_key_reads_the_brand(api: Api) -> None:
    for name in api.keys:
        answer = await api.client(name).get("/v1/brand")
        assert answer.json() == {
            "code": "lumen",
            "mode": "test",
            "name": "Lumen",
            "points_code": "LUM",
            "points_name": "Lumens",
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
            "accent_color": "#1f4fd8",
            "destination_hosts": ["shop.example"],
            "point_value": None,
            "point_value_version": None,
            "language": "en",
            "logo": None,
            "home_url": None,
            "link_base_url": None,
            "link_host": None,
            "app_links": {"apple": [], "android": []},
            "goals": [],
            "late_capture_grace_s": 0,
            "logo_dark": None,
            "banner": None,
            "font": "system",
            "corner_radius": 16,
        }


async def test_what_was_read_can_be_sent_back_and_changes_nothing(api: Api) -> None:
    admin = api.client("admin")
    before = (await admin.get("/v1/brand")).json()
    assert (await put(admin)).json() == before
    valued = (await put(admin, point_value=HALF_A_CENT)).json()
    assert (await put(admin)).json() == valued
    assert len((await admin.get("/v1/brand/point-values")).json()["items"]) == 1


async def test_what_may_change_changes(api: Api) -> None:
    wanted = {
        "name": "Lumen & Co",
        "points_name": "Sparks",
        "accent_color": "#7a3e1d",
        "destination_hosts": ["shop.example", "localhost:8080", "xn--bcher-kva.example"],
    }
    answer = await put(
        api.client("admin"), **wanted | {"destination_hosts": ["Shop.Example.", "localhost:8080", "Bücher.example:443"]}
    )
    assert answer.status_code == 200
    assert wanted.items() <= answer.json().items()
    assert (await api.client("storefront").get("/v1/brand")).json() == answer.json()
    # The API keys of the same process know at once.
    assert (await api.client("storefront").get("/v1/meta")).json()["brand"]["name"] == "Lumen & Co"


async def test_how_pages_speak_and_look_is_kept_until_it_is_changed(api: Api) -> None:
    admin = api.client("admin")
    changed = (await put(admin, **PAGES)).json()
    assert PAGES.items() <= changed.items()
    assert (await admin.get("/v1/brand")).json() == changed
    # Who knows nothing of these fields leaves them as they are.
    assert (await admin.put("/v1/brand", json={name: changed[name] for name in OF_BEFORE})).json() == changed
    plain = (await put(admin, logo=None, home_url=None, link_base_url=None, goals=[], app_links={})).json()
    assert (plain["logo"], plain["home_url"], plain["link_base_url"], plain["goals"]) == (None, None, None, [])
    assert plain["app_links"] == {"apple": [], "android": []}
    # The same picture again, which is there already.
    assert (await put(admin, logo=PIXEL)).json()["logo"] == PIXEL


async def test_a_home_stays_on_the_brands_own_hosts(api: Api) -> None:
    await put(api.client("admin"), home_url="https://shop.example/")
    answer = await put(api.client("admin"), destination_hosts=["other.example"])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/home_url")


WRONG: list[tuple[str, Any]] = [
    ("code", "other"),
    ("mode", "live"),
    ("points_code", "PTS"),
    ("currency", "USD"),
    ("time_zone", "Europe/Paris"),
    ("accent_color", "blue"),
    ("name", ""),
    ("name", "a\u202eb"),
    ("point_value", {"points": 0, "minor_units": 1}),
    ("point_value", {"points": 1}),
    ("destination_hosts", ["shop.example", "https://shop.example/"]),
    ("language", "tlh"),
    ("logo", "no base64"),
    ("logo", base64.b64encode(b"<svg onload='alert(1)'/>").decode()),
    ("logo_dark", base64.b64encode(b"<svg onload='alert(1)'/>").decode()),
    ("banner", "no base64"),
    ("banner", base64.b64encode(b"<svg onload='alert(1)'/>").decode()),
    ("banner", base64.b64encode(png(199, 100)).decode()),
    ("banner", base64.b64encode(png(2_049, 1)).decode()),
    ("font", "Comic Sans"),
    ("font", 'serif; } body { background: url("https://elsewhere.example")'),
    ("corner_radius", 33),
    ("corner_radius", -1),
    ("home_url", "https://elsewhere.example/"),
    ("home_url", "http://shop.example/"),
    ("link_base_url", "https://r.shop.example/r"),
    ("link_base_url", "https://r.shop.example?"),
    ("link_base_url", "http://r.shop.example"),
    ("link_base_url", "https://me@r.shop.example"),
    ("link_base_url", "r.shop.example"),
    ("app_links", {"apple": ["com.example.app"]}),
    ("app_links", {"android": [{"package": "com.example.app", "sha256": []}]}),
    ("app_links", {"android": [{"package": "com.example.app", "sha256": [FINGERPRINT.lower()]}]}),
    ("goals", [{"name": "Nothing", "points": 0}]),
    ("goals", [{"name": "a\u202eb", "points": 1}]),
    ("goals", [{"name": "Coffee", "points": 1}] * 21),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
async def test_what_may_not_change_is_named(api: Api, field: str, value: Any) -> None:
    before = (await api.client("admin").get("/v1/brand")).json()
    answer = await put(api.client("admin"), **{field: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{field}")
    assert (await api.client("admin").get("/v1/brand")).json() == before


async def test_only_an_administrator_changes_the_brand(api: Api) -> None:
    for name in ("messaging", "storefront", "finance"):
        answer = await put(api.client(name), name="Mine")
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


async def test_a_value_of_points_is_a_version_that_is_kept(api: Api) -> None:
    admin = api.client("admin")
    for minor_units in (50, 50, 60, 50):
        assert (await put(admin, point_value={"points": 100, "minor_units": minor_units})).status_code == 200
    newest = (await admin.get("/v1/brand/point-values", params={"limit": 2})).json()
    oldest = (await admin.get("/v1/brand/point-values", params={"after": newest["next"]})).json()
    kept = [(value["version"], value["minor_units"]) for value in newest["items"] + oldest["items"]]
    assert kept == [(3, 50), (2, 60), (1, 50)]
    assert oldest["next"] is None
    times = [value["valid_from"] for value in newest["items"] + oldest["items"]]
    assert times == sorted(times, reverse=True)
    assert (await admin.get("/v1/brand")).json()["point_value_version"] == 3


async def test_a_value_of_points_is_not_taken_away(api: Api) -> None:
    await put(api.client("admin"), point_value=HALF_A_CENT)
    answer = await put(api.client("admin"), point_value=None)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/point_value")


async def test_of_two_administrators_who_read_the_same_version_one_wins(api: Api) -> None:
    admin = api.client("admin")
    await put(admin, point_value=HALF_A_CENT)
    read = (await admin.get("/v1/brand")).json()
    answers = await asyncio.gather(
        *(admin.put("/v1/brand", json=read | {"point_value": {"points": 1, "minor_units": n}}) for n in range(1, 5))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"point_value_changed"}
    assert (await admin.get("/v1/brand")).json()["point_value_version"] == 2


async def test_another_brand_is_left_alone(api: Api, owner: asyncpg.Connection[Any]) -> None:
    other = await make_brand(owner, "other")
    await put(api.client("admin"), name="Changed", point_value=HALF_A_CENT)
    read = api.client(key=(await make_keys(owner, other))["admin"])
    assert (await read.get("/v1/brand")).json()["name"] == "Lumen"
    assert (await read.get("/v1/brand/point-values")).json()["items"] == []


async def test_the_application_can_change_no_version_and_nothing_fixed(application_pool: asyncpg.Pool[Any], api: Api) -> None:
    await put(api.client("admin"), point_value=HALF_A_CENT)
    for forbidden in (
        "UPDATE rewards.brand_point_value SET minor_units = 1",
        "DELETE FROM rewards.brand_point_value",
        "UPDATE rewards.brand SET time_zone = 'UTC'",
        "UPDATE rewards.brand SET mode = 'live'",
        "UPDATE rewards.brand SET book_id = 2",
        "DELETE FROM rewards.brand",
        "UPDATE rewards.brand_logo SET picture = ''",
        "DELETE FROM rewards.brand_logo",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application_pool.execute(forbidden)
