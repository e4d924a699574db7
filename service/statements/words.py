"""What happened, in a sentence for those who answer customers, and what they may do about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from ledger import GrantOutcome, HistoryEntry, Kind, Verb, describe_account

_Say: TypeAlias = Callable[[HistoryEntry, str], str]

_DECIDED: Mapping[GrantOutcome, str] = {
    GrantOutcome.WAITING: "{act} is not paid yet: it waits for stronger evidence than {grade}",
    GrantOutcome.CAP_REACHED: "{act} was not paid: a limit of the campaign was reached",
    GrantOutcome.GROUP_CAP_REACHED: "{act} was not paid: the store had no budget left",
    GrantOutcome.BUDGET_EXHAUSTED: "{act} was not paid: the campaign had no budget left",
    GrantOutcome.OFFER_LAPSED: "{act} was not paid: the offer lapsed before it was claimed",
}

_HELD_BACK: Mapping[GrantOutcome | None, str] = {
    GrantOutcome.HELD_BACK: "{points} for {act} are held back until {until}; without an approval they are rejected then",
    GrantOutcome.GRANTED: "{points} for {act} were held back, and have been approved since",
    GrantOutcome.REJECTED: "{points} for {act} were held back, and were rejected or not approved in time",
}

_POSTED: Mapping[Verb, str] = {
    Verb.GRANT: "{points} earned for {act}",
    Verb.MATURE: "{points} held back for {act} were approved",
    Verb.REJECT: "{points} held back for {act} were rejected, or not approved in time",
    Verb.AUTHORIZE: "{points} set aside for {order}",
    Verb.CAPTURE: "{points} spent on {order}",
    Verb.VOID: "{points} given back: {order} was cancelled, or paid with fewer",
    Verb.TIME_OUT: "{points} given back: {order} was not completed in time",
    Verb.REFUND: "{points} given back for a return of {order}",
    Verb.EXPIRE: "{points} expired after their last day, {last_day}",
    Verb.CLAWBACK: "{points} of a grant were taken back: {why}",
    Verb.MERGE: "{points} moved when customers were merged",
    Verb.SPLIT: "{points} moved when a merge was undone",
    Verb.OPEN: "{points} brought in as an opening balance",
    Verb.FORFEIT: "{points} forfeited because the customer was erased",
}


def text_of(entry: HistoryEntry, campaign: str | None, change: int) -> str:
    """What happened, in a sentence. ``change`` is what it did to the points that can be spent."""
    return f"{_template(entry, change).format_map(_words(entry, campaign))}."


def _template(entry: HistoryEntry, change: int) -> str:
    if entry.verb is None:
        return _DECIDED.get(entry.outcome or GrantOutcome.WAITING, "{act} was not paid")
    if entry.verb is Verb.HOLD_BACK:
        return _HELD_BACK.get(entry.outcome, "{points} for {act} were held back")
    if entry.verb is Verb.ADJUST:
        return "{points} taken: {why}" if change < 0 else "{points} given: {why}"
    return _POSTED[entry.verb]


def _words(entry: HistoryEntry, campaign: str | None) -> dict[str, str]:
    return {
        "act": "an act" if entry.action is None else f"{entry.action} on {entry.channel} ({campaign})",
        "grade": entry.grade or "",
        "points": _points(entry.amount or 0),
        "until": _minute(entry.due_at),
        "order": "a purchase" if entry.order_ref is None else f"purchase {entry.order_ref}",
        "last_day": _last_day(entry),
        "why": entry.reason or "it was to be taken back as soon as it returned",
    }


def _points(points: int) -> str:
    return "1 point" if points == 1 else f"{points} points"


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _last_day(entry: HistoryEntry) -> str:
    last_day = None if entry.debit is None else describe_account(entry.debit).expires_on
    return "" if last_day is None else last_day.isoformat()


def calls_of(entry: HistoryEntry, grant: str | None, redemption: str | None) -> Sequence[str]:
    """The calls with which care may act on an entry."""
    if entry.verb in (Verb.GRANT, Verb.MATURE) and grant is not None:
        return [f"POST /v1/grants/{grant}/clawback"]
    if entry.verb is Verb.AUTHORIZE and redemption is not None:
        return [f"GET /v1/redemptions/{redemption}"]
    return []


def change_of(entry: HistoryEntry) -> int:
    """What a transfer did to the points that its customer can spend."""
    if entry.debit is None or entry.credit is None or entry.amount is None:
        return 0
    lost, gained = (describe_account(account).kind is Kind.LOT for account in (entry.debit, entry.credit))
    return entry.amount * (gained - lost)
