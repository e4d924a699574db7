"""Exports on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.exports.account_codes import CODE_MAX, CODES_MAX
from service.exports.bundle import ExportFormat
from service.finance.schemas import NAME_OR_SEQ, CutResponse
from service.http.bodies import Body
from service.http.validation_messages import NO_CONTROL_CHARACTERS

FORMATS_MAX = 8

Position = Annotated[str, msgspec.Meta(pattern=NAME_OR_SEQ, examples=["2026-11"])]
Status = Literal["queued", "running", "done", "failed", "cancelled", "lost"]


class AccountCodeRequest(Body, frozen=True):
    """What the general ledger calls an account of the summarised journal."""

    example: ClassVar[dict[str, Any]] = {"account": "Expenses:Marketing", "code": "6210", "valid_from": "2026-11-01"}

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The account, such as `Expenses:Marketing`, or what its name begins with, such as `Expenses`. The longest name counts."""
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX, pattern=NO_CONTROL_CHARACTERS)]
    """Its code."""
    valid_from: date | None = None
    """The first day on which it applies; absent: from the beginning."""


class ExportRequest(Body, frozen=True):
    """What to export."""

    example: ClassVar[dict[str, Any]] = {"formats": ["csv", "hledger"], "customers": True}

    formats: Annotated[list[ExportFormat], msgspec.Meta(min_length=1, max_length=FORMATS_MAX)]
    """The formats. `csv`, `jsonl` (JSON Lines) and `parquet`: the transfers and the accounts. `beancount` and `hledger`: a
    journal, `summary`: a summarised one, from the book's beginning."""
    from_: Position | None = msgspec.field(name="from", default=None)
    """Export the transfers after this position: a cut's name, a `seq`, or a month or day, which is included. Absent: from
    the book's beginning."""
    to: Position | None = None
    """Export the transfers up to this position: a cut's name, a `seq`, or a month or day that is over, which is included.
    Absent: the book as it stands now."""
    details: bool = False
    """Whether to add `transfer_details` as CSV or Parquet: the transfers with channel, action, message, evidence, order, store
    and money. JSON Lines always has them."""
    customers: bool = False
    """Whether to add `customers.csv`, with what each customer's accounts held at the end."""
    sub_accounts: bool = False
    """Whether each customer and redemption has an account of its own in the journals."""
    account_codes: Annotated[tuple[AccountCodeRequest, ...], msgspec.Meta(max_length=CODES_MAX)] = ()
    """The general ledger's codes of accounts, for `summary`."""
    restatements: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    """How many of the brand's restatements the journals have in their money and codes, in order; see `restatements` of a
    close. Absent: all there are."""


class ExportProgress(msgspec.Struct, frozen=True):
    """How far a job has come."""

    rows: int
    """How many transfers were read so far. A file that is started over counts again from its beginning."""
    of: int
    """How many are to be read for all files together; 0 until the job runs."""


class ExportFile(msgspec.Struct, frozen=True):
    """A file of an export."""

    name: str
    """The file's name in the export."""
    rows: int
    """How many rows it has: transfers, accounts or entries; of the manifest, files."""
    size_bytes: int
    """Its size."""
    sha256: str
    """The SHA-256 of its bytes, in hexadecimal. Also its `ETag`."""
    unmapped: Sequence[str] | None
    """Of `summary.csv`: its accounts that have no code on some day; otherwise null."""
    url: str
    """Where to download it, with the same API key or another of the brand with `exports:write`."""


class ExportResponse(msgspec.Struct, frozen=True):
    """An export, as a job that the worker makes."""

    id: str
    """The export's id."""
    status: Status
    """`queued`, `running`, then `done`, `failed` or `cancelled`. `lost`: it was done, and its files are gone from the store."""
    business_date: date | None
    """The day, of an export of the data mart, which the worker orders itself; otherwise null."""
    formats: Sequence[str]
    """The formats; `mart` for the data mart."""
    details: bool
    """Whether it has `transfer_details`."""
    customers: bool
    """Whether it has `customers.csv`."""
    sub_accounts: bool
    """Whether each customer and redemption has an account of its own in the journals."""
    restatements: int
    """How many of the brand's restatements the journals have in their money and codes."""
    from_: CutResponse | None = msgspec.field(name="from")
    """The cut after which its transfers begin; null: at the book's beginning."""
    to: CutResponse
    """The cut up to which its transfers go."""
    progress: ExportProgress
    """How far it has come."""
    files: Sequence[ExportFile]
    """The files, of an export that is done. Empty once they were deleted, or are too old."""
    error: str | None
    """Why it failed, for people; otherwise null."""
    ordered_at: datetime
    """When it was ordered."""
    ended_at: datetime | None
    """When it was done, failed or was cancelled; null before."""
    expires_at: datetime | None
    """When its files are deleted; null without any."""
