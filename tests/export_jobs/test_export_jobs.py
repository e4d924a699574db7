"""Exports over HTTP: ordered, made by the worker, downloaded, and deleted."""

from __future__ import annotations

import asyncio
import csv
import errno
import hashlib
import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.testing import set_clock
from service.export_jobs import exporter
from service.exports import bundle
from service.exports.account_codes import read_account_codes
from service.exports.bundle import ExportFormat
from service.finance.queries import find_cut
from tests.api_fixtures import Api, make_brand, make_keys
from tests.export_jobs.conftest import ExportWorker, look, order
from tests.finance.conftest import Till
from tests.real_worker import real_worker


def files_on_disk(api: Api) -> list[str]:
    """All files of exports, by name."""
    return sorted(path.name for path in api.settings.exports_path.rglob("*") if path.is_file())


async def fetch(api: Api, url: str, **headers: str) -> Any:
    return await api.client("finance").get(url, headers=headers)


@pytest.mark.usefixtures("busy_till")
async def test_an_export_is_ordered_made_and_downloaded(api: Api, export_worker: ExportWorker) -> None:
    job = await order(api, formats=["csv", "beancount", "hledger"], customers=True)
    assert (job["status"], job["files"], job["progress"]) == ("queued", [], {"rows": 0, "of": 0})
    assert await export_worker.work() == 1
    done = await look(api, job)
    assert (done["status"], done["error"]) == ("done", None)
    # Three files are made of the log.
    assert done["progress"] == {"rows": 3 * done["to"]["seq"], "of": 3 * done["to"]["seq"]}
    names = ["accounts.csv", "customers.csv", "journal.beancount", "journal.hledger", "transfers.csv", "manifest.json"]
    assert [file["name"] for file in done["files"]] == names
    for file in done["files"]:
        answer = await fetch(api, file["url"])
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        assert len(answer.content) == file["size_bytes"] == int(answer.headers["content-length"])
        assert answer.headers["etag"] == f'"{file["sha256"]}"'
        assert answer.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
    manifest = json.loads((await fetch(api, done["files"][-1]["url"])).content)
    assert manifest["balanced"] is True
    told = {file["name"]: (file["rows"], file["size_bytes"], file["sha256"]) for file in done["files"][:-1]}
    assert {file["name"]: (file["rows"], file["size_bytes"], file["sha256"]) for file in manifest["files"]} == told
    assert await export_worker.work() == 0


async def test_the_worker_makes_what_the_command_line_makes(
    api: Api, busy_till: Till, export_worker: ExportWorker, tmp_path: Path
) -> None:
    job = await order(api)
    await export_worker.work()
    services = api.services
    cut = await find_cut(services.ledger, api.brand.book, str(job["to"]["seq"]))
    book = await exporter.book_at_cut(services.pool, services.engine, api.brand, cut)
    await bundle.write(book, bundle.writers_of([ExportFormat.CSV]), tmp_path / "again")
    for file in (tmp_path / "again").iterdir():
        assert file.read_bytes() == (api.settings.exports_path / job["id"] / file.name).read_bytes()


@pytest.mark.usefixtures("busy_till")
async def test_a_summarised_journal_has_the_codes_that_were_ordered(api: Api, export_worker: ExportWorker) -> None:
    codes = [
        {"account": "Expenses:Marketing", "code": "6210", "valid_from": "2020-01-01"},
        {"account": "Liabilities", "code": "=2100"},
    ]
    job = await order(api, formats=["summary"], account_codes=codes)
    assert (await order(api, expect=200, formats=["summary"], account_codes=codes))["id"] == job["id"]
    assert await export_worker.work() == 1
    summary, manifest = (await look(api, job))["files"]
    assert (summary["name"], summary["unmapped"]) == ("summary.csv", ["Assets:Clearing:Redemptions:Engagement"])
    assert manifest["unmapped"] is None
    written = (await fetch(api, summary["url"])).text
    assert ",Expenses:Marketing,6210,Liabilities:PointsProvision,'=2100," in written
    told = json.loads((await fetch(api, manifest["url"])).content)
    as_file = b"account,valid_from,code\nLiabilities,,=2100\nExpenses:Marketing,2020-01-01,6210\n"
    assert told["account_codes"] == read_account_codes(as_file).sha256
    assert told["files"][0]["unmapped"] == summary["unmapped"]


