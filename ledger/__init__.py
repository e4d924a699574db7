"""A double-entry ledger of points on PostgreSQL: exactly once, balanced by construction, checkable from its tables.

    async with Ledger(pool) as ledger:
        result = await ledger.grant(order)

Anything not named here is private.
"""

from ledger.audit import audit
from ledger.books import open_book
from ledger.chart import AccountName, Kind, OwnerTag, account_id, describe_account, month_end
from ledger.errors import BookRefused, ClockSkew, DataRefused, LedgerError, LedgerUnavailable, Overloaded
from ledger.events import event_key
from ledger.ledger import Ledger
from ledger.point_value import PointValue
from ledger.schema import functions_digest, install
from ledger.sweeping import sweep
from ledger.types import (
    FUND_MAX,
    POINTS_MAX,
    TEXT_BYTES_MAX,
    AccountClass,
    Balance,
    Book,
    BookClock,
    CapUse,
    ClockAdvance,
    ClockOutcome,
    Cut,
    Entry,
    EventDetails,
    Finding,
    Fund,
    FundOutcome,
    FundResult,
    Grade,
    GrantOrder,
    GrantOutcome,
    GrantResult,
    Lot,
    Operation,
    Reconciliation,
    Redeem,
    Redemption,
    RedemptionLot,
    RedemptionOperation,
    RedemptionOutcome,
    RedemptionResult,
    RedemptionStatus,
    Transfer,
    TrialBalance,
    TrialBalanceLine,
    Verb,
)

__all__ = [
    "FUND_MAX",
    "POINTS_MAX",
    "TEXT_BYTES_MAX",
    "AccountClass",
    "AccountName",
    "Balance",
    "Book",
    "BookClock",
    "BookRefused",
    "CapUse",
    "ClockAdvance",
    "ClockOutcome",
    "ClockSkew",
    "Cut",
    "DataRefused",
    "Entry",
    "EventDetails",
    "Finding",
    "Fund",
    "FundOutcome",
    "FundResult",
    "Grade",
    "GrantOrder",
    "GrantOutcome",
    "GrantResult",
    "Kind",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "Lot",
    "Operation",
    "Overloaded",
    "OwnerTag",
    "PointValue",
    "Reconciliation",
    "Redeem",
    "Redemption",
    "RedemptionLot",
    "RedemptionOperation",
    "RedemptionOutcome",
    "RedemptionResult",
    "RedemptionStatus",
    "Transfer",
    "TrialBalance",
    "TrialBalanceLine",
    "Verb",
    "account_id",
    "audit",
    "describe_account",
    "event_key",
    "functions_digest",
    "install",
    "month_end",
    "open_book",
    "sweep",
]
