"""Sources on the wire. A secret comes in and never goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http.bodies import Body, Identifier, Points
from service.http.identifiers import key_id
from service.http.validation_messages import NO_CONTROL_CHARACTERS
from service.ingest.meanings import MatchedBy
from service.ingest.outcomes import EventOutcome, Outcome
from service.ingest.sources import Source

TrustName = Literal["signed_body", "signed_partial", "shared_secret", "ip_only", "none"]

SourceName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_CONTROL_CHARACTERS)]
ProviderName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}$(?!\\n)")]
SecretName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}$(?!\\n)")]
SecretValues = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]], msgspec.Meta(max_length=8)]
SourceSecrets = Annotated[dict[SecretName, SecretValues], msgspec.Meta(max_length=8)]
PublicUrl = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
Shape = Annotated[dict[str, Any], msgspec.Meta(max_length=10)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=8_760)]

SILENT_AFTER_HOURS = 24


class SourceRequest(Body, frozen=True):
    """A source: a messaging provider that reports what customers do with your messages."""

    provider: ProviderName
    """Who sends: `sendgrid`, `standard_webhooks`, ... `docs/ingest.md` lists all."""
    name: SourceName
    """What you call it, as shown in lists and the audit trail. No control characters."""
    secrets: SourceSecrets = msgspec.field(default_factory=dict[str, list[str]])
    """What the provider's requests are checked with, by the name that `docs/ingest.md` gives it, such as
    `{"verification_key": ["MFkw..."]}`. Of several values any verifies, so that one can be replaced. They are stored encrypted
    and are in no answer."""
    public_url: PublicUrl | None = None
    """The URL that the provider sends to, if it is not `ingest_url` as this service would have it: some signatures cover it.
    Absent: this service's address."""
    trust: TrustName | None = None
    """How far its requests can be trusted. Absent: as far as the provider's signature allows, and never further. `none` takes
    requests that nothing proves; they count as evidence of grade `D`."""
    shape: Shape | None = None
    """Of `signed_json` alone: what your JSON looks like and how you sign it, as `docs/providers.md` describes. Absent: our own
    shape."""
    campaign: Identifier | None = None
    """The campaign that events count for which name none. Absent: such events earn nothing."""
    daily_points_max: Points | None = None
    """The most points that it may earn customers on one business day. Absent: no limit."""
    silent_after_hours: Hours | None = SILENT_AFTER_HOURS
    """How many hours without a verified request make its `state` `silent`. Null: never."""

    example: ClassVar[dict[str, Any]] = {
        "provider": "sendgrid",
        "name": "newsletter",
        "secrets": {
            "verification_key": [
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
            ]
        },
        "campaign": "hello-again",
    }


class SourcePatch(Body, frozen=True):
    """A change of a source (JSON merge patch, RFC 7396): absent fields stay, null clears a field that can be null.

    A change takes the source over: from then on it reports in the name of the calling key.
    """

    name: SourceName | msgspec.UnsetType = msgspec.UNSET
    """What you call it."""
    secrets: dict[SecretName, SecretValues | None] | msgspec.UnsetType = msgspec.UNSET
    """Secrets by name; what is named is replaced, null removes it. To replace one, first send the new and the old value, then
    the new one alone."""
    public_url: PublicUrl | msgspec.UnsetType | None = msgspec.UNSET
    """The URL that the provider sends to. Null: this service's address."""
    trust: TrustName | msgspec.UnsetType | None = msgspec.UNSET
    """How far its requests can be trusted. Null: as far as the provider's signature allows."""
    shape: Shape | msgspec.UnsetType | None = msgspec.UNSET
    """Of `signed_json` alone: what your JSON looks like; it is replaced whole. Null: our own shape."""
    campaign: Identifier | msgspec.UnsetType | None = msgspec.UNSET
    """The campaign that events count for which name none. Null: such events earn nothing."""
    daily_points_max: Points | msgspec.UnsetType | None = msgspec.UNSET
    """The most points that it may earn customers on one business day. Null: no limit."""
    silent_after_hours: Hours | msgspec.UnsetType | None = msgspec.UNSET
    """How many hours without a verified request make its `state` `silent`. Null: never."""
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    """False: nobody may send to it any more, as if it did not exist. What had come is still decided."""

    example: ClassVar[dict[str, Any]] = {"daily_points_max": 50000}


State = Literal["new", "active", "silent", "failing", "stopped", "disabled"]


class Standing(msgspec.Struct, frozen=True):
    """How a source stands: what came, and how far it is read."""

    last_no: int
    read_no: int
    verified_at: datetime | None
    refused_at: datetime | None
    points_today: int


class IngestSourceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A source and how it stands."""

    id: str
    """The id of the source: `src_` and a number."""
    name: str
    """What you call it."""
    provider: str
    """Who sends."""
    ingest_url: str | None
    """What to paste into the provider's console. It is shown to keys with `sources:write` only, because of a provider that
    signs nothing it is all there is to know; otherwise null."""
    secrets: Mapping[str, int]
    """How many values it has of each secret. The values are in no answer."""
    secrets_readable: bool
    """False: the secrets were encrypted with a key that is no longer in the secrets file. Send them again."""
    trust: TrustName
    """How far its requests can be trusted."""
    max_evidence: str
    """The strongest grade that its reports count as: by `trust`, and no stronger than its key's."""
    verified_by: str
    """What our check of this provider's signature was tested with: a `vendor vector`, `computed` from the published formula, or
    `unverified`."""
    token_field: str
    """Where a reward link's token goes in this provider's messages."""
    shape: Mapping[str, Any] | None
    """What the brand says of JSON of its own; null: the provider's shape is known."""
    mapping: int
    """Counts the changes of `shape` and `campaign`, which decide what an event counts as; from 1."""
    campaign: str | None
    """The campaign that events count for which name none."""
    daily_points_max: int | None
    """The most points that it may earn customers on one business day; null: no limit."""
    points_today: int
    """What it has earned customers today."""
    silent_after_hours: int | None
    """How many hours without a verified request make it `silent`; null: never."""
    key: str
    """The id of the key in whose name it reports. Once that is revoked or has expired, the source is `stopped`."""
    state: State
    """`new`: nothing has come yet. `active`. `silent`: nothing has come for long. `failing`: the last request was refused.
    `stopped`: its key may not report any more; what comes waits until another key changes the source. `disabled`."""
    verified_at: datetime | None
    """When the last request came that was accepted; null: none has."""
    refused_at: datetime | None
    """When the last request came that was refused; null: none has."""
    waiting: int
    """Requests that are not decided yet."""
    created_at: datetime
    """When it was made."""
    disabled_at: datetime | None
    """When it was disabled; null: it is not."""

    @classmethod
    def of(cls, source: Source, standing: Standing, *, state: State, ingest_url: str | None) -> IngestSourceResponse:
        """Describe a source."""
        return cls(
            id=source.id,
            name=source.name,
            provider=source.provider,
            ingest_url=ingest_url,
            secrets={name: len(values) for name, values in sorted((source.secrets or {}).items())},
            secrets_readable=source.secrets is not None,
            trust=trust_name(source),
            max_evidence=source.evidence,
            verified_by=source.adapter.verified_by,
            token_field=source.adapter.token_field,
            shape=source.shape,
            mapping=source.mapping,
            campaign=source.campaign,
            daily_points_max=source.daily_points_max,
            points_today=standing.points_today,
            silent_after_hours=source.silent_after_hours,
            key=key_id(source.api_key_id),
            state=state,
            verified_at=standing.verified_at,
            refused_at=standing.refused_at,
            waiting=standing.last_no - standing.read_no,
            created_at=source.created_at,
            disabled_at=source.disabled_at,
        )


def trust_name(source: Source) -> TrustName:
    """The trust of a source as the API says it."""
    return msgspec.convert(source.trust.name.lower(), TrustName)


Verdict = Literal["verified", "unverified", "stale", "forged", "unsigned"]


class ReadingResponse(msgspec.Struct, frozen=True):
    """What became of a delivery's events, at one reading."""

    replay: int
    """Which replay read it; 0: it was read when it came."""
    decided_at: datetime
    """When it was read."""
    events: int
    """How many events it has."""
    points: int
    """What customers were granted, or held back, for them."""
    outcomes: Mapping[str, int]
    """How many events there are of each outcome, such as `{"granted": 2, "duplicate": 4}`."""
    mapping: int
    """The `mapping` of the source that decided it."""


class DeliveryResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A request that a provider sent."""

    delivery: int
    """Its number in the source, from 1."""
    received_at: datetime
    """When it came."""
    verdict: Verdict
    """What the check said: `verified` by its signature; `unverified`, which the source takes without one; refused as `stale`
    (signed too long ago), `forged` (another signature) or `unsigned`."""
    reason: str | None
    """Why it was refused; null: it was not."""
    bytes: int
    """How long its body was."""
    state: Literal["waiting", "decided", "refused"]
    """`waiting` to be read, `decided`, or `refused`: then it earned nothing."""
    can_be_replayed: bool
    """Whether its content is kept. Of what was refused, only short requests are."""
    readings: Sequence[ReadingResponse]
    """Each time it was read, oldest first."""


class DeliveredEventResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event of a delivery."""

    index: int
    """Its place in the request, from 0."""
    kind: str
    """What happened, such as `clicked`; empty: it could not be read."""
    provider_kind: str
    """The provider's own word for it."""
    channel: str
    """The channel, as the provider's event says or implies."""
    occurred_at: datetime | None
    """When it happened by the provider's clock; null: it does not say, and the time at which the request came counts."""
    outcome: Outcome
    """`granted`, `held_back`, `waiting` and `refused`: decisions of the grant. `duplicate`: it was decided before. `recorded`:
    a consent was changed. `ignored`: it earns nothing. `failed`: it could not be read or decided."""
    reason: str | None
    """Why, such as `ambiguous_recipient` or `consent_refused`; for `failed`, the problem's code, or what could not be read."""
    grant_id: str | None
    """The grant, also of a duplicate: `GET /v1/grants/{grant_id}` says who reported it first. Null: there is none."""
    points: int
    """What the customer was granted, or held back, for it."""
    matched_by: MatchedBy | None
    """How its message was found: by our `token`; by the `opaque_field`; by the `provider_id` of a registered message; a reply
    that names none, as the answer to the `last_message`; by the `source` alone. Null: nothing was reported."""

    @classmethod
    def of(cls, outcome: EventOutcome) -> DeliveredEventResponse:
        """Describe an outcome."""
        return cls(
            index=outcome.index,
            kind=outcome.kind,
            provider_kind=outcome.word,
            channel=outcome.channel,
            occurred_at=outcome.occurred_at,
            outcome=outcome.outcome,
            reason=outcome.reason,
            grant_id=outcome.grant,
            points=outcome.points,
            matched_by=outcome.matched_by,  # pyright: ignore[reportArgumentType]
        )
