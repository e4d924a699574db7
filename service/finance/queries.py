"""Reading the books for finance."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from ledger import AccountClass, AsOf, Book, Cut, InstantOutcome, Ledger, Transfer, TransferFilter, Verb
from service.campaigns.queries import campaign_ids
from service.http.dates import read_date
from service.http.problems import invalid_field, not_found

Named = TypeVar("Named", bound=enum.IntEnum)


_SEQ = re.compile("[0-9]+")
_SEQ_DIGITS_MAX = 19
_SEQ_MAX = 2**63 - 1

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

__all__ = ["campaign_ids", "find_cut", "find_instant", "find_transfers", "transfer_filter"]


async def find_instant(ledger: Ledger, book: Book, cut: str | None, as_of: str | None) -> Cut | AsOf:
    """Where in the book to read: at a cut (see ``find_cut``) or as of an instant. Raises the problem of naming none."""
    if as_of is None:
        return await find_cut(ledger, book, cut)
    if cut is not None:
        raise invalid_field("?as_of", "send either a cut or an instant, not both")
    found = await ledger.as_of(book, _instant(as_of))
    match found:
        case InstantOutcome.IN_FUTURE:
            raise invalid_field("?as_of", "is later than the book's clock", code="instant_in_future")
        case InstantOutcome.BEFORE_BOOK:
            raise invalid_field("?as_of", "is before the book's first transfer", code="instant_before_book")
        case AsOf():
            return found
        case InstantOutcome.KNOWN:
            raise AssertionError(found)


def _instant(text: str) -> datetime:
    try:
        return msgspec.convert(text, Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise invalid_field("?as_of", "is not a time with a zone, such as 2026-12-01T00:00:00Z (encode + as %2B)") from None


async def find_cut(ledger: Ledger, book: Book, wanted: str | None) -> Cut:
    """The cut that ``wanted`` names: a name, a ``seq``, or None for the head now. Raises the problem of naming none."""
    if wanted is None:
        return await ledger.head(book)
    if not _SEQ.fullmatch(wanted):
        return await ledger.cut_named(book, wanted) or _no_such_cut()
    found = None if len(wanted) > _SEQ_DIGITS_MAX else await ledger.cut_at(book, min(int(wanted), _SEQ_MAX))
    if found is None:
        raise invalid_field("?cut", f"the book ends at seq {(await ledger.head(book)).seq}")
    return found


async def find_transfers(
    ledger: Ledger, book: Book, at: Cut | AsOf, wanted: TransferFilter, *, after: int, limit: int
) -> tuple[list[Transfer], int | None]:
    """A page of the log, of it what is ``wanted``, and the ``after`` of the next page; None at the end."""
    if wanted != TransferFilter():
        if isinstance(at, AsOf):
            raise invalid_field("?as_of", "cannot be sent with filters: send `to`, or a cut")
        return await ledger.find_transfers(book, wanted, after=after, cut=at.seq, limit=limit)
    found = await _list_transfers(ledger, book, at, after=after, limit=limit + 1)
    return found[:limit], found[limit - 1].seq if len(found) > limit else None


async def _list_transfers(ledger: Ledger, book: Book, at: Cut | AsOf, *, after: int, limit: int) -> list[Transfer]:
    if isinstance(at, AsOf):
        return await ledger.transfers_as_of(book, at, after=after, limit=limit)
    return await ledger.transfers(book, after=after, cut=at.seq, limit=limit)


def transfer_filter(
    campaigns: Mapping[int, str],
    *,
    verb: str | None,
    campaign: str | None,
    account_class: str | None,
    since: str | None,
    until: str | None,
    occurred_since: str | None,
    occurred_until: str | None,
    **of_event: str | None,
) -> TransferFilter:
    """What a caller asks for. Raises the problem of a name or a date that is none."""
    return TransferFilter(
        verbs=None if verb is None else tuple(_named(Verb, name, "?verb") for name in verb.split(",")),
        campaign_no=None if campaign is None else _numbered(campaigns, campaign),
        account_class=None if account_class is None else _named(AccountClass, account_class, "?class"),
        since=None if since is None else read_date("?from", since),
        until=None if until is None else read_date("?to", until),
        occurred_since=None if occurred_since is None else read_date("?occurred_from", occurred_since),
        occurred_until=None if occurred_until is None else read_date("?occurred_to", occurred_until),
        **of_event,
    )


def _numbered(campaigns: Mapping[int, str], campaign: str) -> int:
    for number, name in campaigns.items():
        if name == campaign:
            return number
    raise invalid_field("?campaign", "the brand has no such campaign", code="unknown_campaign")


def _named(kind: type[Named], name: str, pointer: str) -> Named:
    for each in kind:
        if each.name.lower() == name:
            return each
    raise invalid_field(pointer, f"must be of: {', '.join(each.name.lower() for each in kind)}")


def _no_such_cut() -> Cut:
    raise not_found("cut")
