"""Points that a rule holds back until somebody has looked: approved of (mature) or rejected, once and for good.

Who has refused the channel since, or all rewards, is not paid: approving answers with a rejection. Who has complained since is
not paid either, whatever they said afterwards. Who decided is in the audit
trail, written before the book is: an approval without its entry cannot be.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ledger import Event, GrantOutcome, Ledger, Settlement, SettleOutcome
from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import campaign_version
from service.consents.complaints import complained_since
from service.customers import actions as customers
from service.customers.opt_outs import has_refused
from service.grants.windows import last_day
from service.http.identifiers import parse_grant_id
from service.http.problems import Problem, not_found

if TYPE_CHECKING:
    from service.services import Services


async def mature(services: Services, principal: Principal, grant_id: str) -> tuple[Event, bool]:
    """Pay what was held back; the flag says that it had been paid before. The points last as if they were earned now.

    What its customer refuses now, or has complained about since, is rejected instead.
    """
    ledger = services.ledger
    brand = principal.brand
    event = await _find(ledger, brand, grant_id)
    if event.outcome is GrantOutcome.HELD_BACK and (reason := await _stopped_by(services, brand, event)):
        return await reject(services, principal, grant_id, reason=reason)
    campaign = await campaign_version(services, event.campaign_no, event.campaign_version)
    if campaign is None:
        raise not_found("grant")
    today = brand.calendar.day(await services.clocks.now(brand))
    expires_on = last_day(today, campaign.expires_after_months)
    await _record(services, principal, event, "grant.mature", grant_id)
    settlement = await ledger.mature(brand.book, event.campaign_no, event.key, expires_on=expires_on)
    return await _settled(ledger, brand, event, settlement)


async def reject(services: Services, principal: Principal, grant_id: str, *, reason: str | None = None) -> tuple[Event, bool]:
    """Give what was held back to its budget again, and free the caps; the flag says that it had been rejected before."""
    ledger = services.ledger
    brand = principal.brand
    event = await _find(ledger, brand, grant_id)
    await _record(services, principal, event, "grant.reject", grant_id, reason=reason)
    return await _settled(ledger, brand, event, await ledger.reject(brand.book, event.campaign_no, event.key))


async def _record(
    services: Services, principal: Principal, event: Event, act: str, grant_id: str, *, reason: str | None = None
) -> None:
    """Record who decides, once for each key. What is settled already is not decided by anybody."""
    if event.outcome is not GrantOutcome.HELD_BACK:
        return
    request = hashlib.sha256(f"{act} {grant_id} {principal.api_key_id}".encode()).digest()
    after = None if reason is None else {"reason": reason}
    async with services.engine.begin() as connection:
        await record(connection, principal, act, grant_id, after=after, request=request)


async def _stopped_by(services: Services, brand: Brand, event: Event) -> str | None:
    known = await customers.by_number(services, brand, event.customer)
    if complaint := await complained_since(services, known, event):
        return complaint
    return "consent_refused" if has_refused(known.refused, event.channel, await services.clocks.now(brand)) else None


async def _find(ledger: Ledger, brand: Brand, grant_id: str) -> Event:
    read = parse_grant_id(grant_id)
    event = None if read is None else await ledger.event(brand.book, *read)
    if event is None:
        raise not_found("grant")
    return event


async def _settled(ledger: Ledger, brand: Brand, event: Event, settlement: Settlement) -> tuple[Event, bool]:
    now = await ledger.event(brand.book, event.campaign_no, event.key)
    if now is None or settlement.outcome is SettleOutcome.NOT_FOUND:
        raise not_found("grant")
    if settlement.outcome is SettleOutcome.NOT_HELD_BACK:
        if now.outcome is GrantOutcome.REJECTED:
            raise Problem("already_settled", "The points were already rejected.")
        if now.outcome is GrantOutcome.GRANTED and now.due_at is not None:
            raise Problem("already_settled", "The points were already approved.")
        raise Problem("not_held_back", "Nothing is held back for this grant.")
    return now, settlement.replayed
