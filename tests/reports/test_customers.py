"""Reports by customer: what a page of customers says is what the whole log says of them, told one transfer at a time."""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from ledger import Event, Grade, Transfer, Verb
from ledger.reads import customers as reads
from service.reports.customers import figures, responses
from service.reports.customers.rfm import scale_of, score
from tests.reports.conftest import Books, at, parameters, shown

BERLIN = ZoneInfo("Europe/Berlin")
CHANNELS = ("app", "email", "sms")
VALUES = {date(2029, 1, 1): Fraction(3, 7), date(2030, 3, 1): Fraction(4, 7)}
BEGIN, END = "2030-02-01", "2030-04-30"
PERIOD = {"since": BEGIN, "until": END}


async def a_spring(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    """Acts of every grade at all hours, purchases and refunds; some are held back, some points die, and two merge."""
    chance = random.Random(13)
    await books.worth("2029-01-01", 7, 3)
    await books.worth("2030-03-01", 7, 4)
    await books.fund(1_000_000)
    captured: list[int] = []
    for day in range(0, 130, 6):
        today = date(2030, 1, 15) + timedelta(days=day)
        await books.on(today.isoformat())
        for customer in chance.choices(range(1 if day < 66 else 3, 11), k=6):
            await books.grant(
                customer,
                chance.randint(5, 60),
                chance.choice([None, f"{today + timedelta(days=20)}"]),
                grade=chance.choice(list(Grade)),
                channel=chance.choice(CHANNELS),
                held_back=chance.random() < 0.2,
                due_at=at("2030-12-01"),
                at=at(today.isoformat(), 0) + timedelta(minutes=chance.randint(-600, 700)),
            )
        customer = chance.randint(1 if day < 66 else 3, 9)
        points = (await books.ledger.balance(books.book, customer)).spendable
        if points > 4:
            captured.append(await books.redeem(customer, chance.randint(2, points)))
        if len(captured) > 2:
            await books.refund(captured.pop(0), 1)
        if day % 24 == 0:
            await books.grant(3, 9)
            late = await books.redeem(3, 9, captured=False)
            await books.on((today + timedelta(days=1)).isoformat())
            await books.capture(late, 5, grace_s=5 * 86_400)
        if day == 66:
            await books.ledger.merge(books.book, loser=1, survivor=2)
        if day % 18 == 0:
            await books.post_dues(worker_pool)
    await books.on("2030-06-03")
    await books.post_dues(worker_pool)
    await books.owner.execute(
        """
        INSERT INTO rewards.customer (customer, brand_id, book_id, confirmed, merged_into, absorbed)
        OVERRIDING SYSTEM VALUE
        SELECT n, $1, $2, true, CASE n WHEN 1 THEN 2 END, (n = 2)::int FROM generate_series(1, 14) AS n
        """,
        books.api.brand.brand_id,
        books.book.book_id,
    )


async def the_log(books: Books) -> list[tuple[Transfer, Event | None, int]]:
    """Each transfer with its event and whose it counts as."""
    head = await books.ledger.head(books.book)
    log = await books.ledger.transfers(books.book, after=0, cut=head.seq)
    names = {(books.book, each.campaign_no or 0, each.event_key) for each in log if each.event_key is not None}
    events = await books.ledger.events(list(names))
    return [
        (
            each,
            events.get((books.book, each.campaign_no or 0, each.event_key or b"")),
            2 if each.customer == 1 else each.customer or 0,
        )
        for each in log
    ]


def is_act(transfer: Transfer, event: Event | None) -> bool:
    return transfer.verb in {Verb.GRANT, Verb.HOLD_BACK} and event is not None and event.grade in {Grade.A, Grade.B}


def value_on(day: date) -> Fraction:
    return VALUES[max(since for since in VALUES if since <= day)]


def quintiles(values: Mapping[int, Any]) -> dict[int, int]:
    """How many fifths of all are worse, and one."""
    return {
        customer: 1 + 5 * sum(other < value for other in values.values()) // len(values) for customer, value in values.items()
    }


async def pages(books: Books, view: str, **query: str) -> list[dict[str, Any]]:
    """All rows of a report by customer."""
    found: list[dict[str, Any]] = []
    sent: dict[str, Any] = {"limit": "3"} | parameters(query)
    while True:
        answer = await books.api.client("finance").get(f"/v1/reports/customers/{view}", params=sent)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        names = [column["name"] for column in page["columns"]]
        assert all(list(row) == names for row in page["items"])
        found += page["items"]
        if page["next"] is None:
            return found
        sent["after"] = page["next"]


async def test_rfm_is_what_the_log_says(books: Books, worker_pool: asyncpg.Pool[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    await a_spring(books, worker_pool)
    monkeypatch.setattr(reads, "TRANSFERS_AT_ONCE", 5)
    monkeypatch.setattr(reads, "CUSTOMERS_AT_ONCE", 2)
    monkeypatch.setattr(figures, "CUSTOMERS_AT_ONCE", 4)
    begin, end = date.fromisoformat(BEGIN), date.fromisoformat(END)
    expected: dict[int, dict[str, Any]] = {}
    redemptions: dict[int, set[int]] = defaultdict(set)
    money: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
    for transfer, event, customer in await the_log(books):
        day = transfer.accounting_date
        if customer == 0 or day > end or transfer.verb in {Verb.MERGE, Verb.SPLIT}:
            continue
        row = expected.setdefault(
            customer,
            {"last_act_on": None, "last_redemption_on": None, "verified_acts": 0, "earned": 0, "redeemed": 0},
        )
        if is_act(transfer, event):
            assert event is not None
            acted_on = event.window_at.astimezone(BERLIN).date()
            row["last_act_on"] = max(row["last_act_on"] or acted_on, acted_on)
            row["verified_acts"] += day >= begin
        if transfer.verb is Verb.CAPTURE:
            row["last_redemption_on"] = day
        if day >= begin:
            if transfer.verb is Verb.CAPTURE:
                redemptions[customer].add(int.from_bytes(transfer.credit[3:11], "big"))
            for name, sign in (
                {
                    Verb.GRANT: ("earned", 1),
                    Verb.MATURE: ("earned", 1),
                    Verb.CAPTURE: ("redeemed", 1),
                    Verb.REFUND: ("redeemed", -1),
                }.get(transfer.verb, ("", 0)),
            ):
                if name:
                    row[name] += sign * transfer.amount
                    money[customer, name] += sign * transfer.amount * value_on(day)
    scores = [
        quintiles({customer: row["last_act_on"] or date.min for customer, row in expected.items()}),
        quintiles({customer: row["verified_acts"] for customer, row in expected.items()}),
        quintiles({customer: row["earned"] for customer, row in expected.items()}),
    ]
    rows = await pages(books, "rfm", **PERIOD)
    assert [row["customer"] for row in rows] == [f"cus_{customer}" for customer in sorted(expected)]
    assert 1 not in expected
    for row in rows:
        customer = int(row["customer"][4:])
        wanted = expected[customer]
        assert [row["recency"], row["frequency"], row["monetary"]] == [of[customer] for of in scores]
        for name in ("last_act_on", "last_redemption_on"):
            assert row[name] == (None if wanted[name] is None else wanted[name].isoformat())
            since = row[{"last_act_on": "days_since_act"}.get(name, "days_since_redemption")]
            assert since == (None if wanted[name] is None else (end - wanted[name]).days)
        assert (row["verified_acts"], row["earned"], row["redeemed"]) == (
            wanted["verified_acts"],
            wanted["earned"],
            wanted["redeemed"],
        )
        assert row["redemptions"] == len(redemptions[customer])
        for name in ("earned", "redeemed"):
            assert row[f"{name}_value"] == int(money[customer, name])
    assert all(len({row[name] for row in rows}) > 2 for name in ("recency", "frequency", "monetary"))
    assert await pages(books, "rfm", limit="100", **PERIOD) == rows

    segments = await books.report("rfm", **PERIOD)
    for segment in segments["rows"]:
        theirs = [row for row in rows if all(row[name] == segment[name] for name in ("recency", "frequency", "monetary"))]
        assert segment["customers"] == len(theirs)
        for name in ("verified_acts", "redemptions", "earned", "redeemed"):
            assert segment[name] == sum(row[name] for row in theirs)
    assert segments["totals"]["customers"] == len(rows)


async def test_what_rewards_cost_adds_up_to_the_roll_forward(books: Books, worker_pool: asyncpg.Pool[Any]) -> None:
    await a_spring(books, worker_pool)
    rows = await pages(books, "reward-cost", **PERIOD)
    whole = (await books.report("roll-forward", **PERIOD, by=""))["totals"]
    assert sum(row["granted"] for row in rows) == whole["granted"] + whole["matured"]
    for name in ("redeemed", "refunded", "expired"):
        assert sum(row[name] for row in rows) == whole[name] > 0, name
        assert abs(sum(row[f"{name}_value"] for row in rows) - whole[f"{name}_value"]) <= len(rows)
    assert sum(row["cost"] for row in rows) == whole["redeemed"] - whole["refunded"]
    ever = (await books.report("roll-forward", since="2030-01-15", until=END, by=""))["totals"]
    assert sum(row["lifetime_expired"] for row in rows) == ever["expired"]
    assert sum(row["lifetime_cost"] for row in rows) == ever["redeemed"] - ever["refunded"]


async def test_what_one_customer_cost_by_hand(books: Books) -> None:
    await books.worth("2029-12-01", 100, 50)
    await books.worth("2030-02-01", 100, 100)
    await books.fund(1_000)
    await books.grant(1, 100)
    await books.redeem(1, 30)
    await books.on("2030-02-02")
    redemption = await books.redeem(1, 20)
    await books.refund(redemption, 5)
    (row,) = await pages(books, "reward-cost")
    assert shown(row) == {
        "customer": "cus_1",
        "redeemed": 20, "refunded": 5, "cost": 15,
        "redeemed_value": 20, "refunded_value": 5, "cost_value": 15,
        "lifetime_granted": 100, "lifetime_redeemed": 50, "lifetime_refunded": 5, "lifetime_cost": 45,
        "lifetime_granted_value": 50, "lifetime_redeemed_value": 35, "lifetime_refunded_value": 5, "lifetime_cost_value": 30,
    }  # fmt: skip


async def test_responses_and_hours_are_what_the_log_and_the_links_say(
    books: Books, worker_pool: asyncpg.Pool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_spring(books, worker_pool)
    monkeypatch.setattr(reads, "TRANSFERS_AT_ONCE", 5)
    for name, size in {"_LOOKED_AT_ONCE": 3, "_CUSTOMERS_AT_ONCE": 2, "_LINKS_AT_ONCE": 2}.items():
        monkeypatch.setattr(responses, name, size)
    links = await some_links(books)
    begin, end = date.fromisoformat(BEGIN), date.fromisoformat(END)
    sent: dict[tuple[int, str], set[str]] = defaultdict(set)
    answered: dict[tuple[int, str], set[str]] = defaultdict(set)
    acts: dict[tuple[int, str], int] = defaultdict(int)
    hours: dict[tuple[str, str, str], int] = defaultdict(int)
    for transfer, event, customer in await the_log(books):
        if begin <= transfer.accounting_date <= end and transfer.verb in {Verb.GRANT, Verb.HOLD_BACK}:
            assert event is not None
            assert event.message_id is not None
            sent[customer, event.channel].add(event.message_id)
            if is_act(transfer, event):
                answered[customer, event.channel].add(event.message_id)
                acts[customer, event.channel] += 1
                when = event.window_at.astimezone(BERLIN)
                hours[event.channel, f"{when:%A}".lower(), f"{when:%H}"] += 1
    for customer, channel, message_id, minted_at in links:
        if begin <= minted_at.astimezone(BERLIN).date() <= end:
            sent[2 if customer == 1 else customer, channel].add(message_id)
    rows = await pages(books, "responses", **PERIOD)
    assert [(row["customer"], row["channel"]) for row in rows] == [
        (f"cus_{customer}", channel) for customer, channel in sorted(sent)
    ]
    for row in rows:
        of = int(row["customer"][4:]), row["channel"]
        rate = f"{len(answered[of]) * 10_000 // len(sent[of]) / 10_000:.4f}"
        assert (row["messages"], row["responded"], row["verified_acts"], row["response_rate"]) == (
            len(sent[of]),
            len(answered[of]),
            acts[of],
            rate,
        )
    assert ("cus_13", "push") in {(row["customer"], row["channel"]) for row in rows}
    assert await pages(books, "responses", limit="100", **PERIOD) == rows

    whole = await books.report("responses", **PERIOD)
    for row in whole["rows"]:
        theirs = [each for each in rows if each["channel"] == row["channel"]]
        assert (row["customers"], row["responders"]) == (len(theirs), sum(each["responded"] > 0 for each in theirs))
        for name in ("messages", "responded", "verified_acts"):
            assert row[name] == sum(each[name] for each in theirs)
    assert whole["totals"]["customers"] == len({row["customer"] for row in rows})

    histogram = await books.report("hours", **PERIOD)
    found = {(row["channel"], row["weekday"], row["hour"]): row["verified_acts"] for row in histogram["rows"]}
    assert found == hours
    assert histogram["totals"]["verified_acts"] == whole["totals"]["verified_acts"]
    days = [row["weekday"] for row in (await books.report("hours", **PERIOD, by="weekday"))["rows"]]
    assert days[0] == "monday"
    assert days[-1] == "sunday"


async def some_links(books: Books) -> Sequence[tuple[int, str, str, datetime]]:
    """Links of messages that were reported and of others, several of some; one just before the period, one just within it."""
    chance = random.Random(7)
    links = [
        (
            chance.randint(1, 12),
            chance.choice(CHANNELS),
            f"message {chance.randint(1, 200)}",
            at("2030-01-20") + timedelta(days=chance.randint(0, 120)),
        )
        for _ in range(60)
    ]
    links += [
        (13, "push", "first", datetime(2030, 1, 31, 22, 59, tzinfo=UTC)),
        (13, "push", "second", datetime(2030, 1, 31, 23, 0, tzinfo=UTC)),
        (14, "push", "late", datetime(2030, 4, 30, 22, 0, tzinfo=UTC)),
        *((3, "sms", f"at once {n}", at("2030-03-03")) for n in range(7)),
    ]
    await books.owner.executemany(
        """
        INSERT INTO rewards.link (
            link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel, label, destination_no,
            minted_at, expires_at, minted_by
        )
        VALUES ($1, $2, 1, 1, $3, $5, 'click', $4, '', 1, $6, $6::timestamptz + interval '1 day', 1)
        """,
        [(n.to_bytes(20, "big"), books.api.brand.brand_id, *link) for n, link in enumerate(links)],
    )
    return links


async def test_responses_by_hand(books: Books) -> None:
    await books.fund(1_000)
    for grade in (Grade.A, Grade.C, Grade.C):
        await books.grant(1, 10, grade=grade)
    await books.grant(1, 10, grade=Grade.B, channel="sms")
    await books.owner.execute(
        "INSERT INTO rewards.customer (customer, brand_id, book_id, confirmed)"
        " OVERRIDING SYSTEM VALUE VALUES (1, $1, $2, true)",
        books.api.brand.brand_id,
        books.book.book_id,
    )
    report = await books.report("responses")
    assert report["rows"] == [
        {"channel": "email", "customers": 1, "responders": 1}
        | {"messages": 3, "responded": 1, "response_rate": "0.3333", "verified_acts": 1},
        {"channel": "sms", "customers": 1, "responders": 1}
        | {"messages": 1, "responded": 1, "response_rate": "1.0000", "verified_acts": 1},
    ]
    # 15 January 2030 is a Tuesday, and noon in UTC is one o'clock in Berlin.
    (row,) = (await books.report("hours", by="weekday,hour"))["rows"]
    assert row == {"weekday": "tuesday", "hour": "13", "verified_acts": 2}


def test_equal_customers_have_equal_scores() -> None:
    scale = scale_of({0: 50, 1: 30, 7: 15, 9: 5})
    assert [score(value, scale) for value in (0, 1, 7, 9)] == [1, 3, 5, 5]
    assert [score(value, scale_of({4: 3})) for value in (3, 4)] == [1, 1]
    everyone = scale_of(dict.fromkeys(range(10), 1))
    assert [score(value, everyone) for value in range(10)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


async def test_pages_are_csv_too_and_lead_to_the_next(books: Books) -> None:
    await books.fund(1_000)
    for customer in (1, 2, 3):
        await books.grant(customer, 10)
    client = books.api.client("finance")
    answer = await client.get("/v1/reports/customers/rfm", params={"format": "csv", "limit": "2", "to": "2030-01-15"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["customer"] for row in rows] == ["cus_1", "cus_2"]
    answer = await client.get(answer.links["next"]["url"])
    assert [row["customer"] for row in csv.DictReader(io.StringIO(answer.text))] == ["cus_3"]
    assert "next" not in answer.links


async def test_a_report_by_customer_that_there_is_not_is_refused(books: Books) -> None:
    client = books.api.client("finance")
    answer = await client.get("/v1/reports/customers/settlement")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_report")
    assert "rfm" in answer.json()["detail"]
    for query, pointer in (({"to": "2031"}, "?to"), ({"by": "channel"}, "?by"), ({"from": "cut:1"}, "?from")):
        answer = await client.get("/v1/reports/customers/rfm", params=query)
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    answer = await books.api.client("messaging").get("/v1/reports/customers/rfm")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
