"""The two CSV files as plain Python writes them: slow, and obviously right. Those of the database must have the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from ledger import OwnerTag, Transfer, describe_account
from service.exports import account_names, accounts_csv, transfers_csv
from service.exports.spreadsheets import neutral
from service.exports.totals import utc


def transfers(log: Iterable[Transfer], campaigns: Mapping[int, str], time_zone: str = "Europe/Berlin") -> bytes:
    """transfers.csv."""
    return _file(
        transfers_csv.COLUMNS,
        (
            (
                transfer.seq,
                utc(transfer.posted_at),
                utc(transfer.occurred_at),
                transfer.verb.name.lower(),
                neutral(account_names.account_name(transfer.debit, campaigns)),
                neutral(account_names.account_name(transfer.credit, campaigns)),
                transfer.amount,
                transfer.customer or "",
                neutral(campaigns.get(transfer.campaign_no, str(transfer.campaign_no))) if transfer.campaign_no else "",
                transfer.event_key.hex() if transfer.event_key else "",
                transfer.transaction_id,
                utc(transfer.due_at) if transfer.due_at else "",
                transfer.posted_at.astimezone(ZoneInfo(time_zone)).date(),
                transfer.accounting_date,
            )
            for transfer in log
        ),
    )


def accounts(balances: Iterable[tuple[bytes, int, int]], campaigns: Mapping[int, str]) -> bytes:
    """accounts.csv."""
    rows: list[Sequence[object]] = []
    for account, debits, credits in balances:
        parts = describe_account(account)
        rows.append(
            (
                neutral(account_names.account_name(account, campaigns)),
                account_names.kind_name(parts.kind),
                account_names.class_of(parts) or "",
                parts.number if parts.owner is OwnerTag.CUSTOMER else "",
                neutral(campaigns.get(parts.number, str(parts.number))) if parts.owner is OwnerTag.CAMPAIGN else "",
                parts.number if parts.owner is OwnerTag.REDEMPTION else "",
                account_names.last_day_of(parts) or "",
                debits,
                credits,
                credits - debits,
            )
        )
    return _file(accounts_csv.COLUMNS, rows)


def _file(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