async def test_codes_of_accounts_that_there_are_not_are_refused(api: Api) -> None:
    wrong = [
        {"account": "Liabilities", "code": "1"},
        {"account": "Liabilities", "code": "2"},
        {"account": "Nothing", "code": "3\u2028"},
    ]
    problem = await order(api, expect=422, formats=["summary"], account_codes=wrong)
    pointers = ["/account_codes/1/valid_from", "/account_codes/2/account", "/account_codes/2/code"]
    assert [error["pointer"] for error in problem["errors"]] == pointers
    problem = await order(api, expect=422, formats=["summary"], account_codes=[{"account": "Income", "code": "1", "to": "x"}])
    assert problem["errors"][0]["pointer"] == "/account_codes/0/to"


async def test_customers_hold_what_their_balances_say(api: Api, busy_till: Till, export_worker: ExportWorker) -> None:
    job = await order(api, customers=True)
    await export_worker.work()
    content = (api.settings.exports_path / job["id"] / "customers.csv").read_text()
    rows = {int(row["customer"]): row for row in csv.DictReader(io.StringIO(content))}
    assert set(rows) == set(range(1, 10))
    for customer, row in rows.items():
        balance = await busy_till.ledger.balance(busy_till.book, customer)
        assert (int(row["spendable"]), int(row["pending"])) == (balance.spendable, balance.pending)


@pytest.mark.usefixtures("busy_till")
async def test_the_same_order_again_is_the_same_export(api: Api, export_worker: ExportWorker) -> None:
    first = await order(api)
    assert (await order(api, expect=200))["id"] == first["id"]
    assert (await order(api, expect=202, customers=True))["id"] != first["id"]
    await export_worker.work()
    # It is not under way any more, so this is another.
    assert (await order(api))["id"] != first["id"]
    named = await order(api, key="close-11", to="5")
    assert (await order(api, key="close-11", to="5", expect=200))["id"] == named["id"]
    problem = await order(api, key="close-11", to="6", expect=422)
    assert problem["code"] == "idempotency_key_reused"
    listed = (await api.client("finance").get("/v1/exports", params={"limit": 2})).json()
    assert listed["items"][0]["id"] == named["id"]
    rest = (await api.client("finance").get("/v1/exports", params={"after": listed["next"]})).json()
    assert (rest["items"][-1]["id"], rest["next"]) == (first["id"], None)


async def test_no_more_than_ten_exports_are_under_way(api: Api, busy_till: Till) -> None:
    for seq in range(1, 11):
        await order(api, to=str(seq))
    assert (await order(api, to="11", expect=429))["code"] == "too_many_exports"


async def test_an_export_between_two_cuts_has_what_came_between(api: Api, till: Till, export_worker: ExportWorker) -> None:
    await till.fund(1_000)
    await till.grant(1, 100)
    await till.ledger.take_cut(till.book, "october")
    await till.grant(2, 50)
    await till.grant(1, 7)
    job = await order(api, from_="october", to="4")
    assert (job["from"]["name"], job["from"]["seq"]) == ("october", 2)
    await export_worker.work()
    directory = api.settings.exports_path / job["id"]
    rows = list(csv.DictReader(io.StringIO((directory / "transfers.csv").read_text())))
    assert [row["seq"] for row in rows] == ["3", "4"]
    manifest = json.loads((directory / "manifest.json").read_text())
    totals = {file["name"]: file["debits"] for file in manifest["files"]}
    assert (manifest["from"]["seq"], manifest["opening"], manifest["balanced"]) == (2, 1_100, True)
    assert totals == {"transfers.csv": 57, "accounts.csv": 1_157}


