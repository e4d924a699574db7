"""The rules for the ledger's SQL functions: numbers have names that Python has too, and what keeps a book movable stays so."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import chart
from ledger.read_models import ClockOutcome, CloseOutcome, CloseState, InstantOutcome
from ledger.types import (
    AdjustOutcome,
    ClawBackOutcome,
    EraseOutcome,
    FundOutcome,
    GrantOutcome,
    MergeOutcome,
    OfferNotice,
    Operation,
    RedemptionOutcome,
    ReturnOutcome,
    SettleOutcome,
    SinceTimeOut,
    SplitOutcome,
    Verb,
)

FOLDER = Path(__file__).parents[2] / "ledger/sql/functions"
SOURCES = {file.stem: re.sub(r"--[^\n]*", "", file.read_text()) for file in sorted(FOLDER.glob("*_v*.sql"))}

CODES: dict[str, type[enum.IntEnum]] = {
    "kind": chart.Kind,
    "verb": Verb,
    "operation": Operation,
    "claw_back_outcome": ClawBackOutcome,
    "adjust_outcome": AdjustOutcome,
    "return_outcome": ReturnOutcome,
    "grant_outcome": GrantOutcome,
    "settle_outcome": SettleOutcome,
    "offer_notice": OfferNotice,
    "redemption_outcome": RedemptionOutcome,
    "fund_outcome": FundOutcome,
    "merge_outcome": MergeOutcome,
    "split_outcome": SplitOutcome,
    "erase_outcome": EraseOutcome,
    "clock_outcome": ClockOutcome,
    "instant_outcome": InstantOutcome,
    "close_outcome": CloseOutcome,
    "close_state": CloseState,
    "since_time_out": SinceTimeOut,
}

CONSTANTS: dict[str, list[type[enum.IntEnum]]] = {"redeem_v2": [RedemptionOutcome, Operation]}
"""Where constants without a prefix have their names from; in all other functions from ``GrantOutcome``."""

OF_THEIR_OWN = {
    ("post_grants_v1", "undecided"),
    ("post_grants_v1", "leave"),
    ("post_grants_v1", "insert"),
    ("post_grants_v1", "update"),
}
"""Small numbers that no table and no answer holds."""

DECLARE_THE_NUMBERS = {"account_name_v1", "account_parts_v1", "codes_v1"}

BARE_NUMBER = re.compile(
    r"""
    \b(?:outcome|kind|verb|operation)\s*(?:=|<>|IN|NOT\ IN|BETWEEN)\s*\(?\s*\d   # compared with a number
    | _owner_v1\(\d | account_owner_v1\(                                          # an owner by its tag
    | <<\s*4 | (?<!-)>>\s*4 | \\x\d0'                                                   # a kind within an account id
    | \b[1-9]\d*::smallint | CASE\ \w+\.outcome\ WHEN\ \d | \bv_outcome\s*:=\s*\d
    """,
    re.VERBOSE,
)

CTID_IS_CHEAPER = {"post_grants_v1", "redeem_v2", "free_caps_v1"}
"""Where rows are found again by ``ctid``: by key it measured slower (decision 40), or the plan of a young table reads all."""


@pytest.mark.parametrize("code", CODES)
async def test_codes_have_the_numbers_that_python_has(owner: asyncpg.Connection[Any], code: str) -> None:
    for member in CODES[code]:
        assert await owner.fetchval(f"SELECT ledger.{code}_v1($1)", member.name.lower()) == member


async def test_a_name_that_is_no_code_has_no_number(owner: asyncpg.Connection[Any]) -> None:
    assert await owner.fetchval("SELECT ledger.kind_v1('lots')") is None


@pytest.mark.parametrize("function", SOURCES)
def test_functions_call_codes_by_names_there_are(function: str) -> None:
    for code, name in re.findall(r"ledger\.(\w+)_v1\('(\w+)'\)", SOURCES[function]):
        assert name.upper() in CODES[code].__members__, f"{code}_v1('{name}')"


@pytest.mark.parametrize("function", SOURCES)
def test_constants_have_the_numbers_that_python_has(function: str) -> None:
    for name, number in re.findall(r"\bc_(\w+)\s+CONSTANT smallint := (\d+);", SOURCES[function]):
        if (function, name) in OF_THEIR_OWN:
            continue
        prefix, _, rest = name.partition("_")
        member, enums = (
            (rest, [CODES[prefix]]) if prefix in {"kind", "verb"} else (name, CONSTANTS.get(function, [GrantOutcome]))
        )
        (value,) = [each[member.upper()] for each in enums if member.upper() in each.__members__]
        assert value == int(number), name


@pytest.mark.parametrize("function", sorted(set(SOURCES) - DECLARE_THE_NUMBERS))
def test_no_bare_number_stands_for_an_outcome_a_verb_or_an_account(function: str) -> None:
    assert BARE_NUMBER.findall(SOURCES[function]) == []


async def test_owners_and_accounts_begin_as_the_chart_says(owner: asyncpg.Connection[Any]) -> None:
    for tag in chart.OwnerTag:
        name = "redemption" if tag is chart.OwnerTag.REDEMPTION else tag.name.lower()
        number = 0 if tag is chart.OwnerTag.HOUSE else 1_000_000_007
        call = f"ledger.{name}_owner_v1({number or ''})"
        assert await owner.fetchval(f"SELECT {call}") == chart.owner(tag, number)
        for kind in (chart.Kind.LOT, chart.Kind.PENDING, chart.Kind.HELD, chart.Kind.SPENT, chart.Kind.BUDGET):
            begin = await owner.fetchval(f"SELECT ledger.accounts_from_v1({call}, $1)", kind.name.lower())
            assert begin == chart.account_id(tag, number, kind)[:12]


async def test_an_account_id_is_made_of_a_kind_by_name(owner: asyncpg.Connection[Any]) -> None:
    for kind in chart.Kind:
        made = await owner.fetchval(
            "SELECT ledger.account_id_v2(ledger.customer_owner_v1(7), $1, 2, 'infinity')", kind.name.lower()
        )
        assert chart.describe_account(made).kind is kind
        other = await owner.fetchval("SELECT ledger.account_with_kind_v1($1, 'lot')", made)
        assert chart.describe_account(other).kind is chart.Kind.LOT
        assert other[12:] == made[12:]
        assert await owner.fetchval("SELECT ledger.account_kind_name_v1($1)", made) == kind.name.lower()


@pytest.mark.parametrize("function", sorted(set(SOURCES) - CTID_IS_CHEAPER))
def test_rows_are_found_again_by_their_key(function: str) -> None:
    assert "ctid" not in SOURCES[function]


READS_TABLES = re.compile(r"ledger\.(were_one_v1|survivor_v1|survivor_at_v1|was_released_v1|pay_waiting_v1|cap_refusal_v1)\(")


def statements(source: str) -> list[str]:
    """The statements of a function's body."""
    return re.split(r";|\bLOOP\b|\bTHEN\b(?=\s+[A-Z])|\bBEGIN\b", source)


@pytest.mark.parametrize("function", ["post_grants_v1", "proved_events_v1", "leave_proofs_v1", "keep_recent_grants_v1"])
def test_grants_call_no_function_that_reads_tables_inside_a_statement_on_book_tables(function: str) -> None:
    for statement in statements(SOURCES[function]):
        if READS_TABLES.search(statement):
            assert not re.search(r"\bFROM\s+ledger\.\w+\s", statement), statement
