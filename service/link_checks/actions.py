"""Checks: what we think of a link, told to the brand that signed or minted it. A customer is told nothing; nothing is stored.

A link that is honoured is described; of one that is not, the first thing that is wrong is named by a pointer into the token:
``/header/kid``, ``/claims/exp``, ``/signature``.
"""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import TYPE_CHECKING

from service.auth.principal import Principal
from service.brands.brand import Brand
from service.campaigns.queries import campaign_of_link, campaign_version
from service.code_batches.actions import find_code
from service.http.identifiers import customer_id
from service.http.problems import FieldError, Problem, invalid_field, not_found
from service.link_checks.schemas import LinkCheck, LinkState
from service.links import minting_keys, offline_links
from service.links.queries import LinkRow, destination_url, is_any_revoked
from service.links.revocation_subjects import of_campaign, of_key, of_link, of_message
from service.links.schemas import public_link_id
from service.links.store import NewLink
from service.tokens import offline as offline_tokens
from service.tokens.code import code_hash, code_in
from service.tokens.customer import CustomerTokenKind
from service.tokens.customer import verify as verify_page
from service.tokens.link import TYPE, LinkKind, LinkRefusal, LinkRefused, trimmed, type_of
from service.tokens.link import verify as verify_ours
from service.tokens.offline import key_named_by, kid_of

if TYPE_CHECKING:
    from service.services import Services

_ENDS_A_PATH = re.compile(r"[?#]")


async def check(services: Services, principal: Principal, text: str, *, now: datetime, at: datetime) -> LinkCheck | Problem:
    """What became of a link: a URL, a token or a short code. ``now`` is by the brand's clock, ``at`` by the world's."""
    brand = principal.brand
    subject = _subject_of(text)
    hosts = {services.link_hosts.host, services.link_hosts.host_of(brand)}
    try:
        if (code := code_in(subject)) is not None:
            link_id = await services.link_ids.get(code_hash(code))
            if link_id is None:
                await _refuse_code_of_a_batch(services, brand, code, at)
            return await _minted(services, brand, link_id, now)
        if (key_no := key_named_by(subject)) is not None:
            return await _signed_by_the_brand(services, brand, subject, key_no, hosts, now, at)
        return await _minted(services, brand, _id_in(subject, services, hosts, brand), now)
    except Problem as problem:
        return problem


def _subject_of(text: str) -> str:
    """The token or code in an address, as whoever follows it is served: signs behind a slash after it are cut off."""
    parts = _ENDS_A_PATH.split(text, maxsplit=1)[0].split("/")
    return trimmed(next((part for part in reversed(parts) if any(map(str.isalnum, part))), ""))


async def _refuse_code_of_a_batch(services: Services, brand: Brand, code: str, at: datetime) -> None:
    printed, _ = await find_code(services, code, at) or (None, None)
    if printed is not None and printed.brand_id == brand.brand_id:
        detail = f"is a code of the batch {printed.batch_id}, of which GET /v1/code-batches/{printed.batch_id} tells"
        raise invalid_field("", detail)


def _refuse_page_of_a_customer(token: str, services: Services, hosts: set[str], brand: Brand) -> None:
    for kind in CustomerTokenKind:
        with contextlib.suppress(LinkRefused):
            if verify_page(token, services.token_keys.links, kind=kind, hosts=hosts, now=0).brand == brand.code:
                raise invalid_field("/header/typ", f"is of a link to a customer's own page ({kind}), which earns nothing")


def _id_in(token: str, services: Services, hosts: set[str], brand: Brand) -> bytes:
    """The id of the link that a token of ours is for, also when it has expired."""
    refusal = LinkRefusal.FORGED
    for kind in LinkKind:
        try:
            return verify_ours(token, services.token_keys.links, hosts=hosts, now=0, brand=brand.code, kind=kind).link_id
        except LinkRefused as refused:
            refusal = refused.refusal if refused.refusal is not LinkRefusal.FORGED else refusal
    if refusal is LinkRefusal.FOREIGN:
        raise not_found("link")
    _refuse_page_of_a_customer(token, services, hosts, brand)
    raise invalid_field("/signature", "is not ours, or the link was changed or cut off")