async def test_dates_are_the_brands_days_and_both_are_included(api: Api, till: Till, owner: asyncpg.Connection[Any]) -> None:
    for hour in (datetime(2031, 6, 29, 22, tzinfo=UTC), datetime(2031, 6, 30, 21, 59, 59, tzinfo=UTC)):
        await set_clock(owner, till.book, hour)
        await till.fund(1)
    await set_clock(owner, till.book, datetime(2031, 6, 30, 22, tzinfo=UTC))
    await till.fund(1)
    await set_clock(owner, till.book, datetime(2031, 7, 5, tzinfo=UTC))
    job = await order(api, from_="2031-06-30", to="2031-06-30")
    assert (job["from"]["seq"], job["to"]["seq"]) == (0, 2)
    job = await order(api, from_="2031-07-01", to="2031-07-03")
    assert (job["from"]["seq"], job["to"]["seq"]) == (2, 3)
    job = await order(api, from_="2031-06", to="2031-06")
    assert (job["from"]["seq"], job["to"]["seq"]) == (0, 2)
    await till.ledger.take_cut(till.book, "2031-06-30")
    assert (await order(api, to="2031-06-30"))["to"]["seq"] == 3, "a cut's name comes before a date"


@pytest.mark.parametrize(
    ("wanted", "pointer", "says"),
    [
        ({"to": "autumn"}, "/to", "no such cut"),
        ({"to": "99999"}, "/to", "the book ends at seq"),
        ({"to": "2999-01-01"}, "/to", "is not over yet"),
        ({"from_": "2999-01-02"}, "/from", "is not over yet"),
        ({"to": "2001-01-01"}, "/to", "before the book"),
        ({"to": "2031-02-30"}, "/to", "no such cut"),
        ({"to": "9999-12-31"}, "/to", "no such cut"),
        ({"from_": "0001-01-01"}, "/from", "no such cut"),
        ({"to": "2999-01"}, "/to", "2999-01-31 is not over yet"),
        ({"from_": "3", "to": "2"}, "/from", "begins after the end"),
        ({"from_": "3", "formats": ["hledger"]}, "/from", "a journal has all of the book"),
        ({"formats": []}, "/formats", ""),
        ({"formats": ["xlsx"]}, "/formats/0", ""),
    ],
)
@pytest.mark.usefixtures("busy_till")
async def test_what_cannot_be_exported_is_named(api: Api, wanted: Any, pointer: str, says: str) -> None:
    problem = await order(api, expect=422, **wanted)
    assert problem["errors"][0]["pointer"] == pointer
    assert says in problem["errors"][0]["detail"]


RANGES = [
    ("bytes=0-4", 206, slice(0, 5)),
    ("bytes=5-", 206, slice(5, None)),
    ("bytes=-7", 206, slice(-7, None)),
    ("bytes=3-99999999", 206, slice(3, None)),
    ("bytes=0-0,2-3", 200, slice(None)),
    ("bytes=4-3", 200, slice(None)),
    ("lines=0-1", 200, slice(None)),
    ("bytes=-", 200, slice(None)),
]


