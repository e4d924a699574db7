"""Redemptions over HTTP, as a checkout uses them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from ledger.testing import set_clock
from tests.api_fixtures import Api, make_brand, make_keys

EARNED = 100


@pytest.fixture
async def shop(api: Api) -> httpx.AsyncClient:
    """The storefront's client, and a customer with 100 points."""
    campaign = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 10_000,
        "rules": [{"action": "click", "points": EARNED}],
    }
    (await api.client("admin").post("/v1/campaigns", json=campaign)).raise_for_status()
    for customer in ({"id": "c-1"}, {"email": "ada@example.org"}):
        report = {"campaign": "autumn", "message_id": "m", "customer": customer, "action": "click", "channel": "email"}
        (await api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    return api.client("storefront")


async def authorize(shop: httpx.AsyncClient, key: str = "a-1", **changed: Any) -> httpx.Response:
    body: dict[str, Any] = {"customer": {"id": "c-1"}, "points": 60, "order_ref": "order-1"}
    return await shop.post("/v1/redemptions", json=body | changed, headers={"Idempotency-Key": key})


async def act(shop: httpx.AsyncClient, redemption: str, operation: str, key: str, **body: Any) -> httpx.Response:
    return await shop.post(f"/v1/redemptions/{redemption}/{operation}", json=body, headers={"Idempotency-Key": key})


async def test_a_purchase_from_authorization_to_refund(shop: httpx.AsyncClient) -> None:
    held = (await authorize(shop)).json()
    assert (held["status"], held["authorized"], held["balance"]) == ("authorized", 60, 40)
    captured = (await act(shop, held["redemption_id"], "capture", "c-1", points=50)).json()
    assert (captured["status"], captured["captured"], captured["released"], captured["balance"]) == ("captured", 50, 10, 50)
    part = (await act(shop, held["redemption_id"], "refund", "r-1", points=20)).json()
    assert (part["status"], part["refunded"], part["balance"]) == ("partially_refunded", 20, 70)
    rest = (await act(shop, held["redemption_id"], "refund", "r-2")).json()
    assert (rest["status"], rest["refunded"], rest["balance"]) == ("refunded", 50, 100)
    assert [operation["type"] for operation in rest["operations"]] == ["authorize", "capture", "void", "refund", "refund"]
    shown = (await shop.get(f"/v1/redemptions/{held['redemption_id']}")).json()
    assert shown == rest


async def test_a_capture_that_is_not_final_keeps_holding_the_rest(shop: httpx.AsyncClient) -> None:
    redemption = (await authorize(shop)).json()["redemption_id"]
    first = (await act(shop, redemption, "capture", "c-1", points=20, final=False)).json()
    assert (first["status"], first["captured"], first["released"], first["balance"]) == ("partially_captured", 20, 0, 40)
    rest = (await act(shop, redemption, "capture", "c-2")).json()
    assert (rest["status"], rest["captured"], rest["balance"]) == ("captured", 60, 40)


async def test_captures_and_refunds_keep_their_references_tills_and_stores(shop: httpx.AsyncClient) -> None:
    held = (await authorize(shop, store_id="berlin-1", terminal_id="till-1")).json()["redemption_id"]
    await act(shop, held, "capture", "c-1", points=20, final=False, ref="invoice-1", store_id="berlin-1", terminal_id="till-2")
    await act(shop, held, "capture", "c-2", points=30, ref="invoice-2")
    answer = await act(shop, held, "refund", "r-1", points=5, ref="credit-note-1", store_id="hamburg-3")
    redemption = answer.json()
    assert (redemption["store_id"], redemption["terminal_id"]) == ("berlin-1", "till-1")
    said = [(each["type"], each["ref"], each["store_id"], each["terminal_id"]) for each in redemption["operations"]]
    assert said == [
        ("authorize", None, None, None),
        ("capture", "invoice-1", "berlin-1", "till-2"),
        ("capture", "invoice-2", None, None),
        ("void", None, None, None),
        ("refund", "credit-note-1", "hamburg-3", None),
    ]
    assert (await shop.get(f"/v1/redemptions/{held}")).json() == redemption

    # What a step says of itself is part of the request that its key stands for.
    reused = await act(shop, held, "refund", "r-1", points=5, ref="credit-note-2", store_id="hamburg-3")
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    again = await act(shop, held, "refund", "r-1", points=5, ref="credit-note-1", store_id="hamburg-3")
    assert (again.status_code, again.content) == (200, answer.content)
    wrong = await act(shop, held, "refund", "r-2", points=5, ref="")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/ref")


async def test_what_an_offline_till_sends_again_is_one_debit(shop: httpx.AsyncClient) -> None:
    """The till lost its line after each step, so it does not know what arrived, and sends its whole journal again: twice."""
    said = {"store_id": "berlin-1", "terminal_id": "till-4"}

    async def send_journal() -> list[httpx.Response]:
        held = await authorize(shop, "till-4 sale-17 hold", **said)
        redemption = held.json()["redemption_id"]
        return [held, await act(shop, redemption, "capture", "till-4 sale-17", points=50, ref="receipt-17", **said)]

    first = await send_journal()
    later = await send_journal()
    together = [answer for journal in await asyncio.gather(*(send_journal() for _ in range(10))) for answer in journal]
    assert [answer.status_code for answer in first] == [201, 201]
    assert {answer.status_code for answer in later + together} == {200}
    assert {answer.content for answer in later + together} == {answer.content for answer in first}

    redemption = first[1].json()
    assert [(each["type"], each["points"]) for each in redemption["operations"]] == [
        ("authorize", 60),
        ("capture", 50),
        ("void", 10),
    ]
    balance = (await shop.get("/v1/customers/c-1/balance")).json()
    assert (balance["balance"], balance["held"]) == (EARNED - 50, 0)
    # Another till that captures the same sale under a key of its own finds nothing to take.
    other = await act(shop, redemption["redemption_id"], "capture", "till-5 sale-17", points=50, ref="receipt-17")
    assert (other.status_code, other.json()["code"]) == (409, "fully_captured")
    assert (await shop.get("/v1/customers/c-1/balance")).json()["balance"] == EARNED - 50


async def test_points_can_be_spent_at_once(shop: httpx.AsyncClient) -> None:
    spent = (await authorize(shop, capture=True)).json()
    assert (spent["status"], spent["captured"], spent["balance"]) == ("captured", 60, 40)


async def test_a_void_gives_all_back_and_can_be_repeated_without_a_key(shop: httpx.AsyncClient) -> None:
    redemption = (await authorize(shop)).json()["redemption_id"]
    first = await shop.post(f"/v1/redemptions/{redemption}/void")
    again = await shop.post(f"/v1/redemptions/{redemption}/void")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["status"] == "voided"
    assert first.json() == again.json()
    assert first.json()["balance"] == EARNED


async def test_a_retry_with_the_same_key_gets_the_same_answer(shop: httpx.AsyncClient) -> None:
    first, again = await authorize(shop), await authorize(shop)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.content == again.content


async def test_a_refusal_is_kept_under_its_key(shop: httpx.AsyncClient) -> None:
    refused = await authorize(shop, points=101)
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    again = await authorize(shop, points=101)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (402, "true")


async def test_a_key_used_with_another_request_is_refused(shop: httpx.AsyncClient) -> None:
    await authorize(shop)
    reused = await authorize(shop, points=61)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "idempotency_key_required"), ("", "idempotency_key_invalid"), ("x" * 256, "idempotency_key_invalid")],
)
async def test_an_authorization_needs_a_key(shop: httpx.AsyncClient, key: str | None, code: str) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"customer": {"id": "c-1"}, "points": 1, "order_ref": "o"}
    answer = await shop.post("/v1/redemptions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


WRONG_STATES: list[tuple[list[tuple[str, dict[str, Any]]], tuple[str, dict[str, Any]], str]] = [
    ([("void", {})], ("capture", {}), "already_voided"),
    ([("capture", {})], ("capture", {}), "fully_captured"),
    ([("capture", {})], ("void", {}), "fully_captured"),
    ([], ("capture", {"points": 61}), "capture_exceeds_authorized"),
    ([], ("refund", {}), "refund_exceeds_captured"),
    ([("capture", {"points": 10})], ("refund", {"points": 11}), "refund_exceeds_captured"),
    ([("capture", {}), ("refund", {})], ("refund", {"points": 1}), "refund_exceeds_captured"),
]


@pytest.mark.parametrize(("before", "step", "code"), WRONG_STATES)
async def test_a_step_in_the_wrong_state_says_why(
    shop: httpx.AsyncClient, before: list[tuple[str, dict[str, Any]]], step: tuple[str, dict[str, Any]], code: str
) -> None:
    redemption = (await authorize(shop)).json()["redemption_id"]
    for n, (operation, body) in enumerate(before):
        (await act(shop, redemption, operation, f"before-{n}", **body)).raise_for_status()
    answer = await act(shop, redemption, step[0], "now", **step[1])
    assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_a_customer_known_by_email_alone_cannot_redeem_yet(shop: httpx.AsyncClient, api: Api) -> None:
    refused = await authorize(shop, customer={"email": "ada@example.org"})
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_not_confirmed")
    report = {
        "campaign": "autumn",
        "message_id": "m",
        "customer": {"id": "ada", "email": "ada@example.org"},
        "action": "click",
        "channel": "email",
    }
    await api.client("messaging").post("/v1/grants", json=report)
    assert (await authorize(shop, customer={"email": "ada@example.org"})).status_code == 201


async def test_a_customer_nobody_knows_has_nothing_to_spend(shop: httpx.AsyncClient) -> None:
    refused = await authorize(shop, customer={"id": "stranger"})
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    balance = (await shop.get("/v1/customers/stranger/balance")).json()
    assert (balance["known"], balance["balance"]) == (False, 0)


async def test_another_brand_sees_nothing(shop: httpx.AsyncClient, api: Api, owner: Any) -> None:
    redemption = (await authorize(shop)).json()["redemption_id"]
    other = api.client(key=(await make_keys(owner, await make_brand(owner, "other")))["storefront"])
    for answer in (
        await other.get(f"/v1/redemptions/{redemption}"),
        await other.post(f"/v1/redemptions/{redemption}/void"),
        await act(other, redemption, "capture", "k"),
        await other.get("/v1/redemptions/red_1"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await other.get("/v1/customers/c-1/balance")).json()["known"] is False
    assert (await shop.get(f"/v1/redemptions/{redemption}")).json()["status"] == "authorized"


async def test_redemptions_are_found_by_order_and_by_customer(shop: httpx.AsyncClient) -> None:
    for n in range(3):
        await authorize(shop, f"a-{n}", points=10, order_ref=f"order-{n}")
    assert len((await shop.get("/v1/redemptions", params={"order_ref": "order-1"})).json()["items"]) == 1
    page = (await shop.get("/v1/redemptions", params={"customer": "c-1", "limit": 2})).json()
    assert [each["order_ref"] for each in page["items"]] == ["order-2", "order-1"]
    rest = (await shop.get("/v1/redemptions", params={"customer": "c-1", "after": page["next"]})).json()
    assert ([each["order_ref"] for each in rest["items"]], rest["next"]) == (["order-0"], None)


async def test_a_capture_sent_again_by_two_tills_that_lost_the_network_is_one_debit(shop: httpx.AsyncClient, api: Api) -> None:
    before = (await shop.get("/v1/customers/c-1/balance")).json()["balance"]
    made = (await authorize(shop, "split", points=10)).json()["redemption_id"]
    tills = [{"points": 7, "store_id": "berlin-1", "terminal_id": terminal} for terminal in ("pos-1", "pos-2")]
    sent = [act(shop, made, "capture", f"till-{number}", **till) for number, till in enumerate(tills) for _ in range(4)]
    answers = await asyncio.gather(*sent)
    statuses = [sorted({answer.status_code for answer in answers[begin : begin + 4]}) for begin in (0, 4)]
    assert sorted(statuses, key=max) in ([[200, 201], [409]], [[201], [409]], [[200], [409]])
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"fully_captured"}
    stands = (await shop.get(f"/v1/redemptions/{made}")).json()
    assert (stands["captured"], stands["released"], stands["balance"]) == (7, 3, before - 7)
    assert [operation["type"] for operation in stands["operations"]] == ["authorize", "capture", "void"]


async def test_redemptions_are_found_by_store_terminal_and_day(
    shop: httpx.AsyncClient, api: Api, owner: asyncpg.Connection[Any]
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    day = datetime.now(berlin).date() + timedelta(days=1)
    at = datetime.combine(day, time(23), berlin).astimezone(UTC)
    for number, (store, terminal) in enumerate(
        [("berlin-1", "pos-1"), ("berlin-1", "pos-2"), ("kiel-1", "pos-1"), (None, None)]
    ):
        await set_clock(owner, api.brand.book, at + timedelta(minutes=45 * number))
        made = await authorize(shop, f"b-{number}", points=1, order_ref=str(number), store_id=store, terminal_id=terminal)
        assert made.status_code == 201, made.text

    async def found(**asked: Any) -> list[str]:
        answer = await shop.get("/v1/redemptions", params=asked)
        assert answer.status_code == 200, answer.text
        return [each["order_ref"] for each in answer.json()["items"]]

    assert await found(store_id="berlin-1") == ["1", "0"]
    assert await found(store_id="berlin-1", terminal_id="pos-2") == ["1"]
    assert await found(store_id="berlin-1", customer="c-1") == ["1", "0"]
    assert await found(store_id="munich-1") == []
    first, second, third = [str(day + timedelta(days=number)) for number in range(3)]
    assert await found(day=first) == ["1", "0"]
    assert await found(day=second) == ["3", "2"]
    assert await found(day=second, store_id="kiel-1", status="authorized") == ["2"]
    assert await found(day=third) == []
    for wrong, pointer in (({"terminal_id": "pos-1"}, "?terminal_id"), ({"day": "2031-02-30"}, "?day")):
        answer = await shop.get("/v1/redemptions", params=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_redemptions_are_found_by_where_they_stand(
    shop: httpx.AsyncClient, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "authorized": [],
        "partially_captured": [("capture", {"points": 1, "final": False})],
        "captured": [("capture", {})],
        "voided": [("void", {})],
        "partially_refunded": [("capture", {}), ("refund", {"points": 1})],
        "refunded": [("capture", {}), ("refund", {})],
        "expired": [],
    }
    for status, operations in steps.items():
        made = (await authorize(shop, status, points=4, order_ref=status)).json()
        for n, (operation, body) in enumerate(operations):
            (await act(shop, made["redemption_id"], operation, f"{status}-{n}", **body)).raise_for_status()
    # Long ago by the book's clock, and nobody has posted what is due.
    await owner.execute("UPDATE ledger.redemption SET deadline = now() - interval '1 day' WHERE order_ref = 'expired'")

    async def found(**asked: Any) -> list[str]:
        orders: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = (await shop.get("/v1/redemptions", params=asked | after)).json()
            assert {each["status"] for each in page["items"]} <= {asked["status"]}
            orders += [each["order_ref"] for each in page["items"]]
            if page["next"] is None:
                return orders
            after = {"after": page["next"]}

    for status in steps:
        assert await found(status=status) == [status]
    assert await found(status="captured", customer="c-1", order_ref="captured") == ["captured"]
    assert await found(status="captured", order_ref="voided") == []
    # Pages that are full, and pages that look at less than there is.
    await authorize(shop, "another", points=1, order_ref="another")
    assert await found(status="authorized", limit=1) == ["another", "authorized"]
    monkeypatch.setattr("ledger.reads.redemptions.SCAN_ROWS_MAX", 2)
    assert await found(status="authorized") == ["another", "authorized"]
    assert await found(status="refunded") == ["refunded"]
    wrong = await shop.get("/v1/redemptions", params={"status": "open"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "?status")


async def test_two_hundred_tills_at_once_never_overspend(shop: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(authorize(shop, f"till-{n}", points=7) for n in range(200)))
    assert sorted({answer.status_code for answer in answers}) == [201, 402]
    assert sum(answer.status_code == 201 for answer in answers) == EARNED // 7
    balance = (await shop.get("/v1/customers/c-1/balance")).json()
    assert (balance["balance"], balance["held"]) == (EARNED % 7, EARNED - EARNED % 7)


async def test_fifty_identical_requests_with_one_key_make_one_hold_and_equal_answers(shop: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(authorize(shop) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.content for answer in answers}) == 1
    assert (await shop.get("/v1/customers/c-1/balance")).json()["held"] == 60


async def test_fifty_refunds_at_once_never_exceed_what_was_captured(shop: httpx.AsyncClient) -> None:
    redemption = (await authorize(shop, capture=True)).json()["redemption_id"]
    answers = await asyncio.gather(*(act(shop, redemption, "refund", f"r-{n}", points=7) for n in range(50)))
    assert sum(answer.status_code == 201 for answer in answers) == 60 // 7
    assert (await shop.get(f"/v1/redemptions/{redemption}")).json()["refunded"] == 56


async def test_the_same_step_again_is_answered_as_the_first_whatever_happened_since(shop: httpx.AsyncClient, api: Api) -> None:
    unknown = await authorize(shop, "nobody", customer={"id": "c-2"})
    first = await authorize(shop, "a-1", points=20)
    redemption = first.json()["redemption_id"]
    captured = await act(shop, redemption, "capture", "c-1", points=5, final=False)
    voided = await act(shop, redemption, "void", "v-1")
    refunded = await act(shop, redemption, "refund", "r-1", points=2)
    assert [answer.status_code for answer in (unknown, first, captured, voided, refunded)] == [402, 201, 201, 201, 201]
    await act(shop, redemption, "refund", "r-2")
    report = {"campaign": "autumn", "message_id": "n", "customer": {"id": "c-2"}, "action": "click", "channel": "email"}
    (await api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    (await api.client("admin").post("/v1/customers/c-2/merge", json={"from": {"id": "c-1"}})).raise_for_status()

    for again, before in (
        (await authorize(shop, "nobody", customer={"id": "c-2"}), unknown),
        (await authorize(shop, "a-1", points=20), first),
        (await act(shop, redemption, "capture", "c-1", points=5, final=False), captured),
        (await act(shop, redemption, "void", "v-1"), voided),
        (await shop.post(f"/v1/redemptions/{redemption}/void", json={}), voided),
        (await act(shop, redemption, "refund", "r-1", points=2), refunded),
    ):
        said, was = again.json(), before.json()
        said.pop("request_id", None)
        was.pop("request_id", None)
        assert (again.status_code, said) == (402 if before is unknown else 200, was)
        assert again.headers["idempotency-replayed"] == "true"


async def test_what_a_capture_ended_is_not_voided_however_often_it_is_asked(shop: httpx.AsyncClient) -> None:
    redemption = (await authorize(shop)).json()["redemption_id"]
    await act(shop, redemption, "capture", "c-1", points=5)
    for _ in range(2):
        refused = await act(shop, redemption, "void", "v-1")
        assert (refused.status_code, refused.json()["code"]) == (409, "fully_captured")
        await act(shop, redemption, "refund", "r-1")
