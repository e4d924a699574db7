"""Pages of the console, as an auditor opens them, over a book of 20 million transfers whose last month is closed."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from typing import Any

import asyncpg

from bench.load import ask, request
from bench.results import Measured
from bench.stage import Bench, Station
from ledger import month_end
from service.auth.api_keys import hash_key
from service.auth.roles import Role
from service.console.sign_in.sessions import LIFE_S
from service.persons import actions as persons

SECONDS_MAX = 0.3


def _paths(month: date) -> Sequence[str]:
    return (
        "/console",
        "/console?csv=owed",
        f"/console/transfers?verb=capture&from={month}&to={month_end(month, 0)}",
    )


async def console_pages(bench: Bench, station: Station, port: int, month: date) -> Measured:
    """The slowest of the pages, the first time not counted."""
    owner = await asyncpg.connect(bench.server.owner_url(station.name))
    cookie = f"Cookie: console={await _signed_in(owner)}\r\n"
    await owner.close()
    took = {path: await _seconds(bench, port, path, cookie) for path in _paths(month)}
    notes = [f"{path} {seconds:.2f} s" for path, seconds in took.items()]
    return Measured(max(took.values()), SECONDS_MAX, "s, of the limit", notes=(", ".join(notes),))


async def _signed_in(owner: asyncpg.Connection[Any]) -> str:
    """An auditor of the brand; their cookie."""
    code = await owner.fetchval("SELECT code FROM rewards.brand ORDER BY brand_id LIMIT 1")
    invitation = await persons.invite(owner, code, "Otto", [Role.AUDITOR])
    enrol = "SELECT rewards.enrol_console_v1($1, $2, 'otto', NULL, NULL)"
    person_id = await owner.fetchval(enrol, hash_key(invitation.text), secrets.token_bytes(32))
    token = secrets.token_urlsafe(32)
    begin = "SELECT rewards.start_console_session_v1($1, $2, 'benchmark', NULL, $3)"
    until = datetime.now(UTC) + timedelta(seconds=LIFE_S)
    assert await owner.fetchval(begin, person_id, hashlib.sha256(token.encode()).digest(), until)
    return token


async def _seconds(bench: Bench, port: int, path: str, cookie: str) -> float:
    seconds: list[float] = []
    for _ in range(bench.sizes.reads_of_all + 1):
        started = perf_counter()
        status, body = await ask(port, request("GET", path, headers=cookie))
        seconds.append(perf_counter() - started)
        assert status == 200, body
    return max(seconds[1:])
