"""An export bundle: the files of one or more formats at one cut, and a manifest that lets anyone check them.

Made again at the same cut, a bundle has the same bytes. Files are written aside and renamed when whole, the manifest last.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import io
from collections.abc import Awaitable, Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from service.exports import accounts_csv, beancount_journal, hledger_journal, transfers_csv
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals, utc

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MANIFEST = "manifest.json"


class ExportFormat(enum.StrEnum):
    """What a bundle can hold."""

    CSV = "csv"
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


_Writer = Callable[[BookAtCut, TextIO], Awaitable[Totals]]

WRITERS: dict[ExportFormat, dict[str, _Writer]] = {
    ExportFormat.CSV: {"transfers.csv": transfers_csv.write, "accounts.csv": accounts_csv.write},
    ExportFormat.BEANCOUNT: {"journal.beancount": beancount_journal.write},
    ExportFormat.HLEDGER: {"journal.hledger": hledger_journal.write},
}


class ExportedFile(msgspec.Struct, frozen=True):
    """A line of the manifest."""

    name: str
    rows: int
    debits: int
    credits: int
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle is of and what it must add up to. ``balanced``: every file has the same debits and credits.

    ``sub_accounts``: in the journals, each customer and redemption has an account of its own. Times are UTC; business dates are
    the days of ``time_zone``, the brand's.
    """

    brand: str
    points_code: str
    time_zone: str
    cut: dict[str, Any]
    balanced: bool
    sub_accounts: bool
    files: tuple[ExportedFile, ...]
    version: int = 1


async def write(book: BookAtCut, formats: Sequence[ExportFormat], directory: Path) -> Manifest:
    """Write the bundle into ``directory``, which is made when it is not there; files of the same names are replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    writers = {name: writer for chosen in sorted(set(formats)) for name, writer in WRITERS[chosen].items()}
    files = tuple([await _write_file(directory / name, writer, book) for name, writer in sorted(writers.items())])
    sums = {total for file in files for total in (file.debits, file.credits)}
    manifest = Manifest(
        brand=book.brand,
        points_code=book.points_code,
        time_zone=book.calendar.time_zone,
        cut={"name": book.cut.name or None, "seq": book.cut.seq, "posted_at": utc(book.cut.posted_at)},
        balanced=len(sums) == 1,
        sub_accounts=book.bookkeeping.sub_accounts,
        files=files,
    )
    with _replacing(directory / MANIFEST) as (out, _):
        out.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n")
    return manifest


async def _write_file(path: Path, writer: _Writer, book: BookAtCut) -> ExportedFile:
    with _replacing(path) as (out, file):
        totals = await writer(book, out)
    return ExportedFile(
        name=path.name,
        rows=totals.rows,
        debits=totals.debits,
        credits=totals.credits,
        size_bytes=path.stat().st_size,
        sha256=file.sha256.hexdigest(),
    )


class _HashedFile(io.FileIO):
    """A new file that knows the hash of what was written, so that it need not be read again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self.sha256 = hashlib.sha256()

    def write(self, data: ReadableBuffer, /) -> int:
        written = super().write(data)
        self.sha256.update(memoryview(data)[:written])
        return written


@contextlib.contextmanager
def _replacing(path: Path) -> Generator[tuple[TextIO, _HashedFile]]:
    aside = path.with_name(f".{path.name}.partial")
    try:
        with (
            _HashedFile(aside) as file,
            io.BufferedWriter(file) as buffered,
            io.TextIOWrapper(buffered, encoding="utf-8", newline="\n") as out,
        ):
            yield out, file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
