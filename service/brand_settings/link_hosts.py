"""A brand's own link host: claimed by an administrator, proved by a record in the DNS.

    claim     the host is wanted; a claim blocks nobody, and links go on as before
    verify    look for the record now; who has published it has the host, alone
    wanted    the newest claim, or the host that is in use
    look      what the DNS says of a claim: found, missing, or not to be learnt now

A brand has at most two hosts here: one that is in use and one that it wants next. When that one is proved, the other goes.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.auth.audit_trail import record
from service.auth.principal import Principal
from service.brands.tables import link_host as link_hosts
from service.egress.hosts import NAME_CHARACTERS_MAX, host_of, is_address, is_loopback, is_same_place, name_and_port, place_of
from service.egress.resolving import NotThere, Resolver, ResolvingFailed
from service.http.problems import Problem, invalid_field, not_found
from service.settings import Settings

RECORD_PREFIX = "_rewards-challenge"
VALUE_PREFIX = "rewards-host-verification="
CHECKED_EVERY = timedelta(hours=24)
CHECKED_AGAIN_AFTER = timedelta(hours=1)
"""Where the DNS could not be asked, or the record was missing."""
GRACE = timedelta(hours=72)
"""From the first check that misses the record until the host lapses."""
ASKED_EVERY = timedelta(seconds=5)
"""An administrator who asks more often is told what was found last."""

State = Literal["pending", "verified", "lapsed"]
Found = Literal["found", "missing", "unknown"]

_MISSING = "the record is not there, or has another value"


class HostClaim(msgspec.Struct, frozen=True):
    """A host that a brand has claimed, and how far that is."""

    brand_id: int
    host: str
    base_url: str
    state: State
    proven_by: str | None
    challenge: str
    verified_at: datetime | None
    checked_at: datetime | None
    missing_since: datetime | None
    lapses_at: datetime | None
    last_error: str | None

    @property
    def record_name(self) -> str:
        """The name at which the DNS must have the record."""
        return f"{RECORD_PREFIX}.{name_and_port(self.host)[0]}"

    @property
    def record_value(self) -> str:
        """What the record must say."""
        return VALUE_PREFIX + self.challenge

    @property
    def needs_no_proof(self) -> bool:
        """Whether it is this machine's own, which is nobody else's to prove."""
        return is_loopback(name_and_port(self.host)[0])


async def wanted(connection: AsyncConnection, brand_id: int) -> HostClaim | None:
    """The host that the brand wants: the newest claim, or else the one that it has or had."""
    found = select(link_hosts).where(link_hosts.c.brand_id == brand_id).order_by(link_hosts.c.state == "pending").limit(2)
    rows = (await connection.execute(found)).all()
    return held_of_row(rows[-1]) if rows else None


async def find_wanted(engine: AsyncEngine, brand_id: int) -> HostClaim | None:
    """The same on a connection of its own."""
    async with engine.connect() as connection:
        return await wanted(connection, brand_id)


def check_claim(host: str, settings: Settings, *, is_test: bool) -> str | None:
    """What is wrong with a host that a brand wants, in its normal form: the service's own, or one that nobody can prove."""
    name, _ = name_and_port(host)
    if is_same_place(host, settings.own_hosts):
        return "is the address of this service, which null stands for"
    if is_loopback(name):
        is_in_use = is_test and settings.serves_this_machine_alone
        return None if is_in_use else "leads to the customer's own machine"
    if is_address(name) or "." not in name:
        return "must have a host name with a dot, as in r.shop.example"
    if len(f"{RECORD_PREFIX}.{name}") > NAME_CHARACTERS_MAX:
        return "has a host name too long to have a record of its proof"
    return None


async def claim(connection: AsyncConnection, principal: Principal, base_url: str | None) -> None:
    """Note that the brand's links shall begin with ``base_url``, which was checked; ``None``: with the service's address.

    In the caller's transaction, which holds the lock of the brand's row.
    """
    brand_id = principal.brand.brand_id
    before = await wanted(connection, brand_id)
    if (before and before.base_url) == base_url:
        return
    ours = link_hosts.c.brand_id == brand_id
    host = None if base_url is None else host_of(base_url)
    if host is None:
        await connection.execute(delete(link_hosts).where(ours))
    else:
        await connection.execute(delete(link_hosts).where(ours, link_hosts.c.host != host, link_hosts.c.state != "verified"))
        again = update(link_hosts).where(ours, link_hosts.c.host == host).values(base_url=base_url)
        if (await connection.execute(again)).rowcount == 0:
            await _insert(connection, brand_id, host, str(base_url))
    after = await wanted(connection, brand_id)
    await record(connection, principal, "link_host.claim", str(base_url or (before and before.base_url)), before, after)


async def verify(engine: AsyncEngine, resolver: Resolver, principal: Principal, settings: Settings, *, now: datetime) -> None:
    """Look for the record of the host that the brand wants, and give it the host if it is there."""
    held = await find_wanted(engine, principal.brand.brand_id)
    if held is None:
        raise not_found("link host")
    if held.needs_no_proof or (held.checked_at is not None and timedelta() <= now - held.checked_at < ASKED_EVERY):
        return
    # A host that was claimed while the service had another address may be its own now.
    why = check_claim(held.host, settings, is_test=principal.brand.mode == "test")
    # Nobody waits for the DNS with a transaction open.
    texts, why = await ask(resolver, held) if why is None else (None, why)
    found = look(held, texts)
    async with engine.begin() as connection:
        if found == "found":
            await _give(connection, principal, held, texts or [], now)
        else:
            await connection.execute(_change(held, checked_at=now, last_error=why or _MISSING))


