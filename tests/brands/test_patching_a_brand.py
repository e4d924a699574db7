"""``PATCH /v1/brand`` changes a part, checked as ``PUT`` checks the whole; all that is wrong is said at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api_fixtures import Api
from tests.brands.test_brand_api import FINGERPRINT, HALF_A_CENT, PAGES, WRONG

ANDROID = {"package": "com.example.app", "sha256": [FINGERPRINT]}


async def patched(api: Api, **part: Any) -> dict[str, Any]:
    answer = await api.client("admin").patch("/v1/brand", json=part)
    assert answer.status_code == 200, answer.text
    return answer.json()


PARTS: list[dict[str, Any]] = [
    {"name": "Lumen & Co"},
    {"points_name": "Sparks", "accent_color": "#7a3e1d"},
    {"destination_hosts": ["shop.example", "pay.shop.example:8443"]},
    {"point_value": HALF_A_CENT},
    *({name: value} for name, value in PAGES.items() if name != "link_base_url"),
]


@pytest.mark.parametrize("part", PARTS)
async def test_what_is_sent_changes_and_what_is_absent_stays(api: Api, part: dict[str, Any]) -> None:
    before = await patched(api)
    after = await patched(api, **part)
    assert part.items() <= after.items()
    assert {name for name in after if after[name] != before[name]} <= {*part, "point_value_version"}
    # The same again changes nothing.
    assert await patched(api, **part) == after
    assert (await api.client("storefront").get("/v1/brand")).json() == after


async def test_null_clears_what_can_be_null(api: Api) -> None:
    full = await patched(api, **PAGES, point_value=HALF_A_CENT)
    cleared = await patched(
        api, logo=None, logo_dark=None, banner=None, home_url=None, link_base_url=None, point_value_version=None
    )
    assert (cleared["logo"], cleared["home_url"], cleared["link_base_url"], cleared["link_host"]) == (None, None, None, None)
    assert (cleared["logo_dark"], cleared["banner"]) == (None, None)
    assert (cleared["goals"], cleared["point_value"]) == (full["goals"], HALF_A_CENT)
    for name in (
        "name",
        "points_name",
        "accent_color",
        "destination_hosts",
        "language",
        "font",
        "corner_radius",
        "app_links",
        "goals",
        "point_value",
    ):
        answer = await api.client("admin").patch("/v1/brand", json={name: None})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{name}")


async def test_objects_are_merged_and_lists_are_replaced(api: Api) -> None:
    answer = await api.client("admin").patch("/v1/brand", json={"point_value": {"points": 100}})
    assert answer.json()["errors"][0]["pointer"] == "/point_value/minor_units"
    await patched(api, point_value={"points": 100, "minor_units": 50})
    assert (await patched(api, point_value={"minor_units": 60}))["point_value"] == {"points": 100, "minor_units": 60}
    await patched(api, app_links={"apple": ["ABCDE12345.com.example.app"]})
    assert (await patched(api, app_links={"android": [ANDROID]}))["app_links"] == {
        "apple": ["ABCDE12345.com.example.app"],
        "android": [ANDROID],
    }
    assert (await patched(api, app_links={"apple": []}))["app_links"] == {"apple": [], "android": [ANDROID]}


async def test_it_may_be_called_a_merge_patch(api: Api) -> None:
    for media_type, status in (("application/merge-patch+json", 200), ("application/json", 200), ("text/plain", 415)):
        answer = await api.client("admin").patch("/v1/brand", content='{"name": "Lumen"}', headers={"Content-Type": media_type})
        assert answer.status_code == status, media_type


@pytest.mark.parametrize(("field", "value"), WRONG)
async def test_a_part_is_checked_as_the_whole_is(api: Api, field: str, value: Any) -> None:
    if (field, value) == ("point_value", {"points": 1}):
        value = {"points": "1"}
    before = await patched(api)
    answer = await api.client("admin").patch("/v1/brand", json={field: value, "points_name": "Sparks"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["pointer"].startswith(f"/{field}")
    assert await patched(api) == before


async def test_a_home_and_its_host_may_come_together(api: Api) -> None:
    answer = await api.client("admin").patch("/v1/brand", json={"home_url": "https://new.example/"})
    assert answer.json()["errors"][0]["pointer"] == "/home_url"
    await patched(api, home_url="https://new.example/", destination_hosts=["new.example"])


async def test_an_older_version_of_the_value_changes_nothing(api: Api) -> None:
    await patched(api, point_value=HALF_A_CENT)
    answers = await asyncio.gather(
        *(
            api.client("admin").patch("/v1/brand", json={"point_value": {"minor_units": n}, "point_value_version": 1})
            for n in range(1, 5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert (await patched(api))["point_value_version"] == 2


async def test_only_an_administrator_changes_a_part(api: Api) -> None:
    for name in "messaging", "storefront", "finance":
        assert (await api.client(name).patch("/v1/brand", json={"name": "Mine"})).json()["code"] == "missing_scope"


async def test_all_that_is_missing_is_said_at_once(api: Api) -> None:
    answer = await api.client("admin").put("/v1/brand", json={"goals": [{"name": "Coffee", "points": 500}]})
    assert answer.status_code == 422
    assert [(error["pointer"], error["detail"]) for error in answer.json()["errors"]] == [
        (f"/{name}", "is required") for name in ("name", "points_name", "accent_color", "destination_hosts", "point_value")
    ]


async def test_all_that_is_wrong_is_said_at_once(api: Api) -> None:
    answer = await api.client("admin").patch("/v1/brand", json={"name": 5, "colour": "blue", "point_value": {"cents": 1}})
    assert {error["pointer"]: error["code"] for error in answer.json()["errors"]} == {
        "/name": "invalid_field",
        "/point_value/cents": "unknown_field",
        "/colour": "unknown_field",
    }
    of_wrong_meaning = {
        "name": "a\u202eb",
        "destination_hosts": ["shop.example", "*.example", "a b"],
        "home_url": "https://elsewhere.example/",
        "link_base_url": "https://rewards.test",
        "logo": "no base64",
        "mode": "live",
    }
    answer = await api.client("admin").patch("/v1/brand", json=of_wrong_meaning)
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == [
        "/destination_hosts/1", "/destination_hosts/2", "/home_url", "/link_base_url", "/logo", "/mode", "/name",
    ]  # fmt: skip
