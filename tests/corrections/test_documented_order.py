"""The table of an order in docs/corrections.md: it is read from there and sent, in every order in which it can arrive."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from ledger import audit
from tests.api_fixtures import Api
from tests.corrections.test_returns import CAMPAIGN, returns, sums

DOCUMENT = Path(__file__).parents[2] / "docs" / "corrections.md"
WELCOME: dict[str, Any] = CAMPAIGN | {
    "id": "welcome",
    "budget": 1_000_000,
    "class": "engagement",
    "rules": [{"action": "click", "points": 1_000}],
}


class Figures(NamedTuple):
    """What the customer can spend, and in minor units what the brand owes for gifts and for purchases."""

    points: int
    provision: int
    deferred: int

    def changed(self, by: Figures) -> Figures:
        return Figures(*(old + new for old, new in zip(self, by, strict=True)))

    def since(self, before: Figures) -> Figures:
        return Figures(*(new - old for new, old in zip(self, before, strict=True)))


class Step(NamedTuple):
    """A row of the table: a request, what it is about, and what it changes."""

    name: str
    path: str
    body: Mapping[str, Any]
    changes: Figures


def steps() -> list[Step]:
    """The table as the document has it; its first row is how the customer begins."""
    found: list[Step] = []
    before = Figures(0, 0, 0)
    table = DOCUMENT.read_text().partition("| what happens | the shop sends |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        name, sends, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        path, body = re.fullmatch(r"`POST (\S+) (\{.*\})`", sends).groups()  # pyright: ignore[reportOptionalMemberAccess]
        figures = Figures(*(int(cell.replace(",", "").replace(".", "")) for cell in cells))
        found.append(Step(name, path, json.loads(body), figures.since(before)))
        before = figures
    return found


def arrivals(needs: Mapping[int, set[int]]) -> Iterator[Sequence[int]]:
    """The orders in which steps take effect, whatever order they arrive in: what comes too early is sent again."""
    taken: set[tuple[int, ...]] = set()
    for arrived in itertools.permutations(needs):
        waiting, done = list(arrived), list[int]()
        while waiting:
            ready = next(step for step in waiting if needs[step] <= {*done})
            waiting.remove(ready)
            done.append(ready)
        taken.add(tuple(done))
    yield from sorted(taken)


@pytest.fixture
async def shop(api: Api) -> Api:
    admin = api.client("admin")
    for campaign in (CAMPAIGN | {"budget": 100_000}, WELCOME):
        (await admin.post("/v1/campaigns", json=campaign)).raise_for_status()
    (await admin.patch("/v1/brand", json={"point_value": {"points": 2, "minor_units": 1}})).raise_for_status()
    return api


class Customer:
    """One customer, to whom the order happens."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name
        self.ids = dict.fromkeys(("grant_id", "redemption_id"), "")

    async def sends(self, step: Step) -> None:
        """Send the step as the document has it, in this customer's name."""
        keys = {"/v1/grants": "messaging"}
        body = {**step.body, **({"customer": {"id": self.name}} if "customer" in step.body else {})}
        answer = await self.api.client(keys.get(step.path, "storefront")).post(
            step.path.format(**self.ids), json=body, headers={"Idempotency-Key": f"{self.name} {step.name}"}
        )
        assert answer.status_code == 201, (step.name, answer.text)
        self.ids |= {name: answer.json()[name] for name in self.ids.keys() & answer.json().keys()}

    async def figures(self) -> Figures:
        """Theirs, and the brand's."""
        balance = (await self.api.client("storefront").get(f"/v1/customers/{self.name}/balance")).json()["balance"]
        report = (await self.api.client("finance").get("/v1/reports/roll-forward")).raise_for_status().json()
        rows = {row["class"]: row for row in report["rows"]}
        provision = rows.get("engagement", {"closing_value": 0})["closing_value"]
        return Figures(balance, provision, rows.get("purchase", {"closing_deferred_value": 0})["closing_deferred_value"])


BOUGHT = 3
NEEDS = {1: set[int](), 2: {1}, BOUGHT: set[int](), 4: {BOUGHT}, 5: {BOUGHT}, 6: {2}}
"""What has to be there: a capture needs its authorization, a return its purchase, a refund its capture."""


@pytest.mark.slow
async def test_an_order_comes_out_right_in_whatever_order_it_arrives(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    begins, *rest = table = steps()
    assert len(rest) == len(NEEDS)
    orders = list(arrivals(NEEDS))
    assert len(orders) == 40
    expected = Figures(0, 0, 0)
    for number, order in enumerate(orders):
        customer = Customer(shop, f"c-{number}")
        await customer.sends(begins)
        expected = expected._replace(points=0).changed(begins.changes)
        for step in order:
            await customer.sends(table[step])
            expected = expected.changed(table[step].changes)
            if number % 5 == 0 or step == order[-1]:
                assert await customer.figures() == expected, (order, table[step].name)
    assert expected == Figures(1_000, 500 * len(orders), 0)
    assert [finding for finding in await audit(owner, shop.brand.book) if finding.violations] == []


@pytest.mark.slow
async def test_points_of_returned_goods_are_never_kept(shop: Api, owner: asyncpg.Connection[Any]) -> None:
    """The earned points are set aside for another order, and released: before, between and after the returns."""
    _, _, _, purchase, first, second, _ = steps()
    needs: dict[int, set[int]] = {1: set[int](), 2: {1}, 3: {1}, 4: {1}, 5: {4}}
    orders = list(arrivals(needs))
    assert len(orders) == 12
    for number, order in enumerate(orders):
        customer = Customer(shop, f"c-{number}")
        hold = ""
        for step in order:
            if step == 4:
                asked = {"customer": {"id": customer.name}, "points": "max", "order_ref": "another"}
                held = await shop.client("storefront").post(
                    "/v1/redemptions", json=asked, headers={"Idempotency-Key": customer.name}
                )
                assert held.status_code in {201, 402}, held.text
                hold = held.json().get("redemption_id", "")
            elif step == 5 and hold:
                (await shop.client("storefront").post(f"/v1/redemptions/{hold}/void", json={})).raise_for_status()
            elif step != 5:
                await customer.sends({1: purchase, 2: first, 3: second}[step])
        assert await customer.figures() == Figures(0, 0, 0), order
    assert [finding for finding in await audit(owner, shop.brand.book) if finding.violations] == []


async def test_what_is_withheld_is_what_points_are_worth_to_the_cent(shop: Api) -> None:
    """The earned points are spent: the shop withholds their worth, and owes nothing for them."""
    _, _, _, purchase, *_ = steps()
    for number, parts in enumerate(itertools.permutations((499, 500, 500))):
        customer = Customer(shop, f"c-{number}")
        await customer.sends(purchase)
        asked = {"customer": {"id": customer.name}, "points": 44, "order_ref": "another", "capture": True}
        spent = await shop.client("storefront").post("/v1/redemptions", json=asked, headers={"Idempotency-Key": customer.name})
        assert spent.status_code == 201, spent.text
        withheld = 0
        for part, amount in enumerate(parts):
            told = (await returns(shop, customer.ids["grant_id"], amount, f"r-{part}", withhold=True)).json()
            assert sums(told)[1:4] == (0, 0, 0)
            withheld += told["withheld_minor"]
        assert withheld == 22
        assert await customer.figures() == Figures(0, 0, 0)
