"""An export bundle: the files of one or more formats at one cut, and a manifest that lets anyone check them.

Made again at the same cut, a bundle has the same bytes. Files are written aside and renamed when whole and on the disk, the
manifest last; so one whose making was interrupted goes on with the files that it has.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import io
import os
import secrets
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ledger import Cut
from service.exports import (
    accounts_csv,
    beancount_journal,
    customers_csv,
    hledger_journal,
    json_lines,
    summary_csv,
    transfer_details,
    transfers_csv,
)
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals, utc

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MANIFEST = "manifest.json"
PARTIAL = ".partial"
"""How the name of a file ends that is not whole."""


class ExportFormat(enum.StrEnum):
    """What a bundle can hold."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    SUMMARY = "summary"


JOURNALS = frozenset((ExportFormat.BEANCOUNT, ExportFormat.HLEDGER, ExportFormat.SUMMARY))
"""They say what accounts hold after all of the log, so they begin where it does."""


class Counts(enum.Enum):
    """What the debits and credits of a file add up to."""

    MOVED = "moved"
    """What was moved since the bundle's beginning."""
    ALL = "all"
    """What was ever moved up to the cut."""
    A_PART = "a part"
    """Some accounts, so that they need not be equal."""


class Writer(msgspec.Struct, frozen=True):
    """How a file is written, what its debits and credits count, and whether it reads the log."""

    write: Callable[[BookAtCut, TextIO], Awaitable[Totals]]
    counts: Counts
    reads_log: bool = True


# Loading Arrow takes a tenth of a second and 40 MB, which no other format needs.
async def _transfers_parquet(book: BookAtCut, out: TextIO) -> Totals:
    from service.exports.arrow import parquet

    return await parquet.write_transfers(book, out)


async def _accounts_parquet(book: BookAtCut, out: TextIO) -> Totals:
    from service.exports.arrow import parquet

    return await parquet.write_accounts(book, out)


async def _details_parquet(book: BookAtCut, out: TextIO) -> Totals:
    from service.exports.arrow import parquet

    return await parquet.write_details(book, out)


WRITERS: dict[ExportFormat, dict[str, Writer]] = {
    ExportFormat.CSV: {
        "transfers.csv": Writer(transfers_csv.write, Counts.MOVED),
        "accounts.csv": Writer(accounts_csv.write, Counts.ALL, reads_log=False),
    },
    ExportFormat.JSONL: {
        "transfers.jsonl": Writer(json_lines.write_transfers, Counts.MOVED),
        "accounts.jsonl": Writer(json_lines.write_accounts, Counts.ALL, reads_log=False),
    },
    ExportFormat.PARQUET: {
        "transfers.parquet": Writer(_transfers_parquet, Counts.MOVED),
        "accounts.parquet": Writer(_accounts_parquet, Counts.ALL, reads_log=False),
    },
    ExportFormat.BEANCOUNT: {"journal.beancount": Writer(beancount_journal.write, Counts.ALL)},
    ExportFormat.HLEDGER: {"journal.hledger": Writer(hledger_journal.write, Counts.ALL)},
    ExportFormat.SUMMARY: {"summary.csv": Writer(summary_csv.write, Counts.ALL)},
}
DETAILS: dict[ExportFormat, dict[str, Writer]] = {
    ExportFormat.CSV: {"transfer_details.csv": Writer(transfer_details.write, Counts.MOVED)},
    ExportFormat.PARQUET: {"transfer_details.parquet": Writer(_details_parquet, Counts.MOVED)},
}
CUSTOMERS = {"customers.csv": Writer(customers_csv.write, Counts.A_PART, reads_log=False)}


class ExportedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the manifest. ``amount`` and ``unmapped`` are as in `Totals`."""

    name: str
    rows: int
    debits: int
    credits: int
    size_bytes: int
    sha256: str
    amount: str | None = None
    unmapped: tuple[str, ...] | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle is of and what it must add up to.

    Times are UTC; business dates are the days of ``time_zone``, the brand's. ``since`` is the cut after which its transfers
    begin, and ``opening`` what all before them moved. ``balanced``: debits equal credits, and all files agree.
    ``sub_accounts``: in the journals, each customer and redemption has an account of its own. ``account_codes`` is the SHA-256
    of the summarised journal's codes. ``restatements``: how many there are in the journals' money and codes, if any.
    """

    brand: str
    points_code: str
    time_zone: str
    since: dict[str, Any] | None = msgspec.field(name="from")
    cut: dict[str, Any]
    opening: int
    balanced: bool
    sub_accounts: bool
    account_codes: str | None
    restatements: int | msgspec.UnsetType = msgspec.UNSET
    files: tuple[ExportedFile, ...]
    version: int = 1


