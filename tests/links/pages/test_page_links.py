"""Links to customers' own pages, minted over the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api_fixtures import BASE_URL, Api, have_link_host

JSON = {"Accept": "application/json"}


def item(kind: str = "wallet", customer: str = "C-1", **changed: Any) -> dict[str, Any]:
    return {"customer": {"id": customer}, "kind": kind, **changed}


async def mint(api: Api, *items: dict[str, Any], key: str = "messaging") -> list[dict[str, Any]]:
    answer = await api.client(key).post("/v1/page-links", json={"pages": items})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


async def test_a_link_opens_the_page_of_its_kind_for_as_long_as_was_asked(api: Api) -> None:
    minted = await mint(api, item("wallet"), item("preferences"), item("wallet", expires_in_s=3_600))
    assert [result["status"] for result in minted] == [201, 201, 201]
    now = datetime.now(UTC)
    for result, life in zip(minted, (timedelta(minutes=15), timedelta(days=30), timedelta(hours=1)), strict=True):
        assert abs(datetime.fromisoformat(result["expires_at"]) - now - life) < timedelta(seconds=10)
    paths = [result["url"].removeprefix(BASE_URL) for result in minted]
    assert [path.split("/")[1] for path in paths] == ["wallet", "preferences", "wallet"]
    told = [(await api.client().get(path, headers=JSON)).json() for path in paths]
    assert told[0]["customer"] == told[2]["customer"]
    assert told[1]["rewards"] is True


async def test_what_is_wrong_with_one_is_its_own_problem(api: Api) -> None:
    minted = await mint(
        api,
        item("wallet", expires_in_s=86_401),
        item("purse"),
        {"kind": "wallet", "customer": {"email": "nobody"}},
        item("preferences", expires_in_s=86_401),
        item("live"),
        item("wallet", message_id=""),
        item("live", message_id="m", expires_in_s=90 * 86_400),
    )
    assert [result["status"] for result in minted] == [422, 422, 422, 201, 422, 422, 201]
    wrong = [minted[n]["problem"]["errors"][0]["pointer"] for n in (0, 4, 5)]
    assert wrong == ["/expires_in_s", "/message_id", "/message_id"]


async def test_a_page_takes_a_key_that_may_do_what_it_does(api: Api) -> None:
    made = await api.client("minter").post("/v1/keys", json={"name": "links", "scopes": ["links:write"]})
    answer = await api.client(key=made.json()["key"]).post(
        "/v1/page-links", json={"pages": [item(), item("live", message_id="m"), item("preferences")]}
    )
    refused = answer.json()["results"]
    assert [(each["status"], each["problem"]["code"]) for each in refused] == [(403, "missing_scope")] * 3
    assert (await api.client("storefront").post("/v1/page-links", json={"pages": [item()]})).status_code == 403


@pytest.mark.parametrize(("kind", "changed"), [("wallet", {}), ("preferences", {}), ("live", {"message_id": "m"})])
async def test_a_brands_pages_are_on_its_own_host(api: Api, kind: str, changed: dict[str, str]) -> None:
    await have_link_host(api, "https://r.shop.example")
    [result] = await mint(api, item(kind, **changed))
    base, _, path = result["url"].partition(f"/{kind}/")
    assert base == "https://r.shop.example"
    there = await api.client().get(f"/{kind}/{path}", headers={**JSON, "Host": "r.shop.example"})
    assert there.status_code == 200, there.text
