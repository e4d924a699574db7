"""Batches of codes, for packs and print: made at once, kept as hashes, and given out as a file.

    make          a batch; the same again is the same one
    find_batch    one of the brand's
    describe      with how many of it are claimed
    file_of       its codes, the same file whenever it is asked for
    find_code     a code of a batch, by what is printed or shown
    issued_code   the code that a mistyped one was meant to be

A code follows from the batch, its serial number and a key of ours, so the file can be had again and no code is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import Integer, LargeBinary, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.brands.queries import brand_now
from service.campaigns.queries import campaign_by_id, campaign_ids, find_campaign
from service.code_batches.queries import BatchCode
from service.code_batches.schemas import CodeBatchRequest, CodeBatchResponse
from service.code_batches.tables import batch_code, code_batch
from service.http.problems import Problem, invalid_field
from service.links.destinations import allowed_destination, leads_to, number_destinations
from service.links.drafts import channel_of, end_of_life
from service.links.queries import destination_url
from service.links.revocation_subjects import of_code_batch
from service.links.tables import link_revocation
from service.tokens import rotating_code
from service.tokens.code import code_hash, code_of, look_alikes
from service.tokens.rotating_code import RotatingCode

if TYPE_CHECKING:
    from service.services import Services

_STORED_AT_ONCE = 10_000


class CodeBatch(msgspec.Struct, frozen=True):
    """A batch as it is stored."""

    batch_no: int
    brand_id: int
    id: str
    campaign_no: int
    campaign_version: int
    action: str
    channel: str
    destination_no: int
    codes: int
    control_total: bytes
    kid: str
    made_at: datetime
    expires_at: datetime
    made_by: int
    pays: Literal["first", "each"]
    rotates_every_s: int | None


async def make(
    services: Services, principal: Principal, wanted: CodeBatchRequest, *, now: datetime
) -> tuple[CodeBatchResponse, bool]:
    """Make a batch, and say whether it is new."""
    brand, engine = principal.brand, services.engine
    there = await find_batch(engine, brand.brand_id, wanted.id)
    if there is not None and await _is_asked_for(engine, brand, wanted, there):
        # Whatever has become of its campaign since.
        return await describe(services, brand, there), False
    drafted = await _draft(services, principal, wanted, now)
    if there is None:
        there = await _store(services, principal, drafted)
        if there is not None:
            return await describe(services, brand, there), True
        there = await find_batch(engine, brand.brand_id, wanted.id)
        assert there is not None
    if _terms(there) != _terms(drafted):
        raise Problem("code_batch_exists", "The brand already has a different batch of codes with this id.")
    return await describe(services, brand, there), False


async def _is_asked_for(engine: AsyncEngine, brand: Brand, wanted: CodeBatchRequest, there: CodeBatch) -> bool:
    """Whether a batch is what is asked for, in all that is said."""
    campaign = await find_campaign(engine, brand.brand_id, wanted.campaign)
    return (
        campaign is not None
        and campaign.current.campaign_no == there.campaign_no
        and wanted.channel in (None, there.channel)
        and leads_to(wanted.destination, await destination_url(engine, brand.brand_id, there.destination_no))
        and (wanted.action, wanted.codes, wanted.pays, wanted.rotates_every_s)
        == (there.action, there.codes, there.pays, there.rotates_every_s)
    )


async def find_batch(engine: AsyncEngine, brand_id: int, batch_id: str) -> CodeBatch | None:
    """The brand's batch of this id."""
    found = select(code_batch).where(code_batch.c.brand_id == brand_id, code_batch.c.id == batch_id)
    async with engine.connect() as connection:
        row = (await connection.execute(found)).mappings().one_or_none()
    return None if row is None else CodeBatch(**row)


async def list_batches(engine: AsyncEngine, brand_id: int, *, after: int, limit: int) -> Sequence[CodeBatch]:
    """A page of the brand's batches, oldest first."""
    found = (
        select(code_batch)
        .where(code_batch.c.brand_id == brand_id, code_batch.c.batch_no > after)
        .order_by(code_batch.c.batch_no)
        .limit(limit)
    )
    async with engine.connect() as connection:
        return [CodeBatch(**row) for row in (await connection.execute(found)).mappings()]


