"""The wire of ``/v1/meta``, ``/v1/keys`` and ``/v1/audit-trail``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.auth.actions import LATENESS_HOURS_MAX, QUOTA_MAX, KeyRecord
from service.auth.audit_trail import Entry
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.bodies import Body
from service.brands.brand import Mode
from service.identifiers import key_id
from service.plain_words import NO_CONTROL_CHARACTERS


class MetaBrand(msgspec.Struct, frozen=True):
    """The brand that an API key belongs to."""

    code: str
    name: str
    mode: Mode
    points_code: str
    points_name: str
    currency: str
    time_zone: str


class MetaResponse(msgspec.Struct, frozen=True):
    """Who you are here.

    ``max_evidence`` is the strongest grade your reports may claim, ``lateness_hours`` how late they may come and still count
    when they happened.
    """

    version: str
    brand: MetaBrand
    mode: Mode
    key_name: str
    scopes: list[str]
    max_evidence: str
    lateness_hours: int

    @classmethod
    def of(cls, principal: Principal, version: str) -> MetaResponse:
        """Describe the caller."""
        brand = principal.brand
        return cls(
            version=version,
            brand=MetaBrand(
                code=brand.code,
                name=brand.name,
                mode=brand.mode,
                points_code=brand.points_code,
                points_name=brand.points_name,
                currency=brand.currency,
                time_zone=brand.time_zone,
            ),
            mode=brand.mode,
            key_name=principal.name,
            scopes=sorted(principal.scopes),
            max_evidence=principal.max_evidence,
            lateness_hours=principal.lateness // timedelta(hours=1),
        )


KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_CONTROL_CHARACTERS)]
Quota = Annotated[int, msgspec.Meta(ge=1, le=QUOTA_MAX)]
LatenessHours = Annotated[int, msgspec.Meta(ge=0, le=LATENESS_HOURS_MAX)]


class KeyRequest(Body, frozen=True):
    """A new key. It never gets what the key that asks does not hold: no other scope, no stronger evidence, no longer life, no
    larger quota, no more lateness. `expires_at`, `quota_per_minute` (in items) and `lateness_hours` (how late its reports may
    come and still count when they happened) are the asking key's own unless given."""

    name: KeyName
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    max_evidence: Literal["A", "B", "C", "D"] = "C"
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    quota_per_minute: Quota | None = None
    lateness_hours: LatenessHours | None = None

    example: ClassVar[dict[str, Any]] = {
        "name": "finance, from 2027",
        "scopes": ["ledger:read", "exports:write"],
        "expires_at": "2036-12-31T23:00:00Z",
        "quota_per_minute": 6000,
    }


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. `prefix` is how its text begins; `last_used_at` is exact to about a minute."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    max_evidence: str
    lateness_hours: int
    quota_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, record: KeyRecord) -> KeyResponse:
        """Describe a key."""
        return cls(**_shown(record))


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """A key that was just made. `key` is its text: this is the only time that it is shown."""

    key: str

    @classmethod
    def made(cls, record: KeyRecord, key: str) -> NewKeyResponse:
        """Describe a new key."""
        return cls(key=key, **_shown(record))


def _shown(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": key_id(record.api_key_id),
        "name": record.name,
        "prefix": record.prefix,
        "scopes": list(record.scopes),
        "max_evidence": record.max_evidence,
        "lateness_hours": record.lateness_hours,
        "quota_per_minute": record.quota_per_minute,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
    }


class AuditEntryResponse(msgspec.Struct, frozen=True):
    """An administrative act. `principal` is `operator`, or the id of the key that did it.

    What `before` and `after` hold depends on the act.
    """

    entry: int
    happened_at: datetime
    principal: str
    key_name: str | None
    act: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @classmethod
    def of(cls, entry: Entry) -> AuditEntryResponse:
        """Describe an entry."""
        return cls(
            entry=entry.entry_no,
            happened_at=entry.happened_at,
            principal="operator" if entry.api_key_id is None else key_id(entry.api_key_id),
            key_name=entry.key_name,
            act=entry.act,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
        )
