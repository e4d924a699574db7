"""What reports say of points that are followed from their grants, from the whole log, folded in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ledger import Kind, Transfer, Verb, describe_account
from ledger.layers.folding import LAYERED, kind_of
from tests.ledger.layers.whole_log import event_of, fold_whole_log

COLUMNS = {
    Verb.GRANT: "granted",
    Verb.MATURE: "matured",
    Verb.OPEN: "brought_in",
    Verb.REFUND: "refunded",
    Verb.CAPTURE: "redeemed",
    Verb.EXPIRE: "expired",
}
OWED = (Kind.LOT, Kind.HELD)


@dataclass(frozen=True)
class Moved:
    """Points of one grant that one transfer moved."""

    verb: Verb
    day: date
    issued_on: date
    account_class: str
    channel: str
    points: int
    owed: int
    """By how much more was owed then."""


def moved(log: Sequence[Transfer], channels: Mapping[tuple[int, bytes], str]) -> list[Moved]:
    """All that ever changed what is owed, grant by grant."""
    by_seq = {transfer.seq: transfer for transfer in log}
    parts = [(part.seq, part.layer, part.amount) for part in fold_whole_log(log)[0]]
    parts += [(each.seq, each.seq, each.amount) for each in log if kind_of(each.debit) not in LAYERED]
    return list(_moved(by_seq, parts, channels))


def _moved(
    by_seq: Mapping[int, Transfer], parts: Sequence[tuple[int, int, int]], channels: Mapping[tuple[int, bytes], str]
) -> Iterator[Moved]:
    for seq, layer, points in parts:
        transfer, issue = by_seq[seq], by_seq[layer]
        owed = (kind_of(transfer.credit) in OWED) - (kind_of(transfer.debit) in OWED)
        event = event_of(issue)
        if owed:
            yield Moved(
                verb=transfer.verb,
                day=transfer.accounting_date,
                issued_on=issue.accounting_date,
                account_class=describe_account(issue.credit).account_class.name.lower(),
                channel="" if event is None else channels[event],
                points=points,
                owed=owed * points,
            )


def roll_forward(all_moved: Sequence[Moved], begin: date, end: date) -> dict[tuple[str, str, str], Counter[str]]:
    """What was owed and what changed it, by class, channel and origin."""
    found: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for each in all_moved:
        if each.day <= end:
            origin = "opening" if each.issued_on < begin else "period"
            figures = found[each.account_class, each.channel, origin]
            figures["closing"] += each.owed
            if each.day < begin:
                figures["opening"] += each.owed
            elif each.verb in COLUMNS:
                figures[COLUMNS[each.verb]] += each.points
    return {key: figures for key, row in found.items() if (figures := +row)}


def vintages(all_moved: Sequence[Moved], begin: date, end: date) -> dict[tuple[str, str, int], tuple[int, ...]]:
    """What was issued in the period, redeemed and expired of it, by channel, month of issue and age in months."""
    found: dict[tuple[str, str], dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for each in all_moved:
        if begin <= each.issued_on <= end and each.day <= end:
            age = (each.day.year - each.issued_on.year) * 12 + each.day.month - each.issued_on.month
            at_age = found[each.channel, f"{each.issued_on:%Y-%m}"][age]
            column = COLUMNS.get(each.verb, "")
            at_age["issued"] += each.points * (column in {"granted", "matured", "brought_in"})
            at_age["redeemed"] += each.points * ((column == "redeemed") - (column == "refunded"))
            at_age["expired"] += each.points * (column == "expired")
    return {
        (*key, age): (ages[0]["issued"], ages[age]["redeemed"], ages[age]["expired"])
        for key, ages in found.items()
        for age in range((end.year - int(key[1][:4])) * 12 + end.month - int(key[1][5:]) + 1)
    }