async def describe(services: Services, brand: Brand, batch: CodeBatch) -> CodeBatchResponse:
    """A batch as its makers see it."""
    engine = services.engine
    names = await campaign_ids(engine, brand.brand_id)
    claimed = select(func.count(batch_code.c.customer)).where(batch_code.c.batch_no == batch.batch_no)
    revoked = select(func.count()).where(
        link_revocation.c.brand_id == brand.brand_id, link_revocation.c.subject == of_code_batch(batch.batch_no)
    )
    async with engine.connect() as connection:
        claimed_codes: int = (await connection.execute(claimed)).scalar_one()
        is_revoked = (await connection.execute(revoked)).scalar_one() > 0
    return CodeBatchResponse(
        id=batch.id,
        campaign=names[batch.campaign_no],
        action=batch.action,
        channel=batch.channel,
        codes=batch.codes,
        pays=batch.pays,
        rotates_every_s=batch.rotates_every_s,
        screen=_url(services, brand, batch, "qr/{}.svg"),
        display=_url(services, brand, batch, "display/{}"),
        claimed=claimed_codes if batch.pays == "first" else None,
        control_total=batch.control_total.hex(),
        made_at=batch.made_at,
        expires_at=batch.expires_at,
        revoked=is_revoked,
    )


async def file_of(services: Services, brand: Brand, batch: CodeBatch) -> bytes:
    """The batch's codes as CSV: a line each, and a last one with their number and control total."""
    if batch.rotates_every_s is not None:
        raise Problem("not_found", "A rotating code is shown on a display and cannot be printed.")
    key = services.token_keys.codes.get(batch.kid)
    if key is None:
        raise Problem("not_found", "The key these codes were made with is gone, so they cannot be shown again.")
    return await asyncio.to_thread(_file, batch, key, services.link_hosts.base_url_of(brand))


async def find_code(services: Services, code: str, at: datetime) -> tuple[BatchCode, int | None] | None:
    """The code of a batch, and how many time steps ago it was shown: ``None`` if that was too long ago, or never.

    One that does not rotate is always of this step. ``at`` is by the world's clock.
    """
    whole, handle = code_hash(code), code_hash(code[: rotating_code.HANDLE_CHARACTERS])
    found = await services.batch_codes.get_many((whole, handle))
    if whole in found:
        return found[whole], 0
    shown = found.get(handle)
    if shown is None or shown.rotates_every_s is None:
        return None
    key = services.token_keys.codes.get(shown.kid)
    ago = None if key is None else rotating_code.steps_ago(code, shown.rotates_every_s, at, key)
    # A link's code may begin like a rotating one's, if only one of billions does.
    return None if ago is None and await services.link_ids.get(whole) is not None else (shown, ago)


async def issued_code(services: Services, mistyped: str, at: datetime) -> str | None:
    """The code of a batch or a link that looks like one that is none, if there is exactly one."""
    spelt = look_alikes(mistyped)[1:]
    whole = {code_hash(code): code for code in spelt}
    handles = {code_hash(handle): handle for handle in {code[: rotating_code.HANDLE_CHARACTERS] for code in spelt}}
    found = await services.batch_codes.get_many((*whole, *handles))
    links = await services.link_ids.get_many(tuple(whole))
    meant = {code for each, code in whole.items() if each in found or each in links}
    for each, handle in handles.items():
        shown = found.get(each)
        key = None if shown is None else services.token_keys.codes.get(shown.kid)
        if shown is not None and shown.rotates_every_s is not None and key is not None:
            meant |= rotating_code.claimable(handle, shown.rotates_every_s, at, key).intersection(spelt)
    return meant.pop() if len(meant) == 1 else None


def _url(services: Services, brand: Brand, batch: CodeBatch, path: str) -> str | None:
    """Where a code that rotates is shown, as long as there is the key that it is made with."""
    key = services.token_keys.codes.get(batch.kid)
    if batch.rotates_every_s is None or key is None:
        return None
    rotating = RotatingCode(rotating_code.handle_of(batch.brand_id, batch.id, key), batch.rotates_every_s, batch.kid)
    name = rotating_code.seal_name(rotating, services.token_keys.rotating_codes)
    return f"{services.link_hosts.base_url_of(brand)}/{path.format(name)}"


def _file(batch: CodeBatch, key: bytes, base_url: str) -> bytes:
    codes = _codes(batch.brand_id, batch.id, batch.codes, key)
    lines = [f"{serial},{code},{base_url}/{code}" for serial, code in enumerate(codes, start=1)]
    return "\r\n".join(["serial,code,url", *lines, f"total,{len(codes)},{_control_total(codes).hex()}", ""]).encode()