class Room:
    """How many bytes may still be written. Taking more than there are raises ``RoomExceeded``."""

    def __init__(self, left: int | None = None) -> None:
        self._left = left

    def take(self, size: int) -> None:
        """Use ``size`` bytes."""
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            raise RoomExceeded("the brand's exports would take more room than they may")


class RoomExceeded(Exception):
    """The files would take more room than they may."""


def writers_of(formats: Sequence[ExportFormat], *, details: bool = False, customers: bool = False) -> dict[str, Writer]:
    """The writers of a bundle's files, by name and in the order in which they are made."""
    chosen = dict(CUSTOMERS) if customers else {}
    for each in set(formats):
        chosen |= WRITERS[each] | (DETAILS.get(each, {}) if details else {})
    return dict(sorted(chosen.items()))


async def write(
    book: BookAtCut,
    writers: Mapping[str, Writer],
    directory: Path,
    *,
    have: Mapping[str, ExportedFile] | None = None,
    made: Callable[[ExportedFile], Awaitable[None]] | None = None,
    room: Room | None = None,
) -> Manifest:
    """Write the bundle into ``directory``, which is made when it is not there; files of the same names are replaced.

    Files that it ``have`` already are not made again; ``made`` is told of each that is, the manifest too.
    """
    directory.mkdir(parents=True, exist_ok=True)
    room = room or Room()
    files = dict(have or {})
    for name, writer in writers.items():
        if name not in files:
            files[name] = await _write_file(directory / name, writer, book, room)
            await _tell(made, files[name])
    opening = await _opening(book, writers)
    manifest = Manifest(
        brand=book.brand,
        points_code=book.points_code,
        time_zone=book.calendar.time_zone,
        since=None if book.since is None else _position(book.since),
        cut=_position(book.cut),
        opening=opening,
        balanced=_is_balanced(writers, files, opening),
        sub_accounts=book.bookkeeping.sub_accounts,
        account_codes=book.bookkeeping.codes.sha256,
        restatements=book.bookkeeping.restated or msgspec.UNSET,
        files=tuple(files[name] for name in writers),
    )
    await _tell(made, _write_manifest(directory / MANIFEST, manifest, room))
    return manifest


async def _opening(book: BookAtCut, writers: Mapping[str, Writer]) -> int:
    """What was moved before the bundle begins, if there is a file to compare it with."""
    if book.since is None or all(writer.counts is Counts.A_PART for writer in writers.values()):
        return 0
    return (await book.log.trial_balance(book.book, book.since)).debits


def _is_balanced(writers: Mapping[str, Writer], files: Mapping[str, ExportedFile], opening: int) -> bool:
    before = {Counts.MOVED: opening, Counts.ALL: 0}
    counted = [(files[name], before[writer.counts]) for name, writer in writers.items() if writer.counts in before]
    return len({total + moved for file, moved in counted for total in (file.debits, file.credits)}) <= 1


async def _tell(made: Callable[[ExportedFile], Awaitable[None]] | None, file: ExportedFile) -> None:
    if made is not None:
        await made(file)


def _position(cut: Cut) -> dict[str, Any]:
    return {"name": cut.name or None, "seq": cut.seq, "posted_at": utc(cut.posted_at)}


async def _write_file(path: Path, writer: Writer, book: BookAtCut, room: Room) -> ExportedFile:
    with _replacing(path, room) as (out, file):
        totals = await writer.write(book, out)
    return _line(path, totals, file)


def _write_manifest(path: Path, manifest: Manifest, room: Room) -> ExportedFile:
    with _replacing(path, room) as (out, file):
        out.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n")
    return _line(path, Totals(rows=len(manifest.files)), file)


def _line(path: Path, totals: Totals, file: _HashedFile) -> ExportedFile:
    return ExportedFile(
        name=path.name,
        rows=totals.rows,
        debits=totals.debits,
        credits=totals.credits,
        size_bytes=path.stat().st_size,
        sha256=file.sha256.hexdigest(),
        amount=totals.amount,
        unmapped=totals.unmapped,
    )


class _HashedFile(io.FileIO):
    """A new file that knows the hash of what was written, so that it need not be read again."""

    def __init__(self, path: Path, room: Room) -> None:
        super().__init__(path, "w")
        self.sha256 = hashlib.sha256()
        self._room = room

    def write(self, data: ReadableBuffer, /) -> int:
        self._room.take(memoryview(data).nbytes)
        written = super().write(data)
        self.sha256.update(memoryview(data)[:written])
        return written


@contextlib.contextmanager
def _replacing(path: Path, room: Room) -> Generator[tuple[TextIO, _HashedFile]]:
    # Another name each time: a writer that was given up for dead may not be.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with (
            _HashedFile(aside, room) as file,
            io.BufferedWriter(file) as buffered,
            io.TextIOWrapper(buffered, encoding="utf-8", newline="\n") as out,
        ):
            yield out, file
            out.flush()
            buffered.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
