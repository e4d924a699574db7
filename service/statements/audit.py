"""The auditor's view: what was posted and decided, by which rule and on whose report, and who looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ledger import HistoryEntry, Position
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.exports.account_names import account_name
from service.grants.schemas import DECIDED
from service.http.identifiers import customer_id, grant_id, key_id, person_id, position, redemption_id
from service.statements.customer import customer_of, numbers_of
from service.statements.schemas import AuditEntry, AuditLook, AuditStatement

if TYPE_CHECKING:
    from service.services import Services

_LOOKS_MAX = 100
_ABOUT = (Path(__file__).with_name("sql") / "about_customer.sql").read_text()


async def audit_statement(
    services: Services, brand: Brand, named: str, *, before: Position | None, limit: int
) -> AuditStatement:
    """Who looked at a customer, and a page of what was posted and decided for them."""
    known = await customer_of(services, brand, named)
    numbers = numbers_of(known)
    campaigns = await campaign_ids(services.engine, brand.brand_id)
    found, following = await services.ledger.history(brand.book, numbers, before=before, limit=limit)
    return AuditStatement(
        customer=customer_id(known.customer),
        looks=await _looks(services, brand, numbers),
        entries=[_entry(entry, brand, campaigns) for entry in found],
        next=None if following is None else position(following),
    )


async def _looks(services: Services, brand: Brand, numbers: Sequence[int]) -> list[AuditLook]:
    subjects = [customer_id(number) for number in numbers]
    return [
        AuditLook(
            entry=row["entry_no"],
            at=row["happened_at"],
            act=row["act"],
            call=row["call"],
            principal=None if row["api_key_id"] is None else key_id(row["api_key_id"]),
            person=None if row["person_id"] is None else person_id(row["person_id"]),
        )
        for row in await services.pool.fetch(_ABOUT, brand.brand_id, subjects, _LOOKS_MAX)
    ]


def _entry(entry: HistoryEntry, brand: Brand, campaigns: Mapping[int, str]) -> AuditEntry:
    outcome, refused_for = DECIDED[entry.outcome] if entry.outcome else (None, None)
    principal = entry.corrected_by or entry.principal
    no = entry.campaign_no
    return AuditEntry(
        seq=entry.seq,
        place=entry.place,
        at=entry.at,
        accounting_date=entry.accounting_date,
        verb=entry.verb.name.lower() if entry.verb else None,
        debit=None if entry.debit is None else account_name(entry.debit, campaigns),
        credit=None if entry.credit is None else account_name(entry.credit, campaigns),
        points=entry.amount or 0,
        transaction_id=entry.transaction_id,
        leaf_version=entry.leaf_version,
        details_hash=None if entry.details_hash is None else entry.details_hash.hex(),
        grant_id=grant_id(no or 0, entry.key) if entry.key else None,
        outcome=outcome,
        reason=entry.reason or refused_for,
        evidence=entry.grade,
        campaign=None if no is None else campaigns.get(no, str(no)),
        campaign_version=entry.campaign_version,
        rule=entry.rule,
        source=entry.source,
        principal=key_id(principal) if principal else None,
        redemption_id=None if entry.redemption is None else redemption_id(brand.book.book_id, entry.redemption),
    )
