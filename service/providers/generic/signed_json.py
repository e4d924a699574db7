"""JSON of any shape, signed with an HMAC or presented with a password: the brand says where everything is.

    SourceShape   what a brand writes, as JSON: the signature, where the events are, where the fields are, what the kinds mean
    adapter_of    the adapter of a shape; ``ShapeRefused`` names the field that is wrong

Without a shape it is ours: an object or an array of objects with the field names below, and ``X-Signature: sha256=`` with the
HMAC-SHA256 of the body in hex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, cast

import msgspec

from service.providers.adapter import BASIC_AUTH_PATTERN, Adapter, SecretShape
from service.providers.generic.paths import Path, PathRefused, read_path, value_at
from service.providers.generic.standard_webhooks import SIGNING_SECRET, shared_secret
from service.providers.generic.words import answer_in, kind_of, may_tell_place, person_in, place_in
from service.providers.reading import Fields, Unreadable, json_of, key_of, ours_in, ours_in_text, read_each
from service.providers.schemes import BASIC_AUTH, BEARER, Algorithm, Encoding, Scheme, Signature, Timestamp
from service.providers.signed_bytes import Body, Header, Piece, Text
from service.providers.types import EventKind, Parsed, ProviderEvent, ProviderRequest, Trust

Name: TypeAlias = Literal[
    "event", "id", "occurred_at", "token", "opaque", "customer", "email", "phone", "device", "message_id", "in_reply_to",
    "campaign", "conversation", "channel", "url", "user_agent", "ip", "text", "question", "question_version", "answer", "place",
]  # fmt: skip
"""What an event can say."""

_HeaderName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,100}$(?!\n)")]
_Short: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
_DIGITS_OF_SECONDS = 11
_TAGS = ("campaign", "conversation")
_ALGORITHMS = {"hmac-sha1": Algorithm.HMAC_SHA1, "hmac-sha256": Algorithm.HMAC_SHA256, "hmac-sha512": Algorithm.HMAC_SHA512}


class SignatureShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the sender signs."""

    header: _HeaderName = "X-Signature"
    """The header with the signature."""
    algorithm: Literal["hmac-sha1", "hmac-sha256", "hmac-sha512"] = "hmac-sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: _Short = "sha256="
    """What stands before the signature in its header."""
    signed: Annotated[str, msgspec.Meta(max_length=200)] = "{body}"
    """What is signed: texts, `{body}` once, and `{header-name}` for the value of a header, such as `{x-timestamp}.{body}`."""
    timestamp_header: _HeaderName | None = None
    """The signed header that says when it was signed, in seconds since 1970."""
    tolerance_s: Annotated[int, msgspec.Meta(ge=30, le=86_400)] = 300
    """How far that may be from now, in seconds."""


class SourceShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a brand says of the requests that it sends."""

    signature: SignatureShape | Literal["standard_webhooks", "password"] = SignatureShape()
    """How they are signed: by a header of their own, as Standard Webhooks, or not at all but with a password."""
    events: _Short = "$"
    """The path of the list of events; `$` for a body that is one event or a list of them."""
    fields: Mapping[Name, _Short] = {}
    """The path of each field in an event. A field that is not named is at `$.` and its name."""
    kinds: Mapping[_Short, EventKind] = {}
    """What the sender's words for kinds of events mean. A word that is not named means itself."""
    channel: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}$(?!\n)")] = "email"
    """The channel of an event that names none."""


