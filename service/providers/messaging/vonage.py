"""Vonage Messages: statuses and incoming messages, one JSON object each, with a JWT over the body's hash."""

from __future__ import annotations

from service.providers.adapter import Adapter, AnswerCodes, SecretShape
from service.providers.jwt import BodyJwt
from service.providers.messaging.chats import account, choice, phone
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in_text
from service.providers.signed_bytes import Header
from service.providers.types import EventKind, Identity, Parsed, ProviderEvent, ProviderRequest, Trust

_STATUSES = {
    "submitted": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "read": EventKind.READ,
    "rejected": EventKind.FAILED,
    "undeliverable": EventKind.BOUNCED,
}
_CHANNELS = {"mms": "sms", "viber_service": "viber"}
_BY_PHONE = frozenset({"sms", "whatsapp", "viber", "rcs"})


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    return Parsed([_status(body) if body.values.get("status") else _incoming(body)])


def _status(body: Fields) -> ProviderEvent:
    status, message, to = body.required("status"), body.required("message_uuid"), body.required("to")
    token, tags = ours_in_text(body.text("client_ref"))
    return ProviderEvent(
        natural_key=key_of("status", message, status),
        kind=_STATUSES.get(status, EventKind.OTHER),
        provider_kind=status,
        channel=_channel(body),
        occurred_at=body.instant("timestamp"),
        recipients=(_person(to, _channel(body)),),
        token=token,
        tags=tags,
        provider_message_id=message,
    )


def _incoming(body: Fields) -> ProviderEvent:
    message, opaque, label = body.required("message_uuid"), *_chosen(body)
    token, tags = ours_in_text(opaque)
    asked_in = body.within("context").text("message_uuid")
    return ProviderEvent(
        natural_key=key_of("incoming", message),
        kind=EventKind.ANSWERED if opaque else EventKind.REPLIED,
        provider_kind=body.text("message_type") or "inbound",
        channel=_channel(body),
        occurred_at=body.instant("timestamp"),
        recipients=(_person(body.required("from"), _channel(body)),),
        token=token,
        tags=tags,
        provider_message_id=message,
        in_reply_to=asked_in,
        text=body.prose("text"),
        answer=choice(opaque, label, tags, asked_in) if opaque else None,
    )


def _chosen(body: Fields) -> tuple[str | None, str | None]:
    button, reply = body.within("button"), body.within("reply")
    if opaque := button.text("payload"):
        return opaque, button.prose("text")
    return reply.text("id"), reply.prose("title")


def _channel(body: Fields) -> str:
    channel = body.text("channel") or "sms"
    return _CHANNELS.get(channel, channel)


def _person(address: str, channel: str) -> Identity:
    return phone(address) if channel in _BY_PHONE else account(address)


ADAPTER = Adapter(
    name="vonage",
    title="Vonage Messages",
    channels=("sms", "whatsapp", "rcs", "viber", "messenger"),
    schemes=(BodyJwt(place=Header("authorization"), prefix="Bearer", secret="signature_secret", issuer="Vonage"),),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="client_ref; the id of a reply or the payload of a button",
    secrets=(SecretShape("signature_secret", "signature secret"),),
    parse=_parse,
    # It may send a callback unsigned by mistake, and signs it when it is asked again.
    answers=AnswerCodes(unsigned=503),
)
