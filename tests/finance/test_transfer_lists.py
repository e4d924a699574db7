"""The transfers of the log by any combination of filters; and those that no index answers, refused by name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from ledger import Redemption
from ledger.reads import finding
from tests.api_fixtures import Api
from tests.grants.test_lists import DAYS, reported

__all__ = ["reported"]

FILTERS: dict[str, tuple[str, ...]] = {
    "verb": ("grant", "capture,refund", "authorize", "void"),
    "campaign": ("autumn", "spring"),
    "class": ("engagement", "purchase"),
    "from": DAYS,
    "to": DAYS,
    "channel": ("email", "sms"),
    "action": ("click", "open"),
    "grade": ("A", "C"),
    "customer": ("c-1", "c-2", "nobody"),
    "order_ref": ("order-0", "order-1", "no such order"),
    "message_id": ("m-0", "m-7"),
    "metadata": ("store:Mitte", "basket:3"),
    "store_id": ("Mitte", "Nord"),
    "terminal_id": ("till 1", "till 2"),
}
BROAD = {"message_id", "metadata", "store_id", "terminal_id"}
OF_EVENT = {"channel": "channel", "action": "action", "grade": "evidence", "message_id": "message_id"}


class Facts:
    """The whole log, and what its events and redemptions say."""

    def __init__(
        self, log: list[Any], grants: list[Any], redemptions: Mapping[str, Redemption], of: Mapping[str, set[int]]
    ) -> None:
        self.log = log
        self._grants = {grant["grant_id"]: grant for grant in grants}
        self._redemptions = redemptions
        self._of = of

    def wanted(self, query: Mapping[str, str]) -> list[int]:
        """Which transfers a list by ``query`` has."""
        return [each["seq"] for each in self.log if all(self._is_so(each, name, value) for name, value in query.items())]

    def _is_so(self, transfer: Mapping[str, Any], name: str, value: str) -> bool:
        grant = self._grants.get(transfer["grant_id"])
        redemption = self._redemptions.get(transfer["redemption_id"])
        match name:
            case "verb":
                return transfer["verb"] in value.split(",")
            case "class":
                return value == "engagement"
            case "from" | "to":
                return transfer["accounting_date"] >= value if name == "from" else transfer["accounting_date"] <= value
            case "customer":
                return transfer["customer"] in self._of.get(value, set())
            case "redemption":
                return transfer["redemption_id"] == value
            case "order_ref":
                return redemption is not None and redemption.order_ref == value
            case "store_id" | "terminal_id":
                return redemption is not None and self._place(transfer, redemption, name) == value
            case "metadata":
                key, _, text = value.partition(":")
                return grant is not None and str(grant["metadata"][key]) == text
            case "campaign":
                return transfer["campaign"] == value
            case _:
                return grant is not None and grant[OF_EVENT[name]] == value

    def _place(self, transfer: Mapping[str, Any], redemption: Redemption, name: str) -> str | None:
        said: dict[tuple[int, str], str | None] = {(each.seq, each.verb): getattr(each, name) for each in redemption.operations}
        return said.get((transfer["transaction_id"], transfer["verb"])) or getattr(redemption, name)


@pytest.fixture
async def facts(reported: Api) -> Facts:
    """Reports of three days, and purchases on the last of them."""
    dice = random.Random(2)
    shop, finance, messaging = (reported.client(name) for name in ("storefront", "finance", "messaging"))

    async def step(path: str, key: str, **body: Any) -> Any:
        return (await shop.post(f"/v1/redemptions{path}", json=body, headers={"Idempotency-Key": key})).json()

    made: list[str] = []
    for n in range(12):
        place = {"store_id": dice.choice(("Mitte", "Nord", None)), "terminal_id": dice.choice(("till 1", "till 2", None))}
        customer = {"id": dice.choice(("c-1", "c-2"))}
        begun = await step("", f"a {n}", customer=customer, points=6, order_ref=f"order-{n % 4}", **place)
        if "redemption_id" in begun:
            made.append(begun["redemption_id"])
            await step(f"/{made[-1]}/capture", f"c {n}", points=3 + n % 4, store_id=dice.choice(("Mitte", "Nord", None)))
            await step(f"/{made[-1]}/refund", f"r {n}", points=1, terminal_id=dice.choice(("till 2", None)))
    log = (await finance.get("/v1/ledger/transfers?limit=1000")).json()["items"]
    grants = (await messaging.get("/v1/grants?limit=1000")).json()["items"]
    of = {
        name: {each["customer"] for each in (await messaging.get(f"/v1/grants?limit=1000&customer={name}")).json()["items"]}
        for name in ("c-1", "c-2")
    }
    ledger, book = reported.services.ledger, reported.brand.book
    redemptions = {name: await ledger.redemption(book, int(name[-16:], 16)) for name in made}
    assert {each["verb"] for each in log} >= {"grant", "authorize", "capture", "void", "refund", "merge"}
    return Facts(log, grants, {name: each for name, each in redemptions.items() if each is not None}, of)


async def listed(api: Api, query: Mapping[str, Any], limit: int) -> list[int]:
    """The numbers on all pages of a list."""
    found: list[int] = []
    after: dict[str, str] = {}
    while True:
        answer = await api.client("finance").get("/v1/ledger/transfers", params={**query, **after, "limit": limit})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def test_any_combination_lists_what_is_so_and_is_narrow_enough(
    reported: Api, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "SCAN_ROWS_MAX", 20)  # of two hundred, so that pages end where nothing was found yet
    monkeypatch.setattr(finding, "LOOKED_AT_ONCE", 7)
    dice = random.Random(1)
    found = 0
    for _ in range(150):
        query = {name: dice.choice(values) for name, values in FILTERS.items() if dice.random() < 0.18}
        if query.get("from", "") > query.get("to", "9"):
            continue
        if (
            not {"customer", "order_ref"} & query.keys()
            and {"message_id", "metadata", "store_id", "terminal_id"} & query.keys()
        ):
            query = {"from": DAYS[0], "to": DAYS[2]} | query
        expected = facts.wanted(query)
        assert await listed(reported, query, dice.choice((1, 4, 1_000))) == expected, query
        found += bool(expected)
    assert found > 30


async def test_a_redemption_has_its_transfers_whoever_it_belongs_to_by_now(reported: Api, facts: Facts) -> None:
    redemptions = {each["redemption_id"] for each in facts.log} - {None}
    (await reported.client("admin").post("/v1/customers/c-1/merge", json={"from": {"id": "c-2"}})).raise_for_status()
    for redemption in redemptions:
        assert await listed(reported, {"redemption": redemption}, 2) == facts.wanted({"redemption": redemption})


@pytest.mark.parametrize("name", ["message_id", "principal", "metadata", "store_id", "terminal_id"])
async def test_what_no_index_answers_says_which_filter_to_add(api: Api, name: str) -> None:
    value = {"principal": "key_1", "metadata": "store:Mitte"}.get(name, "x")
    finance = api.client("finance")
    refused = (await finance.get("/v1/ledger/transfers", params={name: value, "verb": "grant"})).json()
    assert (refused["status"], refused["code"]) == (422, "filter_too_broad")
    assert [error["pointer"] for error in refused["errors"]] == ["?customer", "?redemption", "?order_ref", "?from"]
    narrow = {"from": "2026-03-01", "to": "2026-03-31"}
    assert (await finance.get("/v1/ledger/transfers", params={name: value, **narrow})).status_code == 200


async def test_a_redemption_of_nobody_is_not_found(api: Api) -> None:
    answer = await api.client("finance").get("/v1/ledger/transfers", params={"redemption": "red_1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
