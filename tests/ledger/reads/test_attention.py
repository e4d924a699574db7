"""What was asked of a customer's attention of late: as a plain recount of all that happened has it, to the microsecond."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import Book, BookRefused, CapUse, Grade, GrantOutcome, Ledger
from ledger.events import event_key
from ledger.reads import attention as attention_module
from ledger.testing import NOON, authorize, order, set_clock
from service.storage.database import APPLICATION_ROLE, create_pool
from tests.conftest import Database
from tests.ledger.conftest import make_book

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
CHANNELS = ("email", "voice")
CAPPED = (CapUse(0, NOON.date(), max_grants=0),)

acts = st.tuples(
    st.sampled_from([0, 1, 24 * 3_600, 5 * 24 * 3_600, 30 * 24 * 3_600]),  # seconds since the act before
    st.sampled_from(["paid", "waits", "capped", "held", "matures", "is proved", "redeems"]),
    st.integers(1, 2),  # customer
    st.sampled_from(CHANNELS),
    st.integers(0, 2),  # message
    st.integers(1, 9),  # points
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    history=st.lists(acts, min_size=1, max_size=14),
    days=st.integers(1, 90),
    rest=st.sampled_from([0, 1, 24 * 3_600, 20 * 24 * 3_600]),
    at_the_edge=st.booleans(),
)
async def test_it_is_what_a_recount_of_all_that_happened_says(
    ledger: Ledger, owner: asyncpg.Connection[Any], history: list[Any], days: int, rest: int, at_the_edge: bool
) -> None:
    book = await make_book(owner)
    now = NOON
    reported: dict[tuple[int, str, str, str], datetime] = {}
    earned: list[tuple[datetime, int, str, int]] = []
    waiting: list[tuple[int, str, str, str, int]] = []
    held: list[tuple[int, str, str, bytes, int]] = []
    for n, (seconds, what, customer, channel, message, points) in enumerate(history):
        now += timedelta(seconds=seconds) + TICK
        await set_clock(owner, book, now)
        message_id, action = f"m-{message}", f"act{n}"
        fields: dict[str, Any] = {"customer": customer, "channel": channel, "message_id": message_id, "points": points}
        fields |= {"unlimited": True, "at": now, "action": action}
        match what:
            case "paid":
                await ledger.grant(order(book, **fields))
                earned.append((now, customer, channel, points))
            case "waits":
                await ledger.grant(order(book, **fields, waits=True, grade=Grade.D))
                waiting.append((customer, channel, message_id, action, points))
            case "capped":
                await ledger.grant(order(book, **fields, caps=CAPPED))
            case "held":
                await ledger.grant(order(book, **fields, held_back=True, due_at=now + 400 * DAY))
                key = event_key(campaign_no=1, message_id=message_id, customer=customer, action=action)
                held.append((customer, channel, message_id, key, points))
            case "is proved":
                if not waiting:
                    continue
                customer, channel, message_id, action, points = waiting.pop()
                fields |= {
                    "customer": customer,
                    "channel": channel,
                    "message_id": message_id,
                    "action": action,
                    "points": points,
                }
                paid = await ledger.grant(order(book, **fields))
                assert paid.outcome is GrantOutcome.GRANTED
                earned.append((now, customer, channel, points))
            case "matures":
                if not held:
                    continue
                customer, channel, message_id, key, points = held.pop()
                await ledger.mature(book, 1, key, expires_on=None)
                earned.append((now, customer, channel, points))
                continue
            case _:
                await ledger.redeem(authorize(book, customer, points=1))
                continue
        # What waited is reported when it is decided, and no longer when it began to wait.
        reported[customer, channel, message_id, action] = now
    # The window begins exactly with an act, or a microsecond before it, or wherever.
    if at_the_edge:
        edge = min(reported.values(), default=now)
        now = max(now + TICK, edge + days * DAY - rest % 2 * TICK)
    else:
        now += timedelta(seconds=rest) + TICK
    await set_clock(owner, book, now)

    within = await ledger.lookback(book, days * DAY)
    assert (within.until, within.since) == (now, now - days * DAY)
    seen = await ledger.attention(within, [1, 2, 3])
    assert all(each.complete for each in seen)
    assert seen[2].messages == ()
    for customer, found in ((1, seen[0]), (2, seen[1])):
        for channel in CHANNELS:
            of_channel = [each for each in found.messages if each.channel == channel]
            messages = {each.message_id: each.reported_at for each in of_channel if each.reported_at is not None}
            expected: dict[str, datetime] = {}
            for (who, on, message_id, _), at in reported.items():
                if (who, on) == (customer, channel) and at > within.since:
                    expected[message_id] = max(at, expected.get(message_id, at))
            assert messages == expected
            rewards = [(at, points) for at, who, on, points in earned if (who, on) == (customer, channel) and at > within.since]
            assert sum(each.rewards for each in of_channel) == len(rewards)
            assert sum(each.points for each in of_channel) == sum(points for _, points in rewards)
            last = max((each.rewarded_at for each in of_channel if each.rewarded_at is not None), default=None)
            assert last == max((at for at, _ in rewards), default=None)


async def test_of_another_brands_book_nothing_is_said(ledger: Ledger, book: Book) -> None:
    with pytest.raises(BookRefused):
        await ledger.lookback(Book(book.brand_id + 1, book.book_id), DAY)


async def test_an_empty_book_reaches_to_its_beginning(ledger: Ledger, book: Book) -> None:
    within = await ledger.lookback(book, DAY)
    assert (within.seq, within.place) == (1, 1)
    assert [each.messages for each in await ledger.attention(within, [7])] == [()]
    assert await ledger.attention(within, []) == []


async def test_what_is_more_than_is_looked_at_is_told_as_at_least(
    ledger: Ledger, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_module, "SCAN_ROWS_MAX", 3)
    for n in range(4):
        await ledger.grant(order(book, customer=7, message_id=f"m-{n}", unlimited=True))
    for n in range(2):
        await ledger.grant(order(book, customer=8, message_id=f"m-{n}", unlimited=True))
        await ledger.grant(order(book, customer=8, message_id=f"w-{n}", waits=True, grade=Grade.D))
    much, little = await ledger.attention(await ledger.lookback(book, DAY), [7, 8])
    assert (much.complete, sorted(str(each.message_id) for each in much.messages)) == (False, ["m-1", "m-2", "m-3"])
    assert (little.complete, len(little.messages)) == (True, 4)


LOADED = 50_000
_READ = """
SELECT coalesce(sum(seq_tup_read), 0)::bigint AS whole, coalesce(sum(idx_tup_fetch), 0)::bigint AS by_index
FROM pg_stat_xact_user_tables WHERE schemaname = 'ledger'
"""


@pytest.mark.own_database("leaves statistics")
@pytest.mark.parametrize("analyzed", [False, True])
async def test_of_a_customer_with_a_long_past_only_the_window_is_read(
    owner: asyncpg.Connection[Any], database: Database, analyzed: bool
) -> None:
    book = await make_book(owner)  # rows are loaded that no log explains: not for the audit
    for statement in (
        """
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, campaign_no, verb, debit, credit, event_key
        )
        SELECT $1, n, $2::timestamptz - interval '60 days' + n * interval '1 second', now(), 5, 7, n, 1, 2, '\\x00', '\\x01',
            decode(md5(n::text), 'hex')
        FROM generate_series(1, $3::integer) AS n
        """,
        """
        INSERT INTO ledger.event (
            book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome, rule,
            grade, action, channel, message_id, qualifier, source, place
        )
        SELECT $1, 1, decode(md5(kind || n::text), 'hex'), 7, n, 5, now(),
            $2::timestamptz - interval '60 days' + n * interval '1 second', 1, 1, CASE kind WHEN '' THEN 1 ELSE 4 END, 0, 'B',
            'click', 'email', 'm-' || n, '', 'api', CASE kind WHEN '' THEN NULL ELSE n END
        FROM generate_series(1, $3::integer) AS n, (VALUES (''), ('waits ')) AS of (kind)
        """,
    ):
        await owner.execute(statement, book.book_id, NOON, LOADED)
    await owner.execute("UPDATE ledger.head SET seq = $2, places = $2 WHERE book_id = $1", book.book_id, LOADED)
    if analyzed:
        await owner.execute("ANALYZE")
    pool = await create_pool(database.application_url, APPLICATION_ROLE, size=1)
    # Exactly the last ten.
    span = 60 * DAY - timedelta(seconds=LOADED - 10)
    async with pool.acquire() as connection, connection.transaction():
        one: Any = connection
        within = await attention_module.lookback(one, book, span)
        assert (within.seq, within.place) == (LOADED - 9, LOADED - 9)
        (found,) = await attention_module.attention(one, within, [7])
        ((whole, by_index),) = await connection.fetch(_READ)
    await pool.close()
    assert (len(found.messages), sum(each.rewards for each in found.messages)) == (10, 10)
    assert whole == 0
    # Ten transfers, their events, ten decisions; and two halvings of fifty thousand.
    assert by_index < 3 * 10 + 2 * 17 + 10