class ShapeRefused(ValueError):
    """This shape cannot be used; ``field`` is where, the message what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field, self.problem = field, problem


def adapter_of(shape: Any) -> Adapter:
    """The adapter of a shape, given as a brand writes it. Raises ``ShapeRefused``."""
    try:
        read = msgspec.convert(shape, SourceShape)
    except msgspec.ValidationError as invalid:
        raise ShapeRefused("", str(invalid)) from None
    schemes = _schemes(read)
    secrets = tuple(_SECRETS[scheme.secret] for scheme in schemes)
    may_tell = _always if EventKind.ENTERED in read.kinds.values() else may_tell_place
    return msgspec.structs.replace(_BASE, schemes=schemes, secrets=secrets, parse=_parser(read), may_tell_place=may_tell)


def _always(_: ProviderRequest) -> bool:
    return True


def events_of(shape: Mapping[str, Any] | None) -> str:
    """Where a shape that was accepted has its events."""
    return SourceShape().events if shape is None else msgspec.convert(shape, SourceShape).events


def _schemes(shape: SourceShape) -> tuple[Scheme, ...]:
    if shape.signature == "password":
        return (BASIC_AUTH, BEARER)
    if isinstance(shape.signature, str):
        return (shared_secret("webhook"),)
    return (_signature(shape.signature),)


def _signature(shape: SignatureShape) -> Signature:
    pieces = _pieces(shape.signed)
    timestamp = Header(shape.timestamp_header.lower()) if shape.timestamp_header else None
    if pieces.count(Body()) != 1:
        raise ShapeRefused("signature.signed", "must contain {body} once: else anybody could write another body")
    if timestamp is not None and timestamp not in pieces:
        raise ShapeRefused("signature.timestamp_header", "must be among what is signed, such as {x-timestamp}.{body}")
    return Signature(
        place=Header(shape.header.lower()),
        algorithm=_ALGORITHMS[shape.algorithm],
        encoding=Encoding.HEX if shape.encoding == "hex" else Encoding.BASE64,
        signed=tuple(pieces),
        secret="shared_secret",
        prefix=shape.prefix,
        timestamp=Timestamp(timestamp, shape.tolerance_s) if timestamp else None,
    )


def _pieces(written: str) -> list[Piece]:
    pieces: list[Piece] = []
    for number, part in enumerate(written.replace("}", "{").split("{")):
        if number % 2 == 0:
            pieces += [Text(part)] if part else []
        elif part == "body":
            pieces.append(Body())
        else:
            pieces.append(Header(part.lower()))
    return pieces


def _parser(shape: SourceShape) -> Callable[[ProviderRequest], Parsed]:
    events = _path("events", shape.events)
    paths: dict[Name, Path] = {name: _path(f"fields.{name}", written) for name, written in shape.fields.items()}

    def parse(request: ProviderRequest) -> Parsed:
        found = value_at(json_of(request.body), events)
        if found is None:
            raise Unreadable(shape.events, "has no events")
        items = cast("list[Any]", found) if isinstance(found, list) else [found]
        return read_each(items, lambda item: [_event(_named(item, paths), shape)])

    return parse


def _path(field: str, written: str) -> Path:
    try:
        return read_path(written)
    except PathRefused as refused:
        raise ShapeRefused(field, str(refused)) from None


def _named(item: Fields, paths: Mapping[Name, Path]) -> Fields:
    """An event with its fields under our names."""
    mapped = {name: value_at(item.values, path) for name, path in paths.items()}
    return Fields({**item.values, **mapped})


def _event(item: Fields, shape: SourceShape) -> ProviderEvent:
    word, event_id, message = item.required("event"), item.required("id"), item.text("message_id")
    kind = shape.kinds.get(word) or kind_of(word)
    token, tags = _ours(item)
    if kind is EventKind.ENTERED:
        tags = {**tags, "place": place_in(item)}
    return ProviderEvent(
        natural_key=key_of(event_id),
        kind=kind,
        provider_kind=word,
        channel=item.text("channel") or shape.channel,
        occurred_at=_time(item),
        recipients=person_in(item),
        token=token,
        tags=tags,
        provider_message_id=message,
        in_reply_to=item.text("in_reply_to"),
        url=item.url("url"),
        user_agent=item.evidence("user_agent"),
        ip=item.evidence("ip"),
        text=item.prose("text"),
        answer=answer_in(item) if kind is EventKind.ANSWERED else None,
    )


def _time(item: Fields) -> datetime | None:
    """Seconds since 1970, milliseconds by their size, or ISO 8601."""
    value = item.values.get("occurred_at")
    if isinstance(value, str) and not value.isdigit():
        return item.instant("occurred_at")
    digits = str(value).partition(".")[0] if isinstance(value, str | int | float) else ""
    return item.seconds("occurred_at", 1_000 if len(digits) > _DIGITS_OF_SECONDS else 1)


def _ours(item: Fields) -> tuple[str | None, dict[str, str]]:
    token, tags = ours_in(item.values)
    in_text, more = ours_in_text(item.text("opaque", 4_096))
    named = {name: value for name in _TAGS if (value := item.text(name)) is not None}
    return item.text("token", 4_096) or token or in_text, {**tags, **more, **named}


_SECRETS = {
    "shared_secret": SecretShape(
        "shared_secret",
        "secret that the sender signs with",
        pattern=r"[\x21-\x7e]{16,512}",
        form="16 to 512 visible ASCII characters without a space",
    ),
    "signing_secret": SIGNING_SECRET,
    "basic_auth": SecretShape("basic_auth", "user:password", required=False, pattern=BASIC_AUTH_PATTERN),
    "bearer_token": SecretShape("bearer_token", "bearer token", required=False),
}
_BASE = Adapter(
    name="signed_json",
    title="Signed JSON",
    channels=("email", "sms", "push", "whatsapp", "rcs", "app"),
    schemes=(_signature(SignatureShape()),),
    trust=Trust.SIGNED_BODY,
    verified_by="our own shape",
    token_field="token, or where the brand says",
    secrets=(_SECRETS["shared_secret"],),
    parse=_parser(SourceShape()),
    may_tell_place=may_tell_place,
)
ADAPTER = _BASE
