"""Details: the log proves them by their hash, and what is not personal also after the rest was erased."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from ledger import (
    Book,
    EraseOutcome,
    Finding,
    Grade,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Ledger,
    audit,
    erase_customer,
    erase_details,
)
from ledger.testing import authorize, capture, corroboration, fund, order
from tests.ledger.conftest import make_book

EVENTS, REDEMPTIONS, STEPS = (
    "details_equal_their_hash",
    "redemption_details_equal_their_hash",
    "redemption_steps_equal_their_hash",
)
SET_HASH = "UPDATE ledger.transfer SET details_hash = $2 WHERE seq = $1"
WITH_METADATA = '{"name":"Ada Ö"}'


@pytest.fixture
async def told(ledger: Ledger, owner: asyncpg.Connection[Any]) -> Book:
    """A book with two grants (seq 2 and 3), a redemption (seq 4) and its capture (seq 5), each with details."""
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    await ledger.grant_batch(
        [
            order(book, customer=7, message_id="mail-ö", points=100, metadata=WITH_METADATA, grade=Grade.A),
            order(book, customer=7, message_id="mail-2", qualifier="header", points=10),
        ]
    )
    held = await ledger.redeem(authorize(book, 7, 50, order_ref='order "7"', value=25, store_id="store-1"))
    assert held.redemption
    await ledger.redeem(capture(book, held.redemption.redemption, 50, ref="invoice-1", terminal_id="till-2"))
    return book


async def findings(connection: asyncpg.Connection[Any], book: Book) -> dict[str, Finding]:
    """What the audit says of details."""
    return {each.invariant: each for each in await audit(connection, book) if each.invariant in {EVENTS, REDEMPTIONS, STEPS}}


async def hash_in_the_log(owner: asyncpg.Connection[Any], seq: int) -> bytes:
    return await owner.fetchval("SELECT details_hash FROM ledger.transfer WHERE seq = $1", seq)


def compact(*fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


async def test_the_log_holds_the_hash_that_the_documents_describe(owner: asyncpg.Connection[Any], told: Book) -> None:
    salts = [row[0] for row in await owner.fetch("SELECT salt FROM ledger.event ORDER BY seq")]
    assert {len(salt) for salt in salts} == {15}
    personal = sha256(salts[0] + b"\0mail-\xc3\xb6\0\0" + WITH_METADATA.encode()).digest()
    rest = compact(2, "click", "email", "A", "api", 1, 1, 0)
    assert await hash_in_the_log(owner, 2) == sha256(rest + personal).digest()
    personal = sha256(salts[1] + b"\0mail-2\0header\xff").digest()
    rest = compact(2, "click", "email", "B", "api", 1, 1, 0)
    assert await hash_in_the_log(owner, 3) == sha256(rest + personal).digest()
    salt = await owner.fetchval("SELECT salt FROM ledger.redemption")
    personal = sha256(salt + b'\0order "7"').digest()
    assert await hash_in_the_log(owner, 4) == sha256(compact(2, 25, "store-1", None) + personal).digest()
    salt = await owner.fetchval("SELECT salt FROM ledger.redemption_step")
    personal = sha256(salt + b"\0invoice-1").digest()
    assert await hash_in_the_log(owner, 5) == sha256(compact(2, None, "till-2") + personal).digest()


async def as_of_version_1(owner: asyncpg.Connection[Any]) -> None:
    """Make all details what an earlier release would have written."""
    salt = bytes(range(16))
    for event in await owner.fetch("SELECT * FROM ledger.event"):
        details = compact(
            *(event[each] for each in ("action", "channel", "message_id")),
            event["qualifier"] or "",
            *(event[each] for each in ("source", "principal", "campaign_version", "rule", "metadata")),
        )
        await owner.execute(SET_HASH, event["seq"], sha256(salt + details).digest())
    for redemption in await owner.fetch("SELECT * FROM ledger.redemption"):
        details = compact(*(redemption[each] for each in ("order_ref", "value", "store_id", "terminal_id")))
        await owner.execute(SET_HASH, redemption["id"], sha256(salt + details).digest())
    for step in await owner.fetch("SELECT * FROM ledger.redemption_step"):
        details = compact(*(step[each] for each in ("ref", "store_id", "terminal_id")))
        await owner.execute(SET_HASH, step["seq"], sha256(salt + details).digest())
    for table in ("event", "redemption", "redemption_step"):
        await owner.execute(f"UPDATE ledger.{table} SET salt = $1", salt)


async def test_details_of_version_1_are_told_apart_by_their_salt(owner: asyncpg.Connection[Any], told: Book) -> None:
    await as_of_version_1(owner)
    found = await findings(owner, told)
    assert [(each.checked, each.violations, each.unprovable) for each in found.values()] == [(2, 0, 0), (1, 0, 0), (1, 0, 0)]
    await owner.execute("UPDATE ledger.event SET metadata = NULL")
    await owner.execute("UPDATE ledger.redemption SET store_id = 'another'")
    await owner.execute("UPDATE ledger.redemption_step SET ref = 'another'")
    found = await findings(owner, told)
    assert [(each.checked, each.violations) for each in found.values()] == [(2, 1), (1, 1), (1, 1)]


async def erase(pool: asyncpg.Pool[Any], book: Book) -> None:
    """Erase what is personal, of everybody there is."""
    assert (await erase_customer(pool, book, [7])).outcome is EraseOutcome.ERASED
    assert await erase_details(pool, book, [7]) == 4


async def test_what_is_not_personal_is_proved_after_the_rest_was_erased(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], told: Book
) -> None:
    await erase(worker_pool, told)
    found = await findings(owner, told)
    assert [(each.checked, each.violations, each.unprovable) for each in found.values()] == [(2, 0, 0), (1, 0, 0), (1, 0, 0)]


TAMPERING = [
    ("UPDATE ledger.event SET action = 'open'", EVENTS),
    ("UPDATE ledger.event SET channel = 'sms'", EVENTS),
    ("UPDATE ledger.event SET grade = 'C'", EVENTS),
    ("UPDATE ledger.event SET source = 'link'", EVENTS),
    ("UPDATE ledger.event SET principal = 2", EVENTS),
    ("UPDATE ledger.event SET campaign_version = 2", EVENTS),
    ("UPDATE ledger.event SET rule = 1", EVENTS),
    ("UPDATE ledger.redemption SET value = 26", REDEMPTIONS),
    ("UPDATE ledger.redemption SET store_id = NULL", REDEMPTIONS),
    ("UPDATE ledger.redemption_step SET terminal_id = 'till-3'", STEPS),
]


@pytest.mark.parametrize(("tampering", "invariant"), TAMPERING)
@pytest.mark.parametrize("erased", [False, True])
async def test_what_is_not_personal_cannot_be_changed(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], told: Book, tampering: str, invariant: str, *, erased: bool
) -> None:
    if erased:
        await erase(worker_pool, told)
    await owner.execute(tampering)
    found = await findings(owner, told)
    assert {each.invariant for each in found.values() if each.violations} == {invariant}


async def test_what_an_erasure_left_cannot_be_changed(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], told: Book
) -> None:
    await erase(worker_pool, told)
    await owner.execute("UPDATE ledger.event SET personal_hash = sha256(personal_hash)")
    assert (await findings(owner, told))[EVENTS].violations == 2


async def test_nothing_proves_details_of_version_1_that_were_erased(
    owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], told: Book
) -> None:
    await as_of_version_1(owner)
    await erase(worker_pool, told)
    found = await findings(owner, told)
    assert [(each.checked, each.violations, each.unprovable) for each in found.values()] == [(2, 0, 2), (1, 0, 1), (1, 0, 1)]


def an_open(book: Book) -> GrantOrder:
    """An open that waits for proof of a person."""
    return order(book, action="open", points=1, waits=True, grade=Grade.D, corroboration=corroboration())


def a_click(book: Book, grade: Grade) -> GrantOrder:
    return order(book, grade=grade, corroboration=corroboration(may_wait=("open",)))


@pytest.mark.parametrize("grade", [Grade.A, Grade.B])
async def test_what_waited_is_hashed_with_the_grade_that_paid_it(
    ledger: Ledger, owner: asyncpg.Connection[Any], grade: Grade
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    for each in (an_open(book), a_click(book, grade)):
        assert isinstance(await ledger.grant(each), GrantResult)
    grades = await owner.fetch("SELECT action, grade::text FROM ledger.event WHERE outcome = 1 ORDER BY action")
    assert [tuple(row) for row in grades] == [("click", grade), ("open", grade)]
    found = await findings(owner, book)
    assert (found[EVENTS].checked, found[EVENTS].violations) == (2, 0)
    await owner.execute("UPDATE ledger.event SET grade = 'D' WHERE action = 'open'")
    assert (await findings(owner, book))[EVENTS].violations == 1


async def test_what_waits_since_version_1_is_paid_by_the_hash_of_then(ledger: Ledger, owner: asyncpg.Connection[Any]) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    waiting = await ledger.grant(an_open(book))
    assert waiting.outcome is GrantOutcome.WAITING
    salt = bytes(16)
    hashed = sha256(salt + compact("open", "email", "message-1", "", "api", 1, 1, 0, None)).digest()
    await owner.execute(
        "UPDATE ledger.event SET salt = $1, terms = (terms::jsonb || jsonb_build_object('hash', $2::text))::text",
        salt,
        hashed.hex(),
    )
    await ledger.grant(a_click(book, Grade.A))
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE details_hash = $1", hashed) == 1
    found = await findings(owner, book)
    assert (found[EVENTS].checked, found[EVENTS].violations) == (2, 0)
