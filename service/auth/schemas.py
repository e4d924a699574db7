"""The wire of ``/v1/meta``, ``/v1/keys`` and ``/v1/audit-trail``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.auth.actions import LATENESS_HOURS_MAX, QUOTA_MAX, KeyRecord
from service.auth.audit_trail import Entry
from service.auth.principal import Principal
from service.auth.roles import Role, scopes_of
from service.auth.scopes import Scope
from service.brands.brand import Mode
from service.http.bodies import Body
from service.http.identifiers import key_id, person_id
from service.http.validation_messages import NO_CONTROL_CHARACTERS


class MetaBrand(msgspec.Struct, frozen=True):
    """The brand that an API key belongs to."""

    code: str
    """The brand's short name in code and on the command line."""
    name: str
    """The brand's name as customers see it."""
    mode: Mode
    """`live` or `test`; cannot change. Only a test brand has a clock that can be advanced."""
    points_code: str
    """The code of the points in the books and in exports, such as `BEANS`."""
    points_name: str
    """The name of the points as customers see it, such as "Beans"."""
    currency: str
    """The brand's currency: three letters of ISO 4217."""
    time_zone: str
    """The IANA time zone of the brand's days, weeks and months, such as `Europe/Berlin`."""


class MetaResponse(msgspec.Struct, frozen=True):
    """The calling API key and its brand."""

    version: str
    """The version of this service."""
    brand: MetaBrand
    """The brand the key belongs to. Every answer concerns this brand alone."""
    mode: Mode
    """The brand's mode, `live` or `test`."""
    key_name: str
    """The name the key was given when it was created."""
    person: str | None
    """The id of the person the key belongs to; null: it belongs to a system."""
    scopes: list[str]
    """The key's scopes, in alphabetical order."""
    max_evidence: str
    """The strongest evidence grade the key's reports may claim, from `A` (strongest) to `D`."""
    lateness_hours: int
    """How many hours late a report may arrive and still count at the time the event happened: 0 to 72."""

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
            person=None if principal.person_id is None else person_id(principal.person_id),
            scopes=sorted(principal.scopes),
            max_evidence=principal.max_evidence,
            lateness_hours=principal.lateness // timedelta(hours=1),
        )


KeyName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_CONTROL_CHARACTERS)]
Quota = Annotated[int, msgspec.Meta(ge=1, le=QUOTA_MAX)]
LatenessHours = Annotated[int, msgspec.Meta(ge=0, le=LATENESS_HOURS_MAX)]


class KeyRequest(Body, frozen=True):
    """A new key. It cannot exceed the calling key: no extra scope, no stronger evidence, no later expiry, no larger quota,
    no more lateness."""

    name: KeyName
    """What the key is for, as shown in lists and the audit trail. No control characters."""
    scopes: Annotated[list[Scope], msgspec.Meta(max_length=len(Scope))] = msgspec.field(default_factory=list[Scope])
    """Scopes, each held by the calling key, and all within one duty: minting (`grants:write`, `links:write`,
    `sources:write`), funding (`funds:write`) or approving (`grants:approve`, `approvals:write`). Required without a `role`."""
    role: Role | None = None
    """A role, for all scopes it stands for, beside `scopes`; the calling key must hold each."""
    max_evidence: Literal["A", "B", "C", "D"] = "C"
    """The strongest evidence grade the key's reports may claim, from `A` (strongest) to `D`; no stronger than the calling
    key's."""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When the key stops working, with a time zone; later than now. Null: when the calling key expires."""
    quota_per_minute: Quota | None = None
    """Items the key may send per minute. A request is one item; a batch counts each of its items. They count towards the
    calling key's quota too. Null: the calling key's quota."""
    lateness_hours: LatenessHours | None = None
    """How many hours late a report may arrive and still count at the time the event happened: 0 to 72. Null: the calling
    key's."""

    example: ClassVar[dict[str, Any]] = {
        "name": "finance, from 2027",
        "scopes": ["ledger:read", "exports:write"],
        "expires_at": "2036-12-31T23:00:00Z",
        "quota_per_minute": 6000,
    }

    @property
    def all_scopes(self) -> list[Scope]:
        """What it asks for, by name and by role."""
        return sorted({*self.scopes, *scopes_of([] if self.role is None else [self.role])})


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its secret."""

    id: str
    """The key's id, `key_` and a number. Not a secret."""
    name: str
    """What the key is for, as given when it was created."""
    prefix: str
    """The first characters of the key, to recognise it by."""
    scopes: list[str]
    """What the key may do."""
    max_evidence: str
    """The strongest evidence grade the key's reports may claim, from `A` (strongest) to `D`."""
    lateness_hours: int
    """How many hours late a report may arrive and still count at the time the event happened: 0 to 72."""
    quota_per_minute: int | None
    """Items it may send per minute; null: no limit."""
    created_at: datetime
    """When it was created."""
    expires_at: datetime | None
    """When it stops working; null: never."""
    revoked_at: datetime | None
    """When it was revoked; null if it was not."""
    last_used_at: datetime | None
    """When it was last used, accurate to about a minute; null: never."""
    made_by: str | None
    """The id of the key that created it; null: the operator did, or the person enrolled with it."""
    person: str | None
    """The id of the person it belongs to; null: it belongs to a system."""

    @classmethod
    def of(cls, record: KeyRecord) -> KeyResponse:
        """Describe a key."""
        return cls(**_shown(record))


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """A key that was just created."""

    key: str
    """The key itself, for `Authorization: Bearer`. It is shown only here."""

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
        "made_by": None if record.made_by is None else key_id(record.made_by),
        "person": None if record.person_id is None else person_id(record.person_id),
    }


class AuditEntryResponse(msgspec.Struct, frozen=True):
    """One administrative act."""

    entry: int
    """The entry's number. Later entries have larger numbers."""
    happened_at: datetime
    """When it was done."""
    principal: str
    """Who did it: `operator` for the command line, otherwise the id of the key."""
    key_name: str | None
    """The name of that key; null for the operator."""
    person: str | None
    """The id of the person that key belongs to; null for a system, and for the operator."""
    act: str
    """What was done, such as `campaign.change` or `links.revoke`."""
    subject: str
    """What it was done to: the id or name of a campaign, key, customer or brand."""
    before: dict[str, Any] | None
    """The subject before the act; fields depend on the act. Null if the act has no before."""
    after: dict[str, Any] | None
    """The subject after the act; fields depend on the act. Null if the act has no after."""

    @classmethod
    def of(cls, entry: Entry) -> AuditEntryResponse:
        """Describe an entry."""
        return cls(
            entry=entry.entry_no,
            happened_at=entry.happened_at,
            principal="operator" if entry.api_key_id is None else key_id(entry.api_key_id),
            key_name=entry.key_name,
            person=None if entry.person_id is None else person_id(entry.person_id),
            act=entry.act,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
        )