async def ask(resolver: Resolver, held: HostClaim) -> tuple[list[str] | None, str | None]:
    """The texts at a host's name, or ``None`` and why they cannot be learnt now."""
    try:
        return await resolver.texts(held.record_name), None
    except NotThere:
        return [], _MISSING
    except ResolvingFailed as failed:
        return None, str(failed)


def look(held: HostClaim, texts: list[str] | None) -> Found:
    """What the texts at its name say of a claim."""
    if texts is None:
        return "unknown"
    return "found" if held.record_value in texts else "missing"


def checked(held: HostClaim, found: Found, why: str | None, now: datetime) -> dict[str, Any]:
    """The columns of a verified host as they are after a check. It lapses when its record is missing and its time is up.

    A DNS that cannot be asked proves nothing: the host stays, and is checked again soon.
    """
    if found == "found":
        return {
            "proven_by": "dns",
            "checked_at": now,
            "next_check_at": now + CHECKED_EVERY,
            "missing_since": None,
            "lapses_at": None,
            "last_error": None,
        }
    if found == "unknown":
        return {"checked_at": now, "next_check_at": now + CHECKED_AGAIN_AFTER, "last_error": why}
    lapses_at = held.lapses_at or now + GRACE
    return {
        "state": "lapsed" if lapses_at <= now else "verified",
        "checked_at": now,
        "next_check_at": min(now + CHECKED_EVERY, max(now + CHECKED_AGAIN_AFTER, lapses_at)),
        "missing_since": held.missing_since or now,
        "lapses_at": lapses_at,
        "last_error": _MISSING,
    }


async def note(connection: AsyncConnection, held: HostClaim, act: str, after: object) -> None:
    """Record what became of a host without anybody's key, in the caller's transaction and as its last statement."""
    entry = func.rewards.record_link_host_v1(
        held.brand_id,
        act,
        held.host,
        bindparam("before", msgspec.to_builtins(held), JSONB),
        bindparam("after", msgspec.to_builtins(after), JSONB),
    )
    await connection.execute(select(entry))


def _change(held: HostClaim, **values: Any) -> Any:
    return update(link_hosts).where(link_hosts.c.brand_id == held.brand_id, link_hosts.c.host == held.host).values(**values)


async def _insert(connection: AsyncConnection, brand_id: int, host: str, base_url: str) -> None:
    now = datetime.now(UTC)
    values: dict[str, Any] = {"state": "pending"}
    if is_loopback(name_and_port(host)[0]):
        values = {"state": "verified", "proven_by": "this_machine", "verified_at": now}
        await connection.execute(delete(link_hosts).where(link_hosts.c.brand_id == brand_id))
    new = insert(link_hosts).values(
        brand_id=brand_id,
        host=host,
        place=place_of(host),
        base_url=base_url,
        challenge=secrets.token_hex(20),
        claimed_at=now,
        next_check_at=now + CHECKED_EVERY,
        **values,
    )
    try:
        await connection.execute(new)
    except IntegrityError as error:
        if "link_host_is_one_brands" not in str(error):
            raise
        raise invalid_field("/link_base_url", "is another brand's") from None


async def _give(connection: AsyncConnection, principal: Principal, held: HostClaim, texts: list[str], now: datetime) -> None:
    """Give a host to the brand that has proved it, unless another has proved it too and was first."""
    mine = and_(link_hosts.c.brand_id == held.brand_id, link_hosts.c.host == held.host)
    if (await connection.execute(select(link_hosts.c.host).where(mine).with_for_update())).first() is None:
        # It was given up, or another was claimed, while the DNS was asked.
        return
    place = place_of(held.host)
    at_place = select(link_hosts).where(link_hosts.c.place == place, link_hosts.c.state == "verified").with_for_update()
    for row in (await connection.execute(at_place)).all():
        other = held_of_row(row)
        if other.brand_id == held.brand_id:
            continue
        if look(other, texts) == "found":
            raise Problem("link_host_taken", "Another brand has verified this host, and its record is still there.")
        lapsed = {"state": "lapsed", "checked_at": now, "last_error": "another brand has proved this host"}
        await connection.execute(_change(other, **lapsed))
        await note(connection, other, "link_host.lapse", lapsed)
    # What the brand had before makes room; its links are honoured still where they lead.
    ours = and_(link_hosts.c.brand_id == held.brand_id, link_hosts.c.host != held.host)
    await connection.execute(delete(link_hosts).where(ours))
    values = {"state": "verified", "verified_at": held.verified_at if held.state == "verified" else now}
    changed = _change(held, **checked(held, "found", None, now) | values)
    try:
        await connection.execute(changed)
    except IntegrityError as error:
        if "link_host_is_one_brands" not in str(error):
            raise
        raise Problem("link_host_taken", "Another brand has verified this host, and its record is still there.") from None
    if held.state != "verified":
        await record(connection, principal, "link_host.verify", held.host, held, await wanted(connection, held.brand_id))


def held_of_row(row: Row[Any]) -> HostClaim:
    """Make a claim of a row of the table."""
    return HostClaim(**{name: getattr(row, name) for name in HostClaim.__struct_fields__})
