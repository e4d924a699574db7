"""The wire of ``/v1/meta``, ``/v1/keys`` and ``/v1/audit-trail``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.auth.actions import LATENESS_HOURS_MAX, QUOTA_MAX, KeyRecord
from service.auth.audit_trail import Entry
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Mode
from service.http.bodies import Body
from service.http.identifiers import key_id
from service.http.validation_messages import NO_CONTROL_CHARACTERS


class MetaBrand(msgspec.Struct, frozen=True):
    """The brand that an API key belongs to."""

    code: str
    """The brand's short name in code and on the command line."""
    name: str
    """The brand's name as customers see it."""
    mode: Mode
    """`live` or `test`; fixed for ever. Only a test brand has a clock that can be moved."""
    points_code: str
    """The code of the points as the books and exports name them, such as `BEANS`."""
    points_name: str
    """What the points are called in front of customers, such as "Beans"."""
    currency: str
    """The currency of the brand's money values: three letters of ISO 4217."""
    time_zone: str
    """The IANA time zone of the brand's days, weeks and months, such as `Europe/Berlin`."""


class MetaResponse(msgspec.Struct, frozen=True):
    """Who you are here.

    ``max_evidence`` is the strongest grade your reports may claim, ``lateness_hours`` how late they may come and still count
    when they happened.
    """

    version: str
    """The version of this service."""
    brand: MetaBrand
    """The brand that the key belongs to. Every answer is about this brand alone."""
    mode: Mode
    """The brand's mode, `live` or `test`."""
    key_name: str
    """The name that the key was given when it was made."""
    scopes: list[str]
    """What the key may do, in alphabetical order."""
    max_evidence: str
    """The strongest grade of evidence that the key's reports may claim: `A` (strongest) to `D`."""
    lateness_hours: int
    """How many hours late the key's reports may come and still count when they happened: 0 to 72."""

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
    """What the key is for, as lists and the audit trail show it. No control characters."""
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    """What the key may do: at least one scope, none that the asking key lacks, and none of two duties: minting (`grants:write`,
    `links:write`), funding (`funds:write`), approving (`grants:approve`)."""
    max_evidence: Literal["A", "B", "C", "D"] = "C"
    """The strongest grade that the key's reports may claim, `A` (strongest) to `D`; no stronger than the asking key's."""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """From when on the key is refused: later than now, with a time zone. Null: when the asking key expires."""
    quota_per_minute: Quota | None = None
    """How many items the key may send in a minute. A request is one item, a batch as many as it has. They count against the
    asking key's quota, too. Null: the asking key's quota."""
    lateness_hours: LatenessHours | None = None
    """How many hours late its reports may come and still count when they happened: 0 to 72. Null: the asking key's."""

    example: ClassVar[dict[str, Any]] = {
        "name": "finance, from 2027",
        "scopes": ["ledger:read", "exports:write"],
        "expires_at": "2036-12-31T23:00:00Z",
        "quota_per_minute": 6000,
    }


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. `prefix` is how its text begins; `last_used_at` is exact to about a minute."""

    id: str
    """The key's id, `key_` and a number. It is no secret."""
    name: str
    """What the key is for, as whoever made it says."""
    prefix: str
    """How the key's text begins, to recognise it by."""
    scopes: list[str]
    """What the key may do."""
    max_evidence: str
    """The strongest grade that the key's reports may claim: `A` (strongest) to `D`."""
    lateness_hours: int
    """How many hours late its reports may come and still count when they happened: 0 to 72."""
    quota_per_minute: int | None
    """How many items it may send in a minute; null: no limit."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """From when on it is refused; null: never."""
    revoked_at: datetime | None
    """When it was revoked; null while it is good."""
    last_used_at: datetime | None
    """When it was last used, to about a minute; null: never."""

    @classmethod
    def of(cls, record: KeyRecord) -> KeyResponse:
        """Describe a key."""
        return cls(**_shown(record))


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """A key that was just made. `key` is its text: this is the only time that it is shown."""

    key: str
    """The key's text, for `Authorization: Bearer`. This is the only time that it is shown."""

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
    """The entry's number; later entries have larger numbers."""
    happened_at: datetime
    """When it was done."""
    principal: str
    """Who did it: `operator` for the command line, else the id of the key."""
    key_name: str | None
    """The name of that key; null for the operator."""
    act: str
    """What was done, such as `campaign.change` or `links.revoke`."""
    subject: str
    """What it was done to: the id or name of a campaign, key, customer or brand."""
    before: dict[str, Any] | None
    """How the subject was before; its fields depend on the act. Null where the act has no before."""
    after: dict[str, Any] | None
    """How it was afterwards; null where the act has no after."""

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
