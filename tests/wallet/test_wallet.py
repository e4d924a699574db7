"""A wallet: what it holds, to whom it is shown, and how it is sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.tokens.customer import LIFE_S, CustomerTokenKind
from service.wallet.actions import HISTORY_LINES
from tests.api_fixtures import Api, make_brand
from tests.links.customer_pages import own_page

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


async def change_brand(api: Api, **changed: Any) -> None:
    admin = api.client("admin")
    (await admin.put("/v1/brand", json=(await admin.get("/v1/brand")).json() | changed)).raise_for_status()


async def make_campaign(api: Api, name: str, points: int, months: int | None = None) -> None:
    now = datetime.now(UTC)
    campaign = {
        "id": name.lower(),
        "name": name,
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=30)).isoformat(),
        "budget": 1_000_000,
        "rules": [{"action": "reply", "points": points}],
        "expires_after_months": months,
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()


async def earn(api: Api, campaign: str, message_id: str = "m") -> None:
    act = {"campaign": campaign, "message_id": message_id, "customer": {"id": "C-1"}, "action": "reply", "channel": "sms"}
    answer = await api.client("messaging").post("/v1/grants", json=act)
    assert answer.json()["outcome"] == "granted", answer.text


async def redeem(api: Api, points: int, *, capture: bool, order: str) -> None:
    answer = await api.client("storefront").post(
        "/v1/redemptions",
        headers={"Idempotency-Key": order},
        json={"customer": {"id": "C-1"}, "points": points, "order_ref": order, "capture": capture},
    )
    assert answer.status_code == 201, answer.text


async def wallet(api: Api, headers: dict[str, str] = HTML, **changed: Any) -> httpx.Response:
    return await api.client().get(own_page(api, CustomerTokenKind.WALLET, **changed), headers=headers)


async def test_the_page_closes_by_itself(filled: Api) -> None:
    """As it says. A browser asks again a second after the link has expired, and no sooner; then it has nothing to ask for."""
    for age_s in (0, 600):
        shown = await wallet(filled, age_s=age_s)
        assert "This page closes automatically." in shown.text
        assert int(shown.headers["refresh"]) == pytest.approx(LIFE_S[CustomerTokenKind.WALLET] - age_s + 1, abs=2)
    closed = await wallet(filled, age_s=LIFE_S[CustomerTokenKind.WALLET] + 1)
    assert "This page has closed" in closed.text
    assert "refresh" not in closed.headers


@pytest.fixture
async def filled(api: Api) -> Api:
    """C-1 has 640 points: 460 to the end of a month and 180 for ever; 30 more are held."""
    await change_brand(
        api,
        point_value={"points": 100, "minor_units": 50},
        goals=[{"name": "A coffee on us", "points": 500}, {"name": "Breakfast", "points": 2_000}],
    )
    await make_campaign(api, "Welcome", 500, months=3)
    await make_campaign(api, "Answers", 180)
    await earn(api, "welcome")
    await earn(api, "answers")
    await redeem(api, 10, capture=True, order="o-1")
    await redeem(api, 30, capture=False, order="o-2")
    return api


async def test_a_wallet_as_json_says_it_all(filled: Api) -> None:
    answer = await wallet(filled, JSON)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["customer"], told["points_name"], told["balance"], told["held"], told["pending"]) == (
        "cus_1", "Lumens", 640, 30, 0,
    )  # fmt: skip
    assert told["worth"] == {"minor_units": 320, "currency": "EUR"}
    assert [lot["points"] for lot in told["lots"]] == [460, 180]
    assert told["lots"][1]["expires_on"] is None
    assert told["progress"] == {
        "reached": [{"name": "A coffee on us", "points": 500}],
        "next": {"name": "Breakfast", "points": 2_000, "missing": 1_360},
    }
    assert [(entry["type"], entry["points"]) for entry in told["history"]["items"]] == [
        ("authorize", -30),
        ("authorize", -10),
        ("grant", 180),
        ("grant", 500),
    ]
    assert answer.headers["cache-control"] == "no-store"
    # The brand's systems are told the same.
    same = await filled.client("storefront").get("/v1/customers/C-1/wallet")
    assert same.json() == told


async def test_a_wallet_as_a_page_says_the_same(filled: Api) -> None:
    text = text_of(await wallet(filled))
    for words in (
        "Your balance 640 Lumens worth €3.20",
        "Next reward Breakfast 1,360 Lumens to go",
        "Within reach A coffee on us 500",
        "30 Lumens are set aside for a purchase in progress.",
        "No expiry 180",
        "100 Lumens are worth €0.50.",
        "Answers Earned",
    ):
        assert words in text, text
    assert re.search(r"Use by (28|29|30|31) \w+ 20\d\d 460", text)


async def test_a_new_customers_wallet_is_empty_and_says_where_points_will_be(api: Api) -> None:
    told = (await api.client("storefront").get("/v1/customers/C-1/wallet")).json()
    assert (told["customer"], told["balance"], told["history"]) == (None, 0, {"items": [], "next": None})
    await api.client("admin").put("/v1/customers/C-1", json={"email": "someone@mail.example"})
    text = text_of(await wallet(api))
    assert "Your balance 0 Lumens" in text
    assert "Nothing yet. Your first Lumens will show up here." in text


async def test_what_was_taken_from_several_lots_is_one_line(filled: Api) -> None:
    await redeem(filled, 600, capture=True, order="o-3")
    told = (await wallet(filled, JSON)).json()
    assert [entry["points"] for entry in told["history"]["items"][:2]] == [-140, -460]
    assert "−600" in text_of(await wallet(filled))


async def test_an_order_is_one_line_whatever_became_of_it(filled: Api) -> None:
    await redeem(filled, 30, capture=False, order="o-3")
    assert "Order o-3 30 set aside" in text_of(await wallet(filled))
    order = (await filled.client("storefront").get("/v1/redemptions?order_ref=o-3")).json()["items"][0]["redemption_id"]

    async def step(name: str, points: int) -> None:
        headers = {"Idempotency-Key": f"{name}-1"}
        path = f"/v1/redemptions/{order}/{name}"
        (await filled.client("storefront").post(path, headers=headers, json={"points": points})).raise_for_status()

    await step("capture", 20)
    assert "Order o-3 20 used" in text_of(await wallet(filled))
    await earn(filled, "answers", "between")
    await step("refund", 15)
    page = await wallet(filled)
    text = text_of(page)
    assert "Order o-3 20 used · 15 returned" in text
    assert text.count("Order o-3") == 1
    lines = re.findall(r'<dd class="\w+" dir="ltr">([^<]+)</dd>', page.text)
    assert lines[0] == "−5"
    entries = (await wallet(filled, JSON)).json()["history"]["items"]
    assert sum(entry["points"] for entry in entries if entry["redemption_id"] == order) == -5


async def test_an_order_that_fell_through_cost_nothing(filled: Api) -> None:
    await redeem(filled, 30, capture=False, order="o-3")
    order = (await filled.client("storefront").get("/v1/redemptions?order_ref=o-3")).json()["items"][0]["redemption_id"]
    (await filled.client("storefront").post(f"/v1/redemptions/{order}/void")).raise_for_status()
    page = await wallet(filled)
    assert "Order o-3 Cancelled" in text_of(page)
    assert re.findall(r'<dd class="\w+" dir="ltr">([^<]+)</dd>', page.text)[0] == "0"


async def test_an_order_is_told_where_its_newest_entry_is(api: Api) -> None:
    await make_campaign(api, "Answers", 1)
    await earn(api, "answers", "first")
    await redeem(api, 1, capture=True, order="o-1")
    for n in range(HISTORY_LINES):
        await earn(api, "answers", f"m{n}")
    path = own_page(api, CustomerTokenKind.WALLET)
    older = re.search(r'href="(\?after=\d+)"', (await api.client().get(path, headers=HTML)).text)
    assert older is not None

    async def pages_with_the_order() -> list[bool]:
        pages = [(await api.client().get(f"{path}{query}", headers=HTML)).text for query in ("", older[1])]
        return ["Order o-1" in page for page in pages]

    assert await pages_with_the_order() == [False, True]
    order = (await api.client("storefront").get("/v1/redemptions?order_ref=o-1")).json()["items"][0]["redemption_id"]
    headers = {"Idempotency-Key": "back"}
    answer = await api.client("storefront").post(f"/v1/redemptions/{order}/refund", headers=headers, json={"points": 1})
    answer.raise_for_status()
    assert await pages_with_the_order() == [True, False]


async def test_a_long_history_has_pages(api: Api) -> None:
    await make_campaign(api, "Answers", 1)
    for n in range(25):
        await earn(api, "answers", f"m{n}")
    path = own_page(api, CustomerTokenKind.WALLET)
    newest = (await api.client().get(path, headers=HTML)).text
    assert newest.count("Earned ·") == 20
    older = re.search(r'href="(\?after=\d+)"', newest)
    assert older is not None
    oldest = (await api.client().get(f"{path}{older[1]}", headers=HTML)).text
    assert oldest.count("Earned ·") == 5
    assert 'href="?"' in oldest
    assert "?after=" not in oldest


async def test_a_wallet_closes_by_itself(filled: Api) -> None:
    late = LIFE_S[CustomerTokenKind.WALLET] + 1
    answer = await wallet(filled, age_s=late)
    assert answer.status_code == 410
    assert "This page has closed" in text_of(answer)
    assert "640" not in answer.text
    problem = await wallet(filled, JSON, age_s=late)
    assert (problem.status_code, problem.json()["code"]) == (410, "link_expired")


async def test_a_wallet_opens_to_its_own_token_alone(filled: Api, owner: asyncpg.Connection[Any]) -> None:
    await make_brand(owner, "other")
    path = own_page(filled, CustomerTokenKind.WALLET)
    for wrong in (
        path[:-2],
        path + "A",
        "/wallet/eyJhbGciOiJub25lIn0.e30.",
        own_page(filled, CustomerTokenKind.PREFERENCES).replace("/preferences/", "/wallet/"),
        own_page(filled, CustomerTokenKind.LIVE_IMAGE).replace("/live/", "/wallet/"),
        own_page(filled, CustomerTokenKind.WALLET, brand="nobody"),
        own_page(filled, CustomerTokenKind.WALLET, customer=999),
        # A number of this brand's, said by another.
        own_page(filled, CustomerTokenKind.WALLET, brand="other"),
    ):
        answer = await filled.client().get(wrong, headers=HTML)
        assert answer.status_code == 404, wrong
        assert "640" not in answer.text


async def test_a_wallet_is_sent_so_that_nothing_leaks(filled: Api, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_page(filled, CustomerTokenKind.WALLET)
    answer = await filled.client().get(path, headers=HTML)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    assert path.rpartition("/")[2] not in capsys.readouterr().out
    head = await filled.client().head(path, headers=HTML)
    assert (head.status_code, head.content) == (200, b"")
    taken = await filled.client().post(path, headers=HTML)
    assert taken.status_code == 405


async def test_the_way_to_the_preferences_opens_them(filled: Api) -> None:
    page = (await wallet(filled)).text
    link = re.search(r'href="http://rewards\.test(/preferences/[\w.-]+)"', page)
    assert link is not None
    answer = await filled.client().get(link[1], headers=HTML)
    assert answer.status_code == 200
    assert "Your preferences" in answer.text


def text_of(answer: httpx.Response) -> str:
    """What a reader sees of a page."""
    body = re.sub(r"<style.*?</style>|<head>.*?</head>", "", answer.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").split())