async def _draft(services: Services, principal: Principal, wanted: CodeBatchRequest, now: datetime) -> CodeBatch:
    """The batch that is asked for. Raises the ``Problem`` of what is wrong with it."""
    brand = await brand_now(services.engine, principal.brand)
    campaign = await campaign_by_id(services, brand, wanted.campaign, now=True)
    if campaign is None or campaign.ends_at <= now:
        raise invalid_field("/campaign", "the brand has no such campaign that still pays", code="unknown_campaign")
    channel = channel_of(wanted.action, wanted.channel, campaign)
    expires_at = end_of_life(wanted.expires_at, campaign, now)
    url = None if wanted.destination is None else allowed_destination(wanted.destination, brand)
    for each in (channel, expires_at, url):
        if isinstance(each, Problem):
            raise each
    assert not isinstance(channel, Problem)
    assert not isinstance(expires_at, Problem)
    assert not isinstance(url, Problem)
    if wanted.rotates_every_s is not None and (wanted.pays != "each" or wanted.codes != 1):
        raise invalid_field("/rotates_every_s", "is only for a single code that pays each")
    keys = services.token_keys
    codes = await asyncio.to_thread(
        _codes,
        brand.brand_id,
        wanted.id,
        wanted.codes,
        keys.newest_code_key,
        wanted.rotates_every_s is not None,
    )
    return CodeBatch(
        batch_no=0,
        brand_id=brand.brand_id,
        id=wanted.id,
        campaign_no=campaign.campaign_no,
        campaign_version=campaign.version,
        action=wanted.action,
        channel=channel,
        destination_no=0 if url is None else (await number_destinations(services.engine, brand, {url}))[url],
        codes=wanted.codes,
        control_total=_control_total(codes),
        kid=keys.links.kid,
        made_at=now,
        expires_at=expires_at,
        made_by=principal.api_key_id,
        pays=wanted.pays,
        rotates_every_s=wanted.rotates_every_s,
    )


def _terms(batch: CodeBatch) -> tuple[object, ...]:
    """What makes two batches of one id the same. When they expire may have followed from when they were asked for."""
    return (
        batch.campaign_no,
        batch.action,
        batch.channel,
        batch.destination_no,
        batch.codes,
        batch.pays,
        batch.rotates_every_s,
    )


async def _store(services: Services, principal: Principal, drafted: CodeBatch) -> CodeBatch | None:
    """Store a batch and the hashes of its codes in one transaction; ``None`` if there is one of its id by now."""
    key = services.token_keys.codes[drafted.kid]
    hashes = await asyncio.to_thread(_hashes, drafted, key)
    columns = msgspec.structs.asdict(drafted)
    del columns["batch_no"]
    engine = services.engine
    async with engine.begin() as connection:
        stored = await connection.execute(
            insert(code_batch).values(columns).on_conflict_do_nothing().returning(code_batch.c.batch_no)
        )
        batch_no = stored.scalar_one_or_none()
        if batch_no is None:
            return None
        for start in range(0, len(hashes), _STORED_AT_ONCE):
            await _store_codes(connection, batch_no, start + 1, hashes[start : start + _STORED_AT_ONCE])
        await record(connection, principal, "code_batch.make", drafted.id, after={"codes": drafted.codes})
    return msgspec.structs.replace(drafted, batch_no=batch_no)


async def _store_codes(connection: AsyncConnection, batch_no: int, first: int, hashes: Sequence[bytes]) -> None:
    await connection.execute(
        insert(batch_code).from_select(
            ["batch_no", "code_hash", "serial"],
            select(
                literal(batch_no),
                func.unnest(bindparam("hashes", type_=ARRAY(LargeBinary))),
                func.unnest(bindparam("serials", type_=ARRAY(Integer))),
            ),
        ),
        {"hashes": hashes, "serials": list(range(first, first + len(hashes)))},
    )


def _codes(brand_id: int, batch_id: str, count: int, key: bytes, rotates: bool = False) -> list[str]:
    """What is printed; or what stays of a code that rotates."""
    if rotates:
        return [rotating_code.handle_of(brand_id, batch_id, key)]
    subject = b"batch %d %s " % (brand_id, batch_id.encode())
    return [code_of(subject + b"%d" % serial, key) for serial in range(1, count + 1)]


def _hashes(batch: CodeBatch, key: bytes) -> list[bytes]:
    return [code_hash(code) for code in _codes(batch.brand_id, batch.id, batch.codes, key, batch.rotates_every_s is not None)]


def _control_total(codes: Sequence[str]) -> bytes:
    return hashlib.sha256("".join(f"{code}\n" for code in codes).encode()).digest()