async def test_a_download_goes_on_where_it_broke_off(api: Api, busy_till: Till, export_worker: ExportWorker) -> None:
    job = await order(api)
    await export_worker.work()
    file = (await look(api, job))["files"][0]
    whole = (await fetch(api, file["url"])).content
    for asked, status, part in RANGES:
        answer = await fetch(api, file["url"], Range=asked)
        assert (answer.status_code, answer.content) == (status, whole[part]), asked
        if status == 206:
            begin, end, _ = part.indices(len(whole))
            assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(whole)}"
    beyond = await fetch(api, file["url"], Range=f"bytes={len(whole)}-")
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"
    etag = f'"{file["sha256"]}"'
    assert (await fetch(api, file["url"], Range="bytes=5-", **{"If-Range": etag})).content == whole[5:]
    assert (await fetch(api, file["url"], Range="bytes=5-", **{"If-Range": '"other"'})).content == whole
    unchanged = await fetch(api, file["url"], **{"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_nobody_reads_what_is_not_an_exports_file(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    await export_worker.work()
    (api.settings.exports_path / job["id"] / "notes.txt").write_text("not of the export")
    for name in (
        "notes.txt",
        "..%2F..%2Fsecrets.json",
        "%2e%2e",
        ".transfers.csv.partial",
        "manifest.json%00",
        "transfers.CSV",
    ):
        assert (await fetch(api, f"/v1/exports/{job['id']}/files/{name}")).status_code in {404, 400}, name
    other = await make_brand(owner, "umbra")
    stranger = api.client(key=(await make_keys(owner, other))["finance"])
    for path in (f"/v1/exports/{job['id']}", f"/v1/exports/{job['id']}/files/transfers.csv"):
        assert (await stranger.get(path)).status_code == 404
        assert (await api.client("messaging").get(path)).status_code == 403
    assert (await stranger.delete(f"/v1/exports/{job['id']}")).status_code == 404
    for nothing in ("exp_7", "exp_00000001000000000000ffff", "7"):
        assert (await fetch(api, f"/v1/exports/{nothing}")).status_code == 404


@pytest.mark.parametrize("gone", ["transfers.csv", "all"])
async def test_an_export_whose_files_are_gone_is_lost_until_it_is_made_again(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any], gone: str
) -> None:
    finance = api.client("finance")
    job = await order(api)
    await export_worker.work()
    directory = api.settings.exports_path / job["id"]
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    done = await look(api, job)
    await busy_till.grant(1, 5)
    if gone == "all":
        shutil.rmtree(directory)
    else:
        (directory / gone).unlink()
    for name in ("transfers.csv", "accounts.csv" if gone == "all" else "transfers.csv"):
        answer = await fetch(api, f"/v1/exports/{job['id']}/files/{name}")
        assert (answer.status_code, answer.json()["code"]) == (409, "files_lost")
    lost = await look(api, job)
    assert (lost["status"], lost["files"], lost["expires_at"], lost["error"]) == ("lost", [], None, None)
    assert await export_worker.prune() == 0, "it may be there again"
    again = await finance.post(f"/v1/exports/{job['id']}/remake")
    assert (again.status_code, again.json()["status"], again.json()["ended_at"]) == (202, "queued", None)
    assert (await finance.post(f"/v1/exports/{job['id']}/remake")).status_code == 200
    assert await export_worker.work() == 1
    assert (await look(api, job))["files"] == done["files"]
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert (await fetch(api, done["files"][0]["url"])).status_code == 200
    assert (await finance.post(f"/v1/exports/{job['id']}/remake")).json()["status"] == "done"
    acts = await owner.fetch("SELECT act FROM rewards.audit_trail WHERE act = 'export.remake'")
    assert len(acts) == 1


async def test_an_order_that_is_under_way_is_not_made_twice(api: Api, busy_till: Till, export_worker: ExportWorker) -> None:
    first = await order(api, to="5")
    await export_worker.work()
    shutil.rmtree(api.settings.exports_path / first["id"])
    await fetch(api, f"/v1/exports/{first['id']}/files/transfers.csv")
    second = await order(api, to="5")
    answer = await api.client("finance").post(f"/v1/exports/{first['id']}/remake")
    assert (answer.status_code, answer.json()["id"]) == (200, second["id"])
    for seq in range(6, 15):
        await order(api, to=str(seq))
    assert (await api.client("finance").post(f"/v1/exports/{first['id']}/remake")).json()["code"] == "too_many_exports"


async def test_a_store_that_is_away_loses_nothing(api: Api, busy_till: Till, export_worker: ExportWorker) -> None:
    job = await order(api)
    await export_worker.work()
    aside = api.settings.exports_path.with_name("elsewhere")
    api.settings.exports_path.rename(aside)
    answer = await fetch(api, f"/v1/exports/{job['id']}/files/transfers.csv")
    assert (answer.status_code, answer.json()["code"]) == (503, "file_unavailable")
    aside.rename(api.settings.exports_path)
    assert (await fetch(api, f"/v1/exports/{job['id']}/files/transfers.csv")).status_code == 200


async def test_deleting_cancels_or_removes(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    finance = api.client("finance")
    queued = await order(api)
    cancelled = (await finance.delete(f"/v1/exports/{queued['id']}")).json()
    assert (cancelled["status"], cancelled["files"]) == ("cancelled", [])
    assert await export_worker.work() == 0
    made = await order(api)
    await export_worker.work()
    url = (await look(api, made))["files"][0]["url"]
    for _ in range(2):
        deleted = (await finance.delete(f"/v1/exports/{made['id']}")).json()
        assert (deleted["status"], deleted["files"], deleted["expires_at"]) == ("done", [], None)
    assert (await fetch(api, url)).status_code == 404
    assert files_on_disk(api) != []
    assert await export_worker.prune() == 1
    assert files_on_disk(api) == []
    acts = await owner.fetch("SELECT act FROM rewards.audit_trail WHERE act LIKE 'export.%' ORDER BY entry_no")
    assert [row["act"] for row in acts] == ["export.order", "export.delete", "export.order", "export.delete"]


async def test_files_are_kept_for_as_long_as_the_operator_says(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    await export_worker.work()
    done = await look(api, job)
    assert datetime.fromisoformat(done["expires_at"]) - datetime.fromisoformat(done["ended_at"]) == timedelta(days=30)
    await owner.execute("UPDATE rewards.export_job SET ended_at = ended_at - interval '29 days 23 hours'")
    assert await export_worker.prune() == 0
    await owner.execute("UPDATE rewards.export_job SET ended_at = ended_at - interval '2 hours'")
    assert await export_worker.prune() == 1
    assert (files_on_disk(api), (await look(api, job))["files"]) == ([], [])


async def test_a_brand_has_only_so_much_room(api: Api, busy_till: Till, export_worker: ExportWorker) -> None:
    first = await order(api)
    await export_worker.work()
    size = sum(file["size_bytes"] for file in (await look(api, first))["files"])
    second = await order(api)
    await export_worker.work(exports_bytes=2 * size - 1)
    failed = await look(api, second)
    assert (failed["status"], failed["error"]) == ("failed", "the brand's exports would take more room than they may")
    assert not (api.settings.exports_path / second["id"]).exists()
    third = await order(api)
    await export_worker.work(exports_bytes=2 * size)
    assert (await look(api, third))["status"] == "done"


async def test_a_full_disk_fails_the_job_and_leaves_nothing(
    api: Api, busy_till: Till, export_worker: ExportWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await order(api)
    written = 0

    def full(file: Any, data: Any) -> int:
        nonlocal written
        written += len(data)
        if written > 3_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return io.FileIO.write(file, data)

    monkeypatch.setattr("service.exports.bundle._HashedFile.write", full)
    await export_worker.work()
    failed = await look(api, job)
    assert (failed["status"], failed["error"]) == ("failed", "the store of exports: No space left on device")
    assert files_on_disk(api) == []


async def test_a_directory_that_cannot_be_made_fails_the_job(
    api: Api, busy_till: Till, export_worker: ExportWorker, tmp_path: Path
) -> None:
    job = await order(api)
    (tmp_path / "file").touch()
    await export_worker.work(exports_dir=str(tmp_path / "file" / "exports"))
    assert (await look(api, job))["error"] == "the store of exports: Not a directory"


async def test_books_that_do_not_balance_are_not_exported(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute(
        "UPDATE ledger.account SET credits = credits + 1 WHERE book_id = $1 AND id = (SELECT id FROM ledger.account"
        " WHERE book_id = $1 AND kind = 1 ORDER BY id LIMIT 1)",
        busy_till.book.book_id,
    )
    job = await order(api)
    await export_worker.work()
    failed = await look(api, job)
    assert (failed["status"], failed["files"]) == ("failed", [])
    assert "rewards audit" in failed["error"]


async def test_a_job_of_a_dead_worker_goes_on_with_the_files_it_has(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    taken = await exporter.take(export_worker.engine)
    assert taken is not None
    assert await export_worker.work() == 0, "it is leased"
    # As it is when a worker is killed in its second file: the first is whole, the second is not.
    directory = api.settings.exports_path / job["id"]
    first = Exported(api, export_worker)
    await first.one_file(taken)
    (directory / ".transfers.csv.0badc0de.partial").write_text("seq,posted_at")
    written = (directory / "accounts.csv").stat()
    await owner.execute("UPDATE rewards.export_job SET leased_until = clock_timestamp() - interval '1 second'")
    assert await export_worker.work() == 1
    done = await look(api, job)
    assert done["status"] == "done"
    assert (directory / "accounts.csv").stat().st_mtime_ns == written.st_mtime_ns
    assert files_on_disk(api) == ["accounts.csv", "manifest.json", "transfers.csv"]
    assert done["progress"]["rows"] == done["progress"]["of"]
    # The first worker was not dead but slow; nobody listens to it any more.
    assert not await exporter.renew(export_worker.engine, taken, 0)


class Exported:
    """A worker that is killed after its first file."""

    def __init__(self, api: Api, worker: ExportWorker) -> None:
        self.exporter = exporter.Exporter(worker.settings, worker.engine, worker.stop)
        self.api = api

    async def one_file(self, job: exporter.ExportJob) -> None:
        """Make the first file, and say so."""
        services = self.api.services
        book = await exporter.book_at_cut(services.pool, services.engine, self.api.brand, job.cut)
        name, writer = next(iter(bundle.writers_of([ExportFormat.CSV]).items()))
        directory = self.api.settings.exports_path / job.id
        made: list[bundle.ExportedFile] = []

        async def note(file: bundle.ExportedFile) -> None:
            made.append(file)
            await self.exporter.made(job)(file)

        await bundle.write(book, {name: writer}, directory, made=note)
        (directory / bundle.MANIFEST).unlink()
        assert [file.name for file in made] == [name, bundle.MANIFEST]


async def test_a_job_that_is_cancelled_while_it_is_made_ends(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "RENEWED_EVERY_S", 0.05)
    job = await order(api)
    # What the export reads is locked, so it waits.
    async with owner.transaction():
        await owner.execute("LOCK ledger.account IN ACCESS EXCLUSIVE MODE")
        working = asyncio.create_task(export_worker.work())
        await until_running(api, job)
        await api.client("finance").delete(f"/v1/exports/{job['id']}")
        assert await asyncio.wait_for(working, 10) == 1
    assert (await look(api, job))["status"] == "cancelled"
    await owner.execute("UPDATE rewards.export_job SET leased_until = clock_timestamp() - interval '1 second'")
    assert await export_worker.prune() == 1
    assert files_on_disk(api) == []


async def test_a_worker_that_is_stopped_leaves_its_job_to_another(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    async with owner.transaction():
        await owner.execute("LOCK ledger.account IN ACCESS EXCLUSIVE MODE")
        working = asyncio.create_task(export_worker.work())
        await until_running(api, job)
        export_worker.stop.set()
        await asyncio.wait_for(working, 10)
    assert (await look(api, job))["status"] == "queued"
    export_worker.stop.clear()
    assert await export_worker.work() == 1
    assert (await look(api, job))["status"] == "done"


async def until_running(api: Api, job: Any) -> None:
    """Wait for the worker to have the job."""
    while (await look(api, job))["status"] == "queued":
        continue


async def test_a_job_that_brings_every_worker_down_is_given_up(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    await owner.execute("UPDATE rewards.export_job SET attempt = $1", exporter.ATTEMPTS_MAX)
    assert await export_worker.work() == 1
    assert (await look(api, job))["error"] == f"it was given up after {exporter.ATTEMPTS_MAX} attempts"


async def test_a_worker_that_is_killed_leaves_nothing_that_counts(
    api: Api, busy_till: Till, export_worker: ExportWorker, owner: asyncpg.Connection[Any]
) -> None:
    job = await order(api)
    async with owner.transaction():
        # On a busy machine a process takes its time to begin.
        await owner.execute("SET LOCAL idle_in_transaction_session_timeout = '1min'")
        await owner.execute("LOCK ledger.account IN ACCESS EXCLUSIVE MODE")
        with real_worker(api.settings):
            await until_running(api, job)
            while not files_on_disk(api):
                await look(api, job)
    [partial] = files_on_disk(api)
    assert partial.startswith(".accounts.csv.")
    assert (await look(api, job))["files"] == []
    assert await export_worker.work() == 0, "it is leased"
    await owner.execute("UPDATE rewards.export_job SET leased_until = clock_timestamp() - interval '1 second'")
    assert await export_worker.work() == 1
    assert (await look(api, job))["status"] == "done"
    assert files_on_disk(api) == ["accounts.csv", "manifest.json", "transfers.csv"]
