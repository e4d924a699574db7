"""A batch of steps does what the same steps do one by one: every answer, every row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import AccountClass, Book, Operation, PointValue, Redeem, RedemptionResult
from ledger.engine.grants import post_grants
from ledger.engine.merging import Merge, post_groupings
from ledger.engine.redemptions import post_redemptions
from ledger.testing import authorize, capture, order, refund, set_clock, void
from tests.ledger.conftest import make_book

SOON, LATER, NEVER = date(2030, 1, 31), date(2030, 3, 31), None
AFTER_THE_FIRST_LOT = datetime(2030, 2, 2, 12, tzinfo=UTC)
DAY_S = 86_400

MERGED, SURVIVOR, POOR = 3, 4, 5
CUSTOMERS = (1, 2, MERGED, SURVIVOR, POOR, 6)


@dataclass(frozen=True)
class Drawn:
    """A step before it is known which redemptions there are: ``which`` is the place of one, or of one that may be begun."""

    operation: Operation
    customer: int
    which: int
    points: int
    key: int | None
    flag: bool
    hold_s: int
    said: str | None
    generation: int | None


drawn_steps = st.builds(
    Drawn,
    operation=st.sampled_from([Operation.AUTHORIZE, Operation.AUTHORIZE, Operation.CAPTURE, Operation.VOID, Operation.REFUND]),
    customer=st.sampled_from(CUSTOMERS),
    which=st.sampled_from([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 6, 8, 12]),
    points=st.sampled_from([0, 0, 1, 4, 12, 25, 500]),
    key=st.sampled_from([None, None, None, 1, 2]),
    flag=st.booleans(),
    hold_s=st.sampled_from([0, 600, DAY_S]),
    said=st.sampled_from([None, "invoice-1"]),
    generation=st.sampled_from([None, None, 0, 1]),
)


async def a_book_with_a_past(owner: asyncpg.Connection[Any]) -> tuple[Book, list[int]]:
    """Open a book in which lots have died, holds have timed out and customers were merged, and say which redemptions it has."""
    book = await make_book(owner)
    await post_grants(
        owner,
        [
            order(
                book,
                customer=customer,
                message_id=f"lot-{n}",
                points=10,
                expires_on=expires_on,
                account_class=AccountClass(n % 2 + 1),
                unlimited=True,
            )
            for customer in CUSTOMERS
            if customer != POOR
            for n, expires_on in enumerate((SOON, LATER, NEVER, LATER))
        ],
    )
    begun = [
        authorize(book, 1, 12, hold_s=30 * DAY_S, key="a"),  # from a lot that dies
        authorize(book, 2, 15, hold_s=60, key="b"),  # times out
        authorize(book, MERGED, 25, hold_s=30 * DAY_S, key="c"),
        authorize(book, SURVIVOR, 5, hold_s=30 * DAY_S, key="d"),
        authorize(book, 6, 25, capture=True, key="e"),
    ]
    numbers = [made(result) for result in await post_redemptions(owner, begun)]
    await post_redemptions(owner, [capture(book, numbers[2], 11, final=False, key="f")])
    await post_groupings(owner, [Merge(book, MERGED, SURVIVOR)])
    await set_clock(owner, book, AFTER_THE_FIRST_LOT)
    return book, numbers


def made(result: RedemptionResult) -> int:
    """The number of the redemption that a step has begun."""
    assert result.redemption is not None
    return result.redemption.redemption


def step_of(drawn: Drawn, book: Book, numbers: list[int], place: int) -> Redeem:
    """The step itself. A key that was drawn may be another's too; with the same request that is a replay."""
    key = f"fresh-{place}" if drawn.key is None else f"key-{drawn.key}"
    number = numbers[drawn.which] if drawn.which < len(numbers) else numbers[-1] + 2 * drawn.which
    if drawn.operation is Operation.AUTHORIZE:
        step = authorize(
            book, drawn.customer, drawn.points, key=key, hold_s=drawn.hold_s, capture=drawn.flag, order_ref="order"
        )
        return msgspec.structs.replace(
            step,
            maximum=drawn.points == 0,
            generation=drawn.generation,
            point_value=PointValue(points=3, minor_units=2) if drawn.said else None,
            store_id=drawn.said,
        )
    if drawn.operation is Operation.CAPTURE:
        return capture(book, number, drawn.points, final=drawn.flag, key=key, ref=drawn.said)
    if drawn.operation is Operation.REFUND:
        return refund(book, number, drawn.points, key=key, ref=drawn.said, store_id=drawn.said)
    return void(book, number, key=None if drawn.key is None else key)


TABLES = ("transfer", "account", "customer_state", "redemption", "redemption_step", "idempotency_key")


async def everything(owner: asyncpg.Connection[Any], book: Book) -> dict[str, list[Any]]:
    """All rows of a book, without what is drawn by lot."""
    rows: dict[str, list[Any]] = {
        table: [
            json.loads(row[0])
            for row in await owner.fetch(
                f"""
                SELECT (to_jsonb(kept) - ARRAY['book_id', 'salt', 'details_hash'] || jsonb_build_object(
                    'said', to_jsonb(kept) -> 'details_hash' IS DISTINCT FROM 'null'))::text AS row
                FROM ledger.{table} AS kept WHERE kept.book_id = $1 ORDER BY 1
                """,
                book.book_id,
            )
        ]
        for table in TABLES
    }
    rows["head"] = [
        tuple(await owner.fetchrow("SELECT seq, posted_at FROM ledger.head WHERE book_id = $1", book.book_id) or ())
    ]
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=st.lists(drawn_steps, min_size=1, max_size=25))
async def test_a_batch_does_what_its_steps_do_one_by_one(owner: asyncpg.Connection[Any], drawn: list[Drawn]) -> None:
    together, numbers = await a_book_with_a_past(owner)
    alone, _ = await a_book_with_a_past(owner)
    at_once = await post_redemptions(owner, [step_of(each, together, numbers, n) for n, each in enumerate(drawn)])
    one_by_one = [
        result for n, each in enumerate(drawn) for result in await post_redemptions(owner, [step_of(each, alone, numbers, n)])
    ]
    assert at_once == one_by_one
    assert await everything(owner, together) == await everything(owner, alone)


async def test_steps_of_one_customer_in_a_batch_see_each_other(owner: asyncpg.Connection[Any]) -> None:
    book = await make_book(owner)
    await post_grants(owner, [order(book, customer=1, points=10, unlimited=True)])
    first = 2  # the number of the first redemption: the grant's transfer is 1
    results = await post_redemptions(
        owner,
        [
            authorize(book, 1, 6),
            authorize(book, 1, 6),
            capture(book, first, 4),
            authorize(book, 1, 6, key="again"),
            authorize(book, 1, 6, key="again"),
            void(book, first),
        ],
    )
    assert [(result.outcome.name, result.replayed, result.balance) for result in results] == [
        ("DONE", False, 4),
        ("INSUFFICIENT_BALANCE", False, 4),
        ("DONE", False, 6),
        ("DONE", False, 0),
        ("DONE", True, 0),
        ("FULLY_CAPTURED", False, 0),
    ]
    assert results[2].redemption is not None
    assert [each.verb for each in results[2].redemption.operations] == ["authorize", "capture", "void"]
