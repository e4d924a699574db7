"""The audit: a sound book passes, and each way of breaking one is reported by the invariant that it breaks."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import (
    Book,
    CapUse,
    CloseState,
    Finding,
    Ledger,
    OfferNote,
    OfferNotice,
    Opening,
    audit,
    import_balances,
    offer_key,
    sweep,
    track_layers,
)
from ledger.testing import NOON, adjust, authorize, capture, claw_back, fund, order, refund, returned, set_clock, void
from tests.ledger.conftest import make_book

INVARIANTS = {file.stem: file.read_text() for file in Path(__file__).parents[2].glob("ledger/audit/*.sql")}
ERASED = {"erased_customers_have_nothing", "only_the_erased_lack_details"}
CAP = (CapUse(0, NOON.date(), max_grants=3),)


@pytest.fixture
async def lively_book(ledger: Ledger, owner: asyncpg.Connection[Any]) -> Book:
    """A book in which everything has happened once. Nobody audits it in the end, for the tests break it."""
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    await ledger.grant_batch(
        [
            order(book, customer=7, message_id="a", points=10, caps=CAP, expires_on=NOON.date()),
            order(book, customer=7, message_id="b", points=100, caps=CAP, metadata='{"n":1}'),
            order(book, customer=8, message_id="a", points=100, caps=CAP),
            order(book, customer=9, message_id="a", waits=True),
            order(book, customer=9, message_id="b", points=2000),
            order(book, customer=9, message_id="c", points=1, unlimited=True, campaign_no=2),
            order(book, customer=10, message_id="a", points=50),
        ]
    )
    held = await ledger.redeem(authorize(book, 7, 50))
    spent = await ledger.redeem(authorize(book, 8, 50))
    given_back = await ledger.redeem(authorize(book, 8, 10))
    await ledger.redeem(authorize(book, 10, 20, capture=True))
    assert (await ledger.merge(book, loser=10, survivor=11)).points == 30
    assert held.redemption
    assert spent.redemption
    assert given_back.redemption
    await ledger.redeem(capture(book, spent.redemption.redemption, 30, ref="invoice-1", store_id="store-1"))
    await ledger.redeem(refund(book, spent.redemption.redemption, 5))
    await ledger.redeem(void(book, given_back.redemption.redemption))
    lapsed = offer_key(campaign_no=1, offer_group="o-1", customer=7)
    said = {"campaign_no": 1, "campaign_version": 1, "customer": 7, "generation": 0, "offer_group": "o-1", "at": NOON}
    await ledger.note_offers(book, [OfferNote(OfferNotice.LAPSED, keys=(lapsed,), notice_keys=(lapsed,), **said)])
    await ledger.take_cut(book, "first")
    return book


async def violated(connection: asyncpg.Connection[Any], book: Book) -> dict[str, Finding]:
    """The findings that report something."""
    return {finding.invariant: finding for finding in await audit(connection, book) if finding.violations}


async def test_a_sound_book_passes_and_the_audit_says_what_it_looked_at(
    reader_pool: asyncpg.Pool[Any], lively_book: Book
) -> None:
    async with reader_pool.acquire() as reader:
        findings = await audit(reader, lively_book)  # pyright: ignore[reportArgumentType]  a pool's connection is one
    assert [finding for finding in findings if finding.violations or finding.examples] == []
    unchecked = {finding.invariant for finding in findings if not finding.checked}
    rare = {"pending_rows_equal_the_accounts", "imports_are_in_the_log", "late_captures_follow_time_outs"}
    assert unchecked == {*rare, *ERASED, *CORRECTIONS, *CLOSES, *LAYERS}
    assert len({finding.invariant for finding in findings}) == len(findings)


async def test_every_file_of_the_audit_is_run(owner: asyncpg.Connection[Any]) -> None:
    findings = await audit(owner, await make_book(owner))
    assert sorted(finding.invariant for finding in findings) == sorted(INVARIANTS)


@pytest.mark.parametrize("statement", INVARIANTS.values(), ids=INVARIANTS)
def test_an_invariant_begins_with_one_sentence_that_says_what_must_hold(statement: str) -> None:
    header = [line.removeprefix("--").strip() for line in statement.partition("\n\n")[0].splitlines()]
    first, _, _ = "\n".join(header).partition("\n\n")
    assert re.fullmatch(r"[A-Z]([^.]|\.\.\.)+\.", first)


def test_each_invariant_is_broken_by_a_test() -> None:
    breaks = [
        *BREAKS.values(),
        *HELD_BACK_BREAKS.values(),
        *CLOSE_BREAKS.values(),
        *LAYER_BREAKS.values(),
        *((forgery, IMPORTS) for forgery in IMPORT_FORGERIES),
    ]
    breaks += [(forgery, {invariant}) for forgery, invariant in (*DUE_BREAKS.values(), *CORRECTION_BREAKS.values())]
    assert set[str]().union(*(invariants for _, invariants in breaks)) == set(INVARIANTS)


async def test_an_empty_book_passes(owner: asyncpg.Connection[Any]) -> None:
    assert await violated(owner, await make_book(owner)) == {}


LAST = "(SELECT max(seq) FROM ledger.transfer)"
GRANT = "(SELECT min(seq) FROM ledger.transfer WHERE verb = 2)"
HOLD = "(SELECT min(id) FROM ledger.redemption)"
SPENT = "(SELECT min(id) FROM ledger.redemption WHERE closed_at IS NOT NULL)"
WITHOUT_CHECKS = "ALTER TABLE ledger.account DROP CONSTRAINT account_stays_above_its_floor"

BREAKS: dict[str, tuple[str, set[str]]] = {
    "an offer that lapsed is open": (
        "DELETE FROM ledger.event WHERE outcome = 11",
        {"offers_are_decided_once"},
    ),
    "an erased customer has points": (
        "UPDATE ledger.customer_state SET frozen = true, erased = true WHERE customer = 8",
        {"erased_customers_have_nothing"},
    ),
    "details are gone of a customer who is not erased": (
        "UPDATE ledger.event SET salt = NULL WHERE customer = 8 AND outcome = 1",
        {"only_the_erased_lack_details"},
    ),
    "a balance is raised": (
        "UPDATE ledger.account SET credits = credits + 1 WHERE kind = 5",
        {"balances_equal_the_log", "debits_equal_credits"},
    ),
    "points are moved from one customer to another": (
        """
        UPDATE ledger.account
        SET credits = credits
            + CASE WHEN id = (SELECT id FROM ledger.account WHERE kind = 1 ORDER BY id LIMIT 1) THEN 1 ELSE -1 END
        WHERE id IN (
            (SELECT id FROM ledger.account WHERE kind = 1 ORDER BY id LIMIT 1),
            (SELECT id FROM ledger.account WHERE kind = 1 ORDER BY id DESC LIMIT 1)
        )
        """,
        {"balances_equal_the_log", "customer_states_equal_the_accounts"},
    ),
    "an account is forgotten": (
        "DELETE FROM ledger.account WHERE kind = 4",
        {"balances_equal_the_log", "debits_equal_credits"},
    ),
    "an account appears that nobody posted to": (
        """
        INSERT INTO ledger.account (book_id, id, kind, debits, credits)
        VALUES (1, '\\x000000000000000000000090ffffffff', 9, 1, 1)
        """,
        {"balances_equal_the_log"},
    ),
    "an account's kind is not what its id says": (
        """
        ALTER TABLE ledger.account DROP CONSTRAINT account_kind_is_in_its_id;
        UPDATE ledger.account SET kind = 9 WHERE kind = 7
        """,
        {"account_columns_equal_its_id"},
    ),
    "a lot's last day is not what its id says": (
        "UPDATE ledger.account SET expires_on = 'infinity' WHERE kind = 1 AND expires_on < 'infinity'",
        {"account_columns_equal_its_id"},
    ),
    "the last transfer is deleted": (
        f"DELETE FROM ledger.transfer WHERE seq = {LAST}",
        {"seq_has_no_gaps", "balances_equal_the_log"},
    ),
    "a grant is deleted from the log": (
        f"DELETE FROM ledger.transfer WHERE seq = {GRANT}",
        {"seq_has_no_gaps", "balances_equal_the_log", "one_transfer_an_event", "no_account_below_its_floor"},
    ),
    "a grant's amount is changed": (
        f"UPDATE ledger.transfer SET amount = amount + 1 WHERE seq = {GRANT}",
        {"balances_equal_the_log", "one_transfer_an_event"},
    ),
    "a transfer is added behind the head": (
        f"""
        INSERT INTO ledger.transfer (book_id, seq, posted_at, occurred_at, amount, transaction_id, verb, debit, credit)
        SELECT 1, seq + 1, posted_at, posted_at, 1, seq + 1, 12, debit, credit FROM ledger.transfer WHERE seq = {LAST}
        """,
        {"seq_has_no_gaps", "balances_equal_the_log", "no_account_below_its_floor", "corrections_are_in_the_log"},
    ),
    "the head is moved back": ("UPDATE ledger.head SET seq = seq - 1", {"seq_has_no_gaps", "cuts_lie_in_the_log"}),
    "a posting is dated back": (
        f"UPDATE ledger.transfer SET posted_at = posted_at - interval '1 second' WHERE seq = {LAST}",
        {"posted_at_never_runs_back"},
    ),
    "more was issued than the brand authorized": (
        "UPDATE ledger.head SET issue_limit = 999",
        {"issued_within_the_limit"},
    ),
    "a budget was overspent": (
        f"""
        {WITHOUT_CHECKS};
        UPDATE ledger.transfer SET amount = 100 WHERE verb = 1;
        UPDATE ledger.account SET debits = 100 WHERE kind = 7;
        UPDATE ledger.account SET credits = 100 WHERE kind = 5
        """,
        {"no_account_below_its_floor"},
    ),
    "an event's message is changed": (
        "UPDATE ledger.event SET message_id = 'another' WHERE outcome = 1 AND customer = 8",
        {"details_equal_their_hash"},
    ),
    "an event's metadata are changed": (
        "UPDATE ledger.event SET metadata = '{\"n\":2}' WHERE metadata IS NOT NULL",
        {"details_equal_their_hash"},
    ),
    "an event's salt is changed": (
        "UPDATE ledger.event SET salt = '\\x00' WHERE outcome = 1 AND customer = 8",
        {"details_equal_their_hash"},
    ),
    "the log's hash of the details is changed": (
        f"UPDATE ledger.transfer SET details_hash = '\\x00' WHERE seq = {GRANT}",
        {"details_equal_their_hash"},
    ),
    "a paid event is forgotten, so that it would be paid again": (
        "DELETE FROM ledger.event WHERE outcome = 1 AND customer = 8",
        {"one_transfer_an_event", "caps_count_real_grants"},
    ),
    "a refused event is said to have been granted": (
        "UPDATE ledger.event SET outcome = 1, points = 2000 WHERE outcome = 3",
        {"one_transfer_an_event", "what_moved_nothing_has_a_place"},
    ),
    "a refused event lost its place": (
        "UPDATE ledger.event SET place = NULL WHERE outcome = 3",
        {"what_moved_nothing_has_a_place"},
    ),
    "an event's points are changed": (
        "UPDATE ledger.event SET points = points + 1 WHERE outcome = 1 AND customer = 8",
        {"one_transfer_an_event"},
    ),
    "a cap counts what was not granted": ("UPDATE ledger.cap_use SET grants = grants + 1", {"caps_count_real_grants"}),
    "a cap counts more points than were granted": (
        "UPDATE ledger.cap_use SET points = points + 1",
        {"caps_count_real_grants"},
    ),
    "points are held back that no account holds": (
        "INSERT INTO ledger.pending (book_id, customer, key, campaign_no, amount, due_at) VALUES (1, 7, '\\x00', 1, 5, now())",
        {"pending_rows_equal_the_accounts", "customer_states_equal_the_accounts"},
    ),
    "a customer's sum is wrong": (
        "UPDATE ledger.customer_state SET points = points + 1 WHERE customer = 8",
        {"customer_states_equal_the_accounts"},
    ),
    "a customer's sum is missing": (
        "DELETE FROM ledger.customer_state WHERE customer = 8",
        {"customer_states_equal_the_accounts"},
    ),
    "a customer's points seem to last": (
        "UPDATE ledger.customer_state SET lot_until = '2031-01-01' WHERE customer = 8",
        {"customer_states_equal_the_accounts"},
    ),
    "a customer's hold seems to last": (
        "UPDATE ledger.customer_state SET hold_until = 'infinity' WHERE customer = 7",
        {"customer_states_equal_the_accounts"},
    ),
    "a hold's deadline is changed": (
        f"UPDATE ledger.redemption SET deadline = deadline + interval '1 day' WHERE id = {HOLD}",
        {"customer_states_equal_the_accounts", "redemptions_begin_in_the_log"},
    ),
    "a redemption is closed while it holds points": (
        f"""
        UPDATE ledger.redemption SET closed_at = deadline WHERE id = {HOLD};
        UPDATE ledger.customer_state SET hold_until = 'infinity' WHERE customer = 7
        """,
        {"redemptions_close_when_empty"},
    ),
    "a redemption is opened again that holds nothing": (
        f"""
        UPDATE ledger.redemption SET closed_at = NULL WHERE id = {SPENT};
        UPDATE ledger.customer_state SET hold_until = deadline FROM ledger.redemption
        WHERE id = {SPENT} AND customer_state.customer = 8
        """,
        {"redemptions_close_when_empty"},
    ),
    "a redemption appears that nobody authorized": (
        "INSERT INTO ledger.redemption (book_id, id, customer, deadline, closed_at, order_ref, salt) "
        "VALUES (1, 999, 8, now(), now(), 'forged', '\\x00')",
        {"redemptions_add_up", "redemptions_begin_in_the_log"},
    ),
    "more was refunded than was captured": (
        f"{WITHOUT_CHECKS}; UPDATE ledger.account SET debits = credits + 1 WHERE kind = 4",
        {"balances_equal_the_log", "debits_equal_credits", "redemptions_add_up"},
    ),
    "a redemption is given to another customer": (
        f"UPDATE ledger.redemption SET customer = 9 WHERE id = {SPENT}",
        {"redemptions_begin_in_the_log"},
    ),
    "a redemption is forgotten": (
        f"DELETE FROM ledger.redemption WHERE id = {SPENT}",
        {"redemptions_begin_in_the_log"},
    ),
    "a redemption's order is changed": (
        f"UPDATE ledger.redemption SET order_ref = 'another' WHERE id = {HOLD}",
        {"redemption_details_equal_their_hash"},
    ),
    "a redemption's value is changed": (
        f"UPDATE ledger.redemption SET value = 1 WHERE id = {SPENT}",
        {"redemption_details_equal_their_hash"},
    ),
    "a redemption is given back to whom it was merged away from": (
        "UPDATE ledger.redemption SET customer = 10 WHERE customer = 11",
        {"redemptions_begin_in_the_log", "merged_customers_have_nothing"},
    ),
    "a capture's reference is changed": (
        "UPDATE ledger.redemption_step SET ref = 'invoice-2'",
        {"redemption_steps_equal_their_hash"},
    ),
    "a capture's reference is forgotten": (
        "DELETE FROM ledger.redemption_step",
        {"redemption_steps_equal_their_hash"},
    ),
    "a reference is made up of a refund": (
        """
        INSERT INTO ledger.redemption_step (book_id, seq, redemption, ref, salt)
        SELECT book_id, seq, (SELECT redemption FROM ledger.redemption_step), 'forged', '\\x00'
        FROM ledger.transfer WHERE verb = 9
        """,
        {"redemption_steps_equal_their_hash"},
    ),
    "a reference is given to another redemption": (
        f"UPDATE ledger.redemption_step SET redemption = {HOLD}",
        {"redemption_steps_are_in_the_log"},
    ),
    "a redemption seems to have been captured late": (
        f"UPDATE ledger.redemption SET since_time_out = 2 WHERE id = {SPENT}",
        {"late_captures_follow_time_outs"},
    ),
    "a merged customer may act again": (
        "UPDATE ledger.customer_state SET frozen = false, moved_to = NULL WHERE customer = 10",
        {
            "redemptions_begin_in_the_log",
            "survivors_count_whom_they_absorbed",
            "splits_give_back_what_was_brought",
            "spells_say_who_was_part_of_whom",
        },
    ),
    "a customer seems to be merged and is not": (
        "UPDATE ledger.customer_state SET frozen = true, moved_to = 9 WHERE customer = 8",
        {
            "redemptions_begin_in_the_log",
            "survivors_count_whom_they_absorbed",
            "merged_customers_have_nothing",
            "spells_say_who_was_part_of_whom",
        },
    ),
    "a survivor seems to have fewer names": (
        "UPDATE ledger.customer_state SET absorbed = 0 WHERE customer = 11",
        {"survivors_count_whom_they_absorbed"},
    ),
    "a merge reaches another": (
        """
        UPDATE ledger.customer_state SET moved_to = 8 WHERE customer = 10;
        UPDATE ledger.customer_state SET absorbed = 1 - absorbed WHERE customer IN (8, 11);
        UPDATE ledger.redemption SET customer = 8 WHERE customer = 11;
        UPDATE ledger.spell SET survivor = 8
        """,
        {"merges_move_everything"},
    ),
    "a merge makes points last": (
        """
        UPDATE ledger.transfer SET credit = substring(credit FROM 1 FOR 12) || '\\x00003000'::bytea
        WHERE verb = 13 AND customer = 11
        """,
        {"merges_move_everything", "balances_equal_the_log"},
    ),
    "points stay in transit": (
        "UPDATE ledger.transfer SET verb = 12, customer = 9 WHERE verb = 13 AND customer = 11",
        {"merges_move_everything", "corrections_are_in_the_log"},
    ),
    "something is posted on a merged customer": (
        f"UPDATE ledger.transfer SET customer = 10 WHERE seq = {LAST}",
        {"spells_say_who_was_part_of_whom"},
    ),
    "a refused event has a place that was not given out yet": (
        "UPDATE ledger.event SET place = place + 100 WHERE outcome = 3",
        {"what_moved_nothing_has_a_place"},
    ),
    "what was refused first has a later place": (
        "UPDATE ledger.event SET seq = 0 WHERE outcome = 3",
        {"what_moved_nothing_has_a_place"},
    ),
    "a cut lies ahead of its book": ("UPDATE ledger.cut SET seq = seq + 1", {"cuts_lie_in_the_log"}),
}


DROPS_A_CHECK = pytest.mark.own_database("drops a check")


@pytest.mark.parametrize(
    ("tampering", "invariants"),
    [
        pytest.param(tampering, invariants, id=name, marks=[DROPS_A_CHECK] if "DROP CONSTRAINT" in tampering else [])
        for name, (tampering, invariants) in BREAKS.items()
    ],
)
async def test_a_broken_book_is_reported_by_the_invariant_it_breaks(
    owner: asyncpg.Connection[Any], lively_book: Book, tampering: str, invariants: set[str]
) -> None:
    await owner.execute(tampering)
    assert set(await violated(owner, lively_book)) == invariants


async def test_a_finding_names_what_is_wrong_up_to_five_times(owner: asyncpg.Connection[Any], lively_book: Book) -> None:
    await owner.execute("UPDATE ledger.event SET channel = 'forged' WHERE customer = 7 AND outcome = 1")
    finding = (await violated(owner, lively_book))["details_equal_their_hash"]
    assert (finding.checked, finding.violations, finding.examples) == (5, 2, ("seq 2", "seq 3"))
    await owner.execute("UPDATE ledger.account SET credits = credits + 1")
    finding = (await violated(owner, lively_book))["balances_equal_the_log"]
    assert finding.violations == finding.checked > 5
    assert len(finding.examples) == 5


HELD_BACK_BREAKS: dict[str, tuple[str, set[str]]] = {
    "what matured is said to be held back still": (
        "UPDATE ledger.event SET outcome = 6, due_at = now() WHERE outcome = 1",
        {"one_transfer_an_event"},
    ),
    "what matured is said to be rejected": (
        "UPDATE ledger.event SET outcome = 7, points = 0 WHERE outcome = 1",
        {"one_transfer_an_event"},
    ),
    "what was rejected matured as well": (
        """
        UPDATE ledger.transfer SET campaign_no = rejected.campaign_no, event_key = rejected.event_key
        FROM (SELECT campaign_no, event_key FROM ledger.transfer WHERE verb = 5) AS rejected
        WHERE transfer.verb = 4
        """,
        {"one_transfer_an_event"},
    ),
    "what is held back is forgotten": (
        "DELETE FROM ledger.pending",
        {"pending_rows_equal_the_accounts", "customer_states_equal_the_accounts"},
    ),
}


@pytest.mark.parametrize(("tampering", "invariants"), HELD_BACK_BREAKS.values(), ids=list(HELD_BACK_BREAKS))
async def test_what_is_held_back_is_settled_once(
    ledger: Ledger, owner: asyncpg.Connection[Any], tampering: str, invariants: set[str]
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    due_at = NOON + timedelta(days=1)
    orders = [order(book, customer=7, message_id=name, held_back=True, due_at=due_at) for name in ("a", "b", "c")]
    await ledger.grant_batch(orders)
    await ledger.mature(book, 1, orders[0].key, expires_on=None)
    await ledger.reject(book, 1, orders[1].key)
    assert await violated(owner, book) == {}
    await owner.execute(tampering)
    assert set(await violated(owner, book)) == invariants


CLOSES = {"closes_equal_the_log", "closes_add_up", "closes_equal_their_digests"}
CLOSE_BREAKS: dict[str, tuple[str, set[str]]] = {
    "a balance of a close is changed": (
        "UPDATE ledger.close_balance SET balance = balance + 1 WHERE account >= '\\x01'",
        CLOSES,
    ),
    "a close has lost its balances": ("DELETE FROM ledger.close_balance", CLOSES),
    "a total of a close is changed": (
        "UPDATE ledger.close SET debits[1] = debits[1] + 1",
        CLOSES - {"closes_equal_the_log"},
    ),
    "a close counts more customers": ("UPDATE ledger.close SET customers = customers + 1", {"closes_equal_their_digests"}),
    "a close has another digest": ("UPDATE ledger.close SET lines_digest = '\\x00'", {"closes_equal_their_digests"}),
    "what a close reckoned counts on a later day": (
        "UPDATE ledger.transfer SET due_on = due_on + 1 WHERE verb = 16",
        {"closes_equal_the_log", "what_fell_due_says_when", "no_dead_lot_is_paid"},
    ),
}


@pytest.mark.parametrize(("tampering", "invariants"), CLOSE_BREAKS.values(), ids=list(CLOSE_BREAKS))
async def test_a_close_is_what_the_log_says(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], tampering: str, invariants: set[str]
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, points=20, expires_on=NOON.date()))
    await ledger.grant(order(book, message_id="b", points=20))
    await ledger.redeem(authorize(book, 7, 30, hold_s=600))
    await set_clock(owner, book, NOON + timedelta(days=1))
    while await sweep(worker_pool, book):
        pass
    await ledger.begin_close(book, begins_on=NOON.date(), ends_on=NOON.date())
    for state in (CloseState.STORING, CloseState.CLOSED):
        (close,) = await ledger.unsettled_closes(book)
        assert close.state is state
        await ledger.advance_close(book, close)
    assert await violated(owner, book) == {}
    assert await ledger.unsettled_closes(book) == []
    await owner.execute(tampering)
    assert set(await violated(owner, book)) == invariants


ADD_UP, LOTS, USED_UP, DAYS = LAYERS = (
    "layers_add_up_to_their_transfers",
    "layers_equal_the_lots",
    "layers_are_used_up_to_what_they_were",
    "daily_movements_equal_the_log",
)
FIRST_PART = "(SELECT min(seq) FROM ledger.transfer_layer)"
LAYER_BREAKS: dict[str, tuple[str, set[str]]] = {
    "a part of a transfer is forgotten": (
        f"DELETE FROM ledger.transfer_layer WHERE seq = {FIRST_PART} AND layer = 2",
        {ADD_UP},
    ),
    "a transfer has a part too many": (
        f"INSERT INTO ledger.transfer_layer (book_id, seq, layer, amount) VALUES (1, {FIRST_PART}, 4, 1)",
        {ADD_UP},
    ),
    "a grant has parts": (
        "INSERT INTO ledger.transfer_layer (book_id, seq, layer, amount) VALUES (1, 3, 3, 1)",
        {ADD_UP, DAYS},
    ),
    "a part is of no layer": (
        f"UPDATE ledger.transfer_layer SET layer = 0 WHERE seq = {FIRST_PART} AND layer = 2",
        {ADD_UP, USED_UP},
    ),
    "a capture is of a layer that was not held": (
        """
        UPDATE ledger.transfer_layer SET layer = 3 FROM ledger.transfer
        WHERE transfer.book_id = 1 AND transfer.seq = transfer_layer.seq AND transfer.verb = 7 AND transfer.customer = 8
        """,
        {USED_UP},
    ),
    "more of a layer is left in a lot": (
        "UPDATE ledger.lot_layers SET amounts[1] = amounts[1] + 1 WHERE cardinality(amounts) > 0",
        {LOTS},
    ),
    "a lot is forgotten": ("DELETE FROM ledger.lot_layers", {LOTS}),
    "a layer counts twice in a lot": ("UPDATE ledger.lot_layers SET entered = 0 WHERE entered > 0", {LOTS}),
    "a day has granted more": (
        "UPDATE ledger.daily_movement SET points = points + 1 WHERE verb = 2 AND campaign_no = 1",
        {DAYS},
    ),
    "a capture is of another channel": ("UPDATE ledger.daily_movement SET channel = 'sms' WHERE verb = 7", {DAYS}),
    "a capture counts in another month": (
        "UPDATE ledger.daily_movement SET day = day + interval '1 month' WHERE verb = 7",
        {DAYS},
    ),
    "a refund is of points of another month": (
        "UPDATE ledger.daily_movement SET issued_in = issued_in - interval '1 month' WHERE verb = 9",
        {DAYS},
    ),
    "a day is forgotten": ("DELETE FROM ledger.daily_movement", {DAYS}),
    "days are added up to where they are not": ("UPDATE ledger.layer_reader SET daily_seq = daily_seq - 3", {DAYS}),
}


@pytest.mark.parametrize(("tampering", "invariants"), LAYER_BREAKS.values(), ids=list(LAYER_BREAKS))
async def test_layers_that_are_not_what_the_log_says_are_found_until_they_are_being_built_again(
    owner: asyncpg.Connection[Any], lively_book: Book, tampering: str, invariants: set[str]
) -> None:
    while await track_layers(owner, lively_book):
        pass
    assert await violated(owner, lively_book) == {}
    await owner.execute(tampering)
    assert set(await violated(owner, lively_book)) == invariants
    await owner.execute("UPDATE ledger.layer_reader SET clearing = true")
    assert await violated(owner, lively_book) == {}


# How each is broken, and which invariant says so, whatever else does.
DUE_BREAKS = {
    "a grant to a lot that is dead": (
        "UPDATE ledger.transfer SET posted_at = timestamptz '2030-02-01 12:00Z' WHERE seq = 2",
        "no_dead_lot_is_paid",
    ),
    "an expiry of another day": ("UPDATE ledger.transfer SET due_on = due_on + 1 WHERE verb = 10", "what_fell_due_says_when"),
    "a time-out of another day": ("UPDATE ledger.transfer SET due_on = due_on - 1 WHERE verb = 16", "what_fell_due_says_when"),
    "a time-out that does not say when": (
        "UPDATE ledger.transfer SET due_on = NULL WHERE verb = 16",
        "what_fell_due_says_when",
    ),
    "a void that was a time-out": (
        "UPDATE ledger.transfer SET verb = 8, due_on = NULL WHERE verb = 16",
        "what_fell_due_says_when",
    ),
    "a void that fell due": ("UPDATE ledger.transfer SET due_on = date '2030-01-15' WHERE verb = 8", "what_fell_due_says_when"),
    "a time-out before its deadline": ("UPDATE ledger.transfer SET verb = 16 WHERE verb = 8", "what_fell_due_says_when"),
    "a rejection of another day": ("UPDATE ledger.transfer SET due_on = due_on + 1 WHERE verb = 5", "what_fell_due_says_when"),
    "a rejection that does not say when": (
        "UPDATE ledger.transfer SET due_on = NULL WHERE verb = 5",
        "what_fell_due_says_when",
    ),
    "a grant that fell due": ("UPDATE ledger.transfer SET due_on = date '2030-01-15' WHERE seq = 2", "what_fell_due_says_when"),
}


@pytest.mark.parametrize(("forgery", "invariant"), DUE_BREAKS.values(), ids=list(DUE_BREAKS))
async def test_what_fell_due_is_dated_by_what_the_book_knows(
    ledger: Ledger, owner: asyncpg.Connection[Any], worker_pool: asyncpg.Pool[Any], forgery: str, invariant: str
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, points=10, expires_on=date(2030, 1, 31)))
    await ledger.grant(order(book, customer=7, message_id="b", held_back=True, due_at=NOON + timedelta(days=1)))
    holds = [await ledger.redeem(authorize(book, 7, points, hold_s=3 * 86_400)) for points in (1, 2)]
    assert holds[0].redemption
    await ledger.redeem(void(book, holds[0].redemption.redemption))
    await set_clock(owner, book, NOON + timedelta(days=20))
    while await sweep(worker_pool, book):
        pass
    assert await violated(owner, book) == {}
    await owner.execute(forgery)
    assert invariant in await violated(owner, book)


CORRECTIONS = (
    "corrections_are_in_the_log",
    "shortfalls_lie_in_redemptions",
    "claw_backs_take_their_grant",
    "returns_take_what_was_earned",
    "correction_reasons_equal_their_hash",
)
# How each is broken, and which invariant says so, whatever else does.
CORRECTION_BREAKS = {
    "a claw-back that nobody asked for": ("DELETE FROM ledger.correction", "corrections_are_in_the_log"),
    "a claw-back of more than was asked for": (
        "UPDATE ledger.correction SET moved = moved - 1, shortfall = shortfall + 1",
        "corrections_are_in_the_log",
    ),
    "a shortfall that is forgotten": ("UPDATE ledger.shortfall SET points = 0", "corrections_are_in_the_log"),
    "a shortfall of more than there is": ("UPDATE ledger.shortfall SET points = 70", "shortfalls_lie_in_redemptions"),
    "a shortfall of somebody else": ("UPDATE ledger.shortfall SET customer = 8", "shortfalls_lie_in_redemptions"),
    "a shortfall that posting does not look for": ("UPDATE ledger.head SET owing = false", "shortfalls_lie_in_redemptions"),
    "a layer of a redemption that is forgotten": (
        "DELETE FROM ledger.redemption_layer WHERE layer = 2",
        "shortfalls_lie_in_redemptions",
    ),
    "a claw-back of another grant": (
        "UPDATE ledger.transfer SET event_key = decode(md5(''), 'hex') WHERE verb = 11",
        "claw_backs_take_their_grant",
    ),
    "a claw-back that took the oldest points": (
        "UPDATE ledger.transfer_layer SET layer = 2 FROM ledger.transfer WHERE transfer.seq = transfer_layer.seq AND verb = 11",
        "claw_backs_take_their_grant",
    ),
    "an adjustment that nobody asked for": ("DELETE FROM ledger.correction WHERE verb = 12", "corrections_are_in_the_log"),
    "an adjustment that was the other way": (
        "UPDATE ledger.correction SET is_credit = NOT is_credit WHERE verb = 12",
        "corrections_are_in_the_log",
    ),
    "another note": ("UPDATE ledger.correction SET note = 'x' WHERE verb = 12", "correction_reasons_equal_their_hash"),
    "another reason": ("UPDATE ledger.correction SET reason = 'none'", "correction_reasons_equal_their_hash"),
    "a reason that is nowhere": ("DELETE FROM ledger.correction", "correction_reasons_equal_their_hash"),
    "a return of more": ("UPDATE ledger.purchase_return SET amount = 101, bought = 101", "returns_take_what_was_earned"),
    "a return that took more than was earned": (
        "UPDATE ledger.purchase_return SET points = points + 1 WHERE amount = 40",
        "returns_take_what_was_earned",
    ),
    "a return that took nothing": (
        "UPDATE ledger.purchase_return SET points = 0 WHERE amount = 40",
        "returns_take_what_was_earned",
    ),
    "a return of another grant": (
        "UPDATE ledger.purchase_return SET event_key = decode(md5(''), 'hex')",
        "returns_take_what_was_earned",
    ),
    "money withheld for nothing": ("UPDATE ledger.purchase_return SET withheld_minor = 1", "returns_take_what_was_earned"),
    "a claw-back that fell due": (
        "UPDATE ledger.transfer SET due_on = date '2030-01-15' WHERE verb = 11",
        "what_fell_due_says_when",
    ),
}


@pytest.mark.parametrize(("forgery", "invariant"), CORRECTION_BREAKS.values(), ids=list(CORRECTION_BREAKS))
async def test_a_claw_back_is_what_was_asked_for(
    ledger: Ledger, owner: asyncpg.Connection[Any], forgery: str, invariant: str
) -> None:
    book = await make_book(owner)
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, customer=7, message_id="first", points=10))
    mistake = order(book, customer=7, message_id="mistake", points=100)
    await ledger.grant(mistake)
    await ledger.redeem(authorize(book, 7, 70))
    assert (await ledger.claw_back(claw_back(mistake, 90))).shortfall == 50
    for points in (20, -5):
        assert (await ledger.adjust(adjust(book, 8, points))).correction
    bought = order(book, customer=9, message_id="bought", points=33)
    await ledger.grant(bought)
    for amount in (40, 60):
        assert (await ledger.return_purchase(returned(bought, amount, bought=100, per=(1, 3)))).clawed_back
    while await track_layers(owner, book):
        pass
    assert await violated(owner, book) == {}
    await owner.execute(forgery)
    assert invariant in await violated(owner, book)


IMPORTS = {"imports_are_in_the_log"}
IMPORT_FORGERIES = (
    "DELETE FROM ledger.balance_import WHERE first_seq = 1",
    "UPDATE ledger.balance_import SET points = points + 1 WHERE first_seq = 1",
    "UPDATE ledger.balance_import SET lots = 1 WHERE first_seq = 1",
    "UPDATE ledger.balance_import SET first_seq = 2 WHERE first_seq = 1",
)


@pytest.mark.parametrize("forgery", IMPORT_FORGERIES)
async def test_a_file_that_is_forgotten_or_changed_is_found(owner: asyncpg.Connection[Any], forgery: str) -> None:
    book = await make_book(owner)
    for n, openings in enumerate(([Opening(7, 10), Opening(8, 5)], [Opening(9, 1)])):
        points = sum(opening.points for opening in openings)
        await import_balances(owner, book, openings, hashes=[bytes([n]) * 32], rows=len(openings), points=points)
    assert await violated(owner, book) == {}
    await owner.execute(forgery)
    assert set(await violated(owner, book)) == IMPORTS


async def test_a_book_without_a_head_is_a_violation(owner: asyncpg.Connection[Any]) -> None:
    assert "seq_has_no_gaps" in await violated(owner, Book(1, 99))


async def test_a_broken_book_is_not_blamed_on_another(owner: asyncpg.Connection[Any], lively_book: Book) -> None:
    other = await make_book(owner, brand_id=2)
    await owner.execute("UPDATE ledger.account SET credits = credits + 1")
    assert await violated(owner, other) == {}
