"""Devices as they are enrolled.

enrol    a key of a customer's; the same again is the same device
revoke   for good
show     devices of a customer
find     the device that signed, with what it may
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from sqlalchemy import exists, func, literal, select

from ledger import Grade
from service.app_receipts.schemas import AppDeviceRequest, AppDeviceResponse
from service.app_receipts.signatures import algorithm_of, public_key_of
from service.app_receipts.tables import app_device as devices
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.auth.tables import api_key
from service.brands.brand import Brand
from service.brands.calendars import learn
from service.brands.queries import brand_columns, brand_of_row, brands_with_value
from service.brands.tables import brand as brands
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.http.identifiers import customer_id
from service.http.problems import CODES, Problem, invalid_field, not_found
from service.links.tables import link_revocation

if TYPE_CHECKING:
    from service.services import Services

DEVICES_MAX = 10
"""Devices of a customer that are not revoked."""
ID_BYTES = 12
_PREFIX = "dev_"
REPORTED_BY_AN_APP = "app"

_SQL = Path(__file__).with_name("sql")
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('app device', $1))"
_BY_KEY = (_SQL / "device_by_key.sql").read_text()
_COUNT = "SELECT count(*) FROM rewards.app_device WHERE customer = ANY ($1::bigint[]) AND revoked_at IS NULL"
_ENROL = (_SQL / "enrol_device.sql").read_text()
_REVOKE = (_SQL / "revoke_device.sql").read_text()
_OF_CUSTOMER = (_SQL / "devices_of_customer.sql").read_text()


class Enrolled(msgspec.Struct, frozen=True):
    """A device as it is stored."""

    device_no: int
    device_id: bytes
    customer: int
    public_key: bytes
    daily_points_max: int | None
    enrolled_at: datetime
    revoked_at: datetime | None
    day: date | None
    points: int

    def shown(self, today: date) -> AppDeviceResponse:
        """The device on the wire."""
        return AppDeviceResponse(
            device=device_name(self.device_id),
            customer=customer_id(self.customer),
            algorithm="ed25519" if algorithm_of(self.public_key) == "ed25519" else "es256",
            daily_points_max=self.daily_points_max,
            points_today=self.points if self.day == today else 0,
            enrolled_at=self.enrolled_at,
            revoked_at=self.revoked_at,
        )


class Device(msgspec.Struct, frozen=True):
    """A device that signs. ``is_revoked``: it is, or the brand took back what the key made that enrolled it."""

    device_no: int
    name: str
    brand: Brand
    customer: int
    public_key: bytes
    daily_points_max: int | None
    is_revoked: bool
    api_key_id: int
    key_name: str
    key_evidence: Grade
    key_lateness: timedelta

    @property
    def principal(self) -> Principal:
        """Who reports what it signs: never surer than ``B``, see decision 75."""
        return Principal(
            api_key_id=self.api_key_id,
            name=self.key_name,
            brand=self.brand,
            scopes=frozenset(),
            max_evidence=max(Grade.B, self.key_evidence),
            lateness=self.key_lateness,
            reports_as=REPORTED_BY_AN_APP,
        )


def device_name(device_id: bytes) -> str:
    """The public id of a device."""
    return f"{_PREFIX}{device_id.hex()}"


def _id_of(name: str) -> bytes:
    digits = name.removeprefix(_PREFIX)
    is_one = name.startswith(_PREFIX) and len(digits) == 2 * ID_BYTES and set(digits) <= set("0123456789abcdef")
    return bytes.fromhex(digits) if is_one else b""


async def enrol(services: Services, principal: Principal, wanted: AppDeviceRequest) -> tuple[AppDeviceResponse, bool]:
    """Enrol a device; says whether it is new."""
    if principal.quota_per_minute is not None:
        raise Problem("beyond_this_key", "This key has a quota, and what a device reports would not count towards it.")
    public_key = public_key_of(wanted.public_key)
    if public_key is None:
        raise invalid_field("/public_key", "is no public key of P-256 or Ed25519")
    brand, may_attach = principal.brand, Scope.CUSTOMERS_WRITE in principal.scopes
    known = await customers.resolve_one(services, brand, wanted.customer, may_attach=may_attach)
    if isinstance(known, Problem):
        raise known
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, known.customer)
        new = await _stored(connection, principal, known, public_key, wanted.daily_points_max)
        row = await connection.fetchrow(_BY_KEY, brand.brand_id, public_key)
    assert row is not None
    enrolled = Enrolled(*row)
    if enrolled.customer not in _numbers(known) or enrolled.revoked_at is not None:
        raise Problem("device_taken", CODES["device_taken"].meaning)
    return enrolled.shown(await _today(services, brand)), new


async def _stored(
    connection: asyncpg.pool.PoolConnectionProxy[Any],
    principal: Principal,
    known: Customer,
    public_key: bytes,
    daily_points_max: int | None,
) -> bool:
    """Store a device, unless its key is stored; says whether it was not."""
    brand_id = principal.brand.brand_id
    if await connection.fetchrow(_BY_KEY, brand_id, public_key) is not None:
        return False
    if await connection.fetchval(_COUNT, list(_numbers(known))) >= DEVICES_MAX:
        raise Problem("too_many_devices", CODES["too_many_devices"].meaning)
    values = (os.urandom(ID_BYTES), brand_id, known.named, public_key, daily_points_max, principal.api_key_id)
    # Somebody else's phone cannot have the key; if it has, it was first.
    return await connection.fetchval(_ENROL, *values) is not None


async def revoke(services: Services, principal: Principal, name: str) -> AppDeviceResponse:
    """Revoke a device."""
    row = await services.pool.fetchrow(_REVOKE, principal.brand.brand_id, _id_of(name))
    if row is None:
        raise not_found("device")
    return Enrolled(*row).shown(await _today(services, principal.brand))


async def show(services: Services, brand: Brand, customer: str, *, after: int, limit: int) -> Sequence[Enrolled]:
    """Devices of a customer in the order in which they were enrolled, also those that are revoked."""
    known = await customers.find(services, brand, CustomerRef(id=customer), now=True)
    if known is None:
        raise not_found("customer")
    rows = await services.pool.fetch(_OF_CUSTOMER, brand.brand_id, list(_numbers(known)), after, limit)
    return [Enrolled(*row) for row in rows]


async def find(services: Services, name: str) -> Device | None:
    """The device of this name."""
    async with services.engine.connect() as connection:
        row = (await connection.execute(_selected.where(devices.c.device_id == _id_of(name)))).first()
        if row is None:
            return None
        await learn(connection, row.time_zone)
    return Device(
        device_no=row.device_no,
        name=name,
        brand=brand_of_row(row),
        customer=row.customer,
        public_key=row.public_key,
        daily_points_max=row.daily_points_max,
        is_revoked=row.device_revoked_at is not None or row.is_taken_back,
        api_key_id=row.enrolled_by,
        key_name=row.key_name,
        key_evidence=Grade(row.max_evidence),
        key_lateness=timedelta(hours=row.lateness_hours),
    )


def _numbers(known: Customer) -> tuple[int, ...]:
    return known.customer, *known.former


async def _today(services: Services, brand: Brand) -> date:
    return brand.calendar.day(await services.clocks.now(brand))


_selected = (
    select(
        *(devices.c[name] for name in ("device_no", "customer", "public_key", "daily_points_max", "enrolled_by")),
        devices.c.revoked_at.label("device_revoked_at"),
        exists()
        .where(
            link_revocation.c.brand_id == devices.c.brand_id,
            link_revocation.c.subject == func.concat(literal("key "), devices.c.enrolled_by),
        )
        .label("is_taken_back"),
        api_key.c.name.label("key_name"),
        api_key.c.max_evidence,
        api_key.c.lateness_hours,
        *brand_columns,
    )
    .select_from(devices)
    .join(api_key, api_key.c.api_key_id == devices.c.enrolled_by)
    .join(brands_with_value, brands.c.brand_id == devices.c.brand_id)
)
