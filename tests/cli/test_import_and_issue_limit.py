"""`rewards import balances` and `rewards brand set-issue-limit`: what only the operator does to a book."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from ledger import audit
from service.brands.errors import BrandUnknown, IssueLimitRefused
from service.cli.main import rewards
from service.customers.balance_file import BalanceFileInvalid
from service.settings import create_secrets, load_secrets
from tests.api_fixtures import Api, make_brand
from tests.conftest import Database

Run = Callable[..., Awaitable[Result]]

FILE = """id,points,expires_on,class
c-1,100,,
c-1,20,2090-12-31,purchase
"c,2",7,2091-01-31,
"""
IMPORT = ("import", "balances", "--brand", "lumen", "--rows", 3, "--points", 127)


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `rewards` with these arguments on the test's database."""
    create_secrets(tmp_path / "secrets.json")
    # Not the runner's own variables: two commands at once would put each other's back.
    monkeypatch.setenv("REWARDS_DATABASE_URL", database.application_url)
    monkeypatch.setenv("REWARDS_OWNER_DATABASE_URL", database.owner_url)
    monkeypatch.setenv("REWARDS_SECRETS_FILE", str(tmp_path / "secrets.json"))
    runner = CliRunner()

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(runner.invoke, rewards, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of three lots of two customers."""
    path = tmp_path / "members.csv"
    path.write_text(FILE)
    return path


async def trail(owner: asyncpg.Connection[Any]) -> list[tuple[str, str]]:
    """The operator's acts, in order."""
    rows = await owner.fetch("SELECT act, subject FROM rewards.audit_trail WHERE by_operator ORDER BY entry_no")
    return [(row["act"], row["subject"]) for row in rows if row["act"] in {"balances.import", "brand.set_issue_limit"}]


@pytest.mark.one_process("gives this process the key by which the command line knows identities")
async def test_a_file_opens_its_lots_once(
    run: Run, file: Path, api: Api, owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    # The service that answers must know the identities by the same key.
    api.services.customers.keys = load_secrets(tmp_path / "secrets.json").identity_keys
    storefront = api.client("storefront")
    checked = await run(*IMPORT, "--dry-run", file)
    assert (checked.exit_code, await owner.fetchval("SELECT count(*) FROM ledger.transfer")) == (0, 0), checked.output
    done = await run(*IMPORT, file)
    assert done.exit_code == 0, done.output
    assert "Opened 3 lots with 127 points, from seq 1" in done.output
    again = await run(*IMPORT, file)
    assert (again.exit_code, "imported before" in again.output) == (0, True), again.output

    balance = (await storefront.get("/v1/customers/c-1/balance")).json()
    assert (balance["balance"], [(lot["points"], lot["expires_on"]) for lot in balance["lots"]]) == (
        120,
        [(20, "2090-12-31"), (100, None)],
    )
    assert (await storefront.get("/v1/customers/c,2/balance")).json()["balance"] == 7
    statement = (await storefront.get("/v1/customers/c-1/statement")).json()["items"]
    assert [(entry["type"], entry["points"]) for entry in statement] == [("open", 20), ("open", 100)]
    spent = await storefront.post(
        "/v1/redemptions",
        json={"customer": {"id": "c-1"}, "points": 30, "order_ref": "o", "capture": True},
        headers={"Idempotency-Key": "k"},
    )
    assert (spent.status_code, spent.json()["balance"]) == (201, 90)
    findings = await audit(owner, api.brand.book)
    assert [finding.invariant for finding in findings if finding.violations] == []
    assert await trail(owner) == [("balances.import", "lumen")]


async def test_two_imports_of_one_file_at_once_post_it_once(run: Run, file: Path, owner: asyncpg.Connection[Any]) -> None:
    await make_brand(owner)
    both = await asyncio.gather(run(*IMPORT, file), run(*IMPORT, file))
    assert [each.exit_code for each in both] == [0, 0]
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 127


async def test_another_file_adds_to_lots_that_are_there(run: Run, file: Path, owner: asyncpg.Connection[Any]) -> None:
    await make_brand(owner)
    await run(*IMPORT, file)
    file.write_text("id,points\nc-1,3\n")
    done = await run("import", "balances", "--brand", "lumen", "--rows", 1, "--points", 3, "--again", file)
    assert done.exit_code == 0, done.output
    assert await owner.fetchval("SELECT max(points) FROM ledger.customer_state") == 123
    assert await owner.fetchval("SELECT count(*) FROM ledger.account WHERE kind = 1") == 3


SAVED_AGAIN = {
    "the same bytes": FILE.encode(),
    "CRLF": FILE.replace("\n", "\r\n").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + FILE.encode(),
    "quoted": b'"id","points","expires_on","class"\n"c-1","100","",""\n'
    b'"c-1","20","2090-12-31","purchase"\n"c,2","7","2091-01-31",""\n',
    "columns in another order": b'class,points,id,expires_on\n,100,c-1,\npurchase,20,c-1,2090-12-31\n,7,"c,2",2091-01-31\n',
    "rows in another order": b'id,points,expires_on,class\n"c,2",7,2091-01-31,\nc-1,20,2090-12-31,purchase\nc-1,100,,\n',
    "the class that is meant": FILE.replace("c-1,100,,", "c-1,100,,engagement").encode(),
    "blanks and empty lines": b"id , points,expires_on,class\n c-1 ,100,,\t\nc-1,20,2090-12-31 ,Purchase\n"
    b'"c,2",7,2091-01-31,\n\n,,,\n  \n',
    "no newline at the end": FILE.rstrip("\n").encode(),
}


@pytest.mark.parametrize("content", SAVED_AGAIN.values(), ids=SAVED_AGAIN.keys())
async def test_a_file_is_known_by_what_it_says(run: Run, file: Path, owner: asyncpg.Connection[Any], content: bytes) -> None:
    await make_brand(owner)
    await run(*IMPORT, file)
    file.write_bytes(content)
    for more in ((), ("--again",)):
        done = await run(*IMPORT, *more, file)
        assert (done.exit_code, "imported before" in done.output) == (0, True), done.output
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 127


async def test_a_file_that_was_imported_by_the_version_before_is_known_by_its_bytes(
    run: Run, file: Path, owner: asyncpg.Connection[Any]
) -> None:
    await make_brand(owner)
    await run(*IMPORT, file)
    await owner.execute("UPDATE ledger.balance_import SET file_hash = $1", hashlib.sha256(FILE.encode()).digest())
    done = await run(*IMPORT, "--again", file)
    assert (done.exit_code, "imported before" in done.output) == (0, True), done.output
    # Saved again, it is another file; but everybody has their lots.
    file.write_bytes(FILE.replace("\n", "\r\n").encode())
    done = await run(*IMPORT, file)
    assert isinstance(done.exception, BalanceFileInvalid)
    assert [line.partition(":")[0] for line in str(done.exception).splitlines()] == ["line 2", "line 3", "line 4"]
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 127


async def test_a_lot_that_is_there_from_an_import_is_told_by_line_and_opened_only_if_told_so(
    run: Run, file: Path, owner: asyncpg.Connection[Any]
) -> None:
    brand = await make_brand(owner)
    await run(*IMPORT, file)
    file.write_text("id,points,expires_on,class\nc-9,1,,\nc-1,5,2090-12-31,purchase\nc-1,6,2090-12-31,\nc-1,7,,\n")
    more = ("import", "balances", "--brand", "lumen", "--rows", 4, "--points", 19)
    done = await run(*more, file)
    assert isinstance(done.exception, BalanceFileInvalid)
    assert [line.partition(":")[0] for line in str(done.exception).splitlines()] == ["line 3", "line 5"]
    assert "--again" in str(done.exception)
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 127
    for says in ("Opened 4 lots with 19 points", "imported before"):
        done = await run(*more, "--again", file)
        assert (done.exit_code, says in done.output) == (0, True), done.output
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 146
    findings = await audit(owner, brand.book)
    assert [finding.invariant for finding in findings if finding.violations] == []


@pytest.mark.one_process("gives this process the key by which the command line knows identities")
async def test_a_lot_of_somebody_who_was_merged_since_is_known(
    run: Run, file: Path, api: Api, owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    api.services.customers.keys = load_secrets(tmp_path / "secrets.json").identity_keys
    await run(*IMPORT, file)
    merged = await api.client("messaging").post("/v1/customers/c-3/merge", json={"from": {"id": "c-1"}})
    assert merged.status_code == 200, merged.text
    file.write_text("id,points\nc-1,5\n")
    done = await run("import", "balances", "--brand", "lumen", "--rows", 1, "--points", 5, file)
    assert isinstance(done.exception, BalanceFileInvalid)
    assert str(done.exception).startswith("line 2: ")


@pytest.mark.one_process("gives this process the key by which the command line knows identities")
async def test_our_numbers_name_customers_in_a_file(
    run: Run, file: Path, api: Api, owner: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    api.services.customers.keys = load_secrets(tmp_path / "secrets.json").identity_keys
    assert (await api.client("messaging").put("/v1/customers/c-1", json={"email": "ada@example.org"})).status_code == 200
    found = await api.client("storefront").post("/v1/customers/balance", json={"customer": {"email": "ada@example.org"}})
    number = found.json()["customer"]
    file.write_text(f"id,points\n{number},5\n")
    one = ("import", "balances", "--brand", "lumen", "--rows", 1, "--points", 5)
    assert (await run(*one, file)).exit_code == 0
    assert (await api.client("storefront").get("/v1/customers/c-1/balance")).json()["balance"] == 5
    for content, line in (
        ("id,points\ncus_999999,5\n", "line 2: "),
        ("id,points\ncus_007,5\n", "line 2: "),
        (f"id,points\nc-2,1\n{number},2\ncus_999999,2\n", "line 4: "),
        (f"id,points,expires_on\nc-1,2,2090-01-31\n{number},3,2090-01-31\n", "line 3: "),
    ):
        file.write_text(content)
        rows = len(content.splitlines()) - 1
        done = await run("import", "balances", "--brand", "lumen", "--rows", rows, "--points", 5, file)
        assert isinstance(done.exception, BalanceFileInvalid), done.output
        assert str(done.exception).startswith(line)
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 5


async def test_an_import_that_is_killed_while_it_posts_opens_its_lots_once(
    run: Run, file: Path, owner: asyncpg.Connection[Any]
) -> None:
    brand = await make_brand(owner)
    async with owner.transaction():
        # It comes as far as the book's head, and waits there.
        await owner.execute("SELECT FROM ledger.head WHERE book_id = $1 FOR UPDATE", brand.book.book_id)
        command = (sys.executable, "-m", "service.cli.main", *(str(each) for each in (*IMPORT, file)))
        killed = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not await owner.fetchval(waits):
            assert killed.returncode is None
            await asyncio.sleep(0.05)
            # Within a transaction the view says what it said first.
            await owner.execute("SELECT pg_stat_clear_snapshot()")
        killed.kill()
        await killed.wait()
    for says in ("Opened 3 lots with 127 points", "imported before"):
        done = await run(*IMPORT, file)
        assert (done.exit_code, says in done.output) == (0, True), done.output
    assert await owner.fetchval("SELECT sum(amount) FROM ledger.transfer") == 127
    findings = await audit(owner, brand.book)
    assert [finding.invariant for finding in findings if finding.violations] == []


WRONG_FILES = [
    ("id,points\nc-1,3\n", "1 lines with 3 points, not 3 with 127"),
    ("id;points\nc-1;3\n", "must name the columns"),
    ("id\nc-1\n", "must name the columns"),
    ("", "must name the columns"),
    ("id,points\n", "no lines"),
    ("id,points\nc-1,0\nc-2,1.5\n", "line 2: points must be a whole number"),
    ("id,points\n,5\n", "line 2: id must not be empty"),
    ("id,points\nc-1,5,6\n", "line 2: has 3 fields, not 2"),
    ("id,points,expires_on\nc-1,5,2020-01-31\n", "line 2: expires_on is past"),
    ("id,points,expires_on\nc-1,5,31.12.2090\n", "line 2: expires_on must be a day"),
    ("id,points,expires_on\nc-1,5,2090-02-30\n", "line 2: expires_on is not a day"),
    ("id,points,class\nc-1,5,gift\n", "line 2: class must be"),
    ("id,points\nc-1,5\nc-1,6\n", "line 3: the same customer, last day and class as line 2"),
    ('id,points\n"c-1,5\n', "not CSV"),
    ("id,points\n\xff,5\n", "not UTF-8"),
]


@pytest.mark.parametrize(("content", "says"), WRONG_FILES)
async def test_a_file_that_is_wrong_is_not_imported(
    run: Run, file: Path, owner: asyncpg.Connection[Any], content: str, says: str
) -> None:
    await make_brand(owner)
    file.write_bytes(content.encode("latin-1"))
    done = await run(*IMPORT, file)
    assert isinstance(done.exception, BalanceFileInvalid)
    assert says in str(done.exception)
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer") == 0
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 0


async def test_the_issue_limit_is_what_the_operator_says(run: Run, api: Api, owner: asyncpg.Connection[Any]) -> None:
    campaign = {
        "id": "autumn",
        "name": "Autumn",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2099-01-01T00:00:00Z",
        "budget": 1_000,
        "rules": [{"action": "click", "points": 1}],
    }
    admin = api.client("admin")
    (await admin.post("/v1/campaigns", json=campaign)).raise_for_status()
    done = await run("brand", "set-issue-limit", "lumen", 1_500)
    assert done.exit_code == 0, done.output
    assert "lumen may issue 1,500 points" in done.output

    async def fund(key: str, points: int) -> int:
        path = "/v1/campaigns/autumn/fund"
        return (await admin.post(path, json={"points": points}, headers={"Idempotency-Key": key})).status_code

    assert [await fund("a", 501), await fund("b", 500), await fund("c", 1)] == [402, 201, 402]
    less = await run("brand", "set-issue-limit", "lumen", 1_499)
    assert isinstance(less.exception, IssueLimitRefused)
    assert (await run("brand", "set-issue-limit", "lumen", 1_501)).exit_code == 0
    assert await fund("d", 1) == 201
    assert isinstance((await run("brand", "set-issue-limit", "nobody", 1)).exception, BrandUnknown)
    assert await trail(owner) == [("brand.set_issue_limit", "lumen")] * 2
    query = "SELECT after::text FROM rewards.audit_trail WHERE act = 'brand.set_issue_limit' ORDER BY entry_no"
    assert [json.loads(row["after"]) for row in await owner.fetch(query)] == [{"points": 1_500}, {"points": 1_501}]
