"""The table of steps in docs/points-and-money.md: it is read from there and done, row by row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from ledger import Book, Ledger, Redeem, RedemptionLot, RedemptionOutcome
from ledger.testing import authorize, capture, fund, order, refund, void
from service.http.problems import CODES
from tests.ledger.conftest import book, spendable

__all__ = ["book"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "points-and-money.md"
CUSTOMER = 7
LAST_DAYS = (date(2030, 1, 31), date(2030, 3, 31), None)
EARNED = (10, 20, 30)


class Row(NamedTuple):
    """A row of the table: a step, and its refusal, or what is so after it for each last day."""

    step: str
    refusal: str | None
    lots: Sequence[int]
    held: Sequence[int]
    spent: Sequence[int]
    status: str


def rows() -> list[Row]:
    """The table as the document has it."""
    found: list[Row] = []
    table = DOCUMENT.read_text().partition("| step |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        step, *cells = (cell.strip().replace("`", "") for cell in line.strip("|").split("|"))
        if refusal := re.fullmatch(r"(4\d\d) (\w+)", cells[0]):
            assert CODES[refusal[2]].status == int(refusal[1])
            found.append(Row(step, refusal[2], (), (), (), ""))
        else:
            lots, held, spent = ([int(part) for part in cell.split("·")] for cell in cells[:3])
            found.append(Row(step, None, lots, held, spent, cells[3]))
    return found


def step_of(book: Book, redemption: int, words: str) -> Redeem:
    """The step that a row's words say."""
    verb, _, rest = words.partition(" ")
    points, _, said = rest.partition(", ")
    number = 0 if points in {"", "all"} else int(points)
    assert said in {"", '"final": false', '"capture": true'}
    if verb == "authorize":
        return authorize(book, CUSTOMER, number, capture=bool(said))
    if verb == "capture":
        return capture(book, redemption, number, final=not said)
    return void(book, redemption) if verb == "void" else refund(book, redemption, number)


def by_last_day(lots: Sequence[RedemptionLot]) -> tuple[list[int], list[int]]:
    """What is held, and what is spent and not refunded, of each last day."""
    held = [sum(lot.held for lot in lots if lot.expires_on == day) for day in LAST_DAYS]
    return held, [sum(lot.captured - lot.refunded for lot in lots if lot.expires_on == day) for day in LAST_DAYS]


async def test_each_step_of_the_documented_table_does_what_it_says(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 100))
    for day, points in zip(LAST_DAYS, EARNED, strict=True):
        await ledger.grant(order(book, customer=CUSTOMER, message_id=f"until {day}", points=points, expires_on=day))
    assert "10 points until 31 January, 20 until 31 March and 30 that never expire" in DOCUMENT.read_text()
    table = rows()
    assert {row.step.split()[0] for row in table} == {"authorize", "capture", "refund", "void"}

    redemption = 0
    for row in table:
        before = await spendable(ledger, book, CUSTOMER)
        result = await ledger.redeem(step_of(book, redemption, row.step))
        if row.refusal is not None:
            assert (result.outcome.name.lower(), result.balance) == (row.refusal, before), row.step
            continue
        assert result.outcome is RedemptionOutcome.DONE, row.step
        assert result.redemption is not None
        redemption = result.redemption.redemption
        balance = await ledger.balance(book, CUSTOMER)
        lots = [sum(lot.points for lot in balance.lots if lot.expires_on == day) for day in LAST_DAYS]
        held, spent = by_last_day(result.redemption.lots)
        shown = (lots, held, spent, result.redemption.status.value)
        assert shown == (row.lots, row.held, row.spent, row.status), row.step
        assert balance.held == sum(held)
