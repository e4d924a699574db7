"""Finance's view: what is owed to a customer by class, what changed it, and what it is worth. It has no messages and no names.

What the log adds up to is compared with the customer's accounts each time: a statement that does not tie is not shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from ledger import AccountClass, Balance, HistoryEntry, Kind, Position, Verb, WalletMovement, describe_account
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.customers import actions as customers
from service.exports.account_names import account_name, class_name
from service.http.filters import read_days
from service.http.identifiers import customer_id, redemption_id
from service.http.periods import ONE_DAY
from service.http.problems import Problem
from service.reports.values import Values, rounded, values_of
from service.statements.customer import customer_of, numbers_of
from service.statements.schemas import FinanceClass, FinanceEntry, FinanceLot, FinanceStatement

if TYPE_CHECKING:
    from service.services import Services

_ALL_RESTATEMENTS = 2**31 - 1
_BEFORE, _WITHIN = 0, 1
_OWED = (Kind.LOT, Kind.HELD)


async def finance_statement(
    services: Services, brand: Brand, named: str, *, since: str | None, until: str | None, after: int | None, limit: int
) -> FinanceStatement:
    """What is owed to a customer from one day to another, and a page of their transfers."""
    known, has = await customers.look(services, brand, await customer_of(services, brand, named))
    today = brand.calendar.day(await services.clocks.now(brand))
    first, last = _days(since, until, today)
    numbers = numbers_of(known)
    seq, accounts = await services.ledger.wallet_accounts(brand.book, numbers)
    moved = await services.ledger.wallet_movements(brand.book, numbers, until=seq, starts=[first, last + ONE_DAY])
    _require_tie(accounts, moved)
    values = await values_of(services.engine, brand, _ALL_RESTATEMENTS, until=max(last, today))
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    found, more = await _transfers(services, brand, numbers, after=after, limit=limit)
    return FinanceStatement(
        customer=customer_id(known.customer),
        since=first,
        until=last,
        currency=brand.currency,
        seq=seq,
        classes=_classes(moved, values, first, last),
        lots=_lots(has, values, today),
        entries=[_entry(entry, brand, campaigns, values) for entry in found],
        next=None if more is None else str(more),
    )


def _days(since: str | None, until: str | None, today: date) -> tuple[date, date]:
    """The days asked for: without them the month up to today."""
    first, last = read_days(since, until)
    last = last or max(today, first or today)
    return first or last.replace(day=1), last


def _require_tie(accounts: Mapping[AccountClass, int], moved: Sequence[WalletMovement]) -> None:
    """Raise a problem unless the transfers add up to what the accounts have."""
    summed: dict[AccountClass, int] = defaultdict(int)
    for each in moved:
        summed[each.account_class] += each.change
    for account_class in {*summed, *accounts}:
        if summed[account_class] != accounts.get(account_class, 0):
            raise Problem("report_does_not_tie", f"The customer's {class_name(account_class)} points do not tie to the log.")


def _classes(moved: Sequence[WalletMovement], values: Values, first: date, last: date) -> list[FinanceClass]:
    return [
        _class(account_class, [each for each in moved if each.account_class is account_class], values, first, last)
        for account_class in sorted({each.account_class for each in moved})
    ]


def _class(
    account_class: AccountClass, moved: Sequence[WalletMovement], values: Values, first: date, last: date
) -> FinanceClass:
    opening = sum(each.change for each in moved if each.stretch == _BEFORE)
    within: dict[Verb, int] = defaultdict(int)
    for each in moved:
        if each.stretch == _WITHIN:
            within[each.verb] += each.change
    closing = opening + sum(within.values())
    return FinanceClass(
        account_class=class_name(account_class),
        opening=opening,
        movements={verb.name.lower(): within[verb] for verb in sorted(within) if within[verb]},
        closing=closing,
        opening_value=_worth(values, opening, first - ONE_DAY),
        closing_value=_worth(values, closing, last),
    )


def _worth(values: Values, points: int, day: date) -> int | None:
    return rounded(values.worth(points, day)) if values.begins_on is not None and values.begins_on <= day else None


def _lots(has: Balance, values: Values, today: date) -> list[FinanceLot]:
    return [
        FinanceLot(
            account_class=class_name(lot.account_class),
            expires_on=lot.expires_on,
            points=lot.points,
            value=_worth(values, lot.points, today),
        )
        for lot in has.lots
    ]


async def _transfers(
    services: Services, brand: Brand, numbers: Sequence[int], *, after: int | None, limit: int
) -> tuple[list[HistoryEntry], int | None]:
    """A page of transfers, newest first: of the history, without decisions that moved no points."""
    before = Position(2**63 - 1 if after is None else after, 0)
    found, more = await services.ledger.history(brand.book, numbers, before=before, limit=limit)
    return found, None if more is None else more.seq


def _entry(entry: HistoryEntry, brand: Brand, campaigns: Mapping[int, str], values: Values) -> FinanceEntry:
    assert entry.debit is not None
    assert entry.credit is not None
    assert entry.amount is not None
    assert entry.verb is not None
    assert entry.accounting_date is not None
    debit, credit = describe_account(entry.debit), describe_account(entry.credit)
    no = entry.campaign_no
    return FinanceEntry(
        seq=entry.seq,
        accounting_date=entry.accounting_date,
        posted_at=entry.at,
        type=entry.verb.name.lower(),
        account_class=class_name((debit if debit.kind in _OWED else credit).account_class),
        points=entry.amount,
        change=entry.amount * ((credit.kind in _OWED) - (debit.kind in _OWED)),
        value=_worth(values, entry.amount, entry.accounting_date),
        debit=account_name(entry.debit, campaigns),
        credit=account_name(entry.credit, campaigns),
        campaign=None if no is None else campaigns.get(no, str(no)),
        redemption_id=None if entry.redemption is None else redemption_id(brand.book.book_id, entry.redemption),
    )