async def _minted(services: Services, brand: Brand, link_id: bytes | None, now: datetime) -> LinkCheck:
    row = None if link_id is None else await services.links.get(link_id)
    if row is None or row.brand_id != brand.brand_id:
        raise not_found("link")
    return await _described(services, row, _state_of(row, row.revoked_at is not None, now), row.destination, None)


async def _signed_by_the_brand(
    services: Services, brand: Brand, token: str, key_no: int, hosts: set[str], now: datetime, at: datetime
) -> LinkCheck:
    key = await minting_keys.find(services.engine, key_no)
    if key is None or key.brand_id != brand.brand_id:
        raise invalid_field("/header/kid", "names no key that the brand has registered")
    try:
        claims = offline_tokens.claims_in(offline_tokens.payload_of(token, key.key_no, key.public_key))
    except LinkRefused:
        _refuse_header(token)
        raise invalid_field(
            "/signature", "is not of the key that the header names, or the header is not as it must be"
        ) from None
    except Problem as problem:
        raise _within("claims", problem) from None
    if (wrong := offline_links.wrong_with(claims, key, brand, hosts, at)) is not None:
        raise _within("claims", wrong)
    row = await offline_links.draft(services, brand, key, claims)
    if isinstance(row, Problem):
        raise _within("claims", row)
    stored = await services.links.get(row.link_id)
    is_revoked = await _is_revoked(services, row, stored)
    link_state = _state_of(row, is_revoked, now, is_too_late=stored is None and offline_links.is_too_late(key, at))
    destination = await destination_url(services.engine, brand.brand_id, row.destination_no)
    return await _described(services, row, link_state, destination, kid_of(key.key_no))


def _refuse_header(token: str) -> None:
    try:
        header_type = type_of(token)
    except Problem as problem:
        raise _within("header", problem) from None
    if header_type not in {"", TYPE}:
        raise invalid_field("/header/typ", f"must be {TYPE}")


async def _described(
    services: Services, row: LinkRow | NewLink, link_state: LinkState, destination: str | None, signed_by: str | None
) -> LinkCheck:
    campaign = await campaign_version(services, row.campaign_no, row.campaign_version)
    standing = await campaign_of_link(services, row.campaign_no)
    rule = None if campaign is None else campaign.rule_of_link(row.action, row.channel)
    return LinkCheck(
        state=link_state,
        link_id=public_link_id(row.link_id),
        kind=row.kind,
        mode=row.mode,
        campaign="" if campaign is None else campaign.id,
        campaign_version=row.campaign_version,
        customer=customer_id(row.customer),
        message_id=row.message_id,
        action=row.action,
        channel=row.channel,
        destination=destination,
        points=0 if rule is None else rule.points,
        campaign_paused=standing is not None and standing.paused_at is not None,
        signed_by=signed_by,
        minted_at=row.minted_at,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
    )


def _state_of(row: LinkRow | NewLink, is_revoked: bool, now: datetime, *, is_too_late: bool = False) -> LinkState:
    if is_revoked:
        return "revoked"
    return "expired" if is_too_late or row.expires_at <= now else "good"


async def _is_revoked(services: Services, row: NewLink, stored: LinkRow | None) -> bool:
    """Whether a link is revoked, or will be from when it is first followed: it is looked up with these then (``queries``)."""
    if stored is not None:
        return stored.revoked_at is not None
    subjects = [of_link(row.link_id), of_message(row.message_id), of_campaign(row.campaign_no), of_key(row.minted_by)]
    return await is_any_revoked(services.pool, row.brand_id, subjects)


def _within(part: str, problem: Problem) -> Problem:
    """The same problem, said of a part of a token."""
    errors = [FieldError(f"/{part}{error.pointer}", error.code, error.detail) for error in problem.errors]
    detail = "; ".join(f"{error.pointer}: {error.detail}" for error in errors)
    return Problem(problem.code, detail or problem.detail, errors=errors)
