"""Bird: channel messages, in and out, and what people did with them, one JSON object each."""

from __future__ import annotations

from service.providers.adapter import Adapter, SecretShape
from service.providers.messaging.chats import account, choice, phone
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in_text
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import BodyDigest, Header, Text, Url
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "accepted": EventKind.SENT,
    "processing": EventKind.SENT,
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "delivery_failed": EventKind.BOUNCED,
    "sending_failed": EventKind.FAILED,
    "rejected": EventKind.FAILED,
    "skipped": EventKind.FAILED,
    "deleted": EventKind.OTHER,
    "read": EventKind.READ,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "reported-as-spam": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
}
_CHANNELS = {"facebook": "messenger"}


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    name, payload = body.required("event"), body.within("payload")
    channel, _, direction = name.partition(".")
    read = _incoming if direction == "inbound" else _interaction if direction == "interaction" else _status
    return Parsed([read(name, _CHANNELS.get(channel, channel), payload)])


def _status(name: str, channel: str, payload: Fields) -> ProviderEvent:
    message, status = payload.required("id"), payload.required("status")
    contacts = payload.within("receiver").objects("contacts")
    token, tags = ours_in_text(payload.text("reference"))
    return ProviderEvent(
        natural_key=key_of("status", message, status),
        kind=_KINDS.get(status, EventKind.OTHER),
        provider_kind=f"{name} {status}",
        channel=channel,
        occurred_at=payload.instant("lastStatusAt"),
        recipients=tuple(_person(each) for each in contacts),
        token=token,
        tags=tags,
        provider_message_id=message,
    )


def _incoming(name: str, channel: str, payload: Fields) -> ProviderEvent:
    message, body, asked_in = payload.required("id"), payload.within("body"), payload.within("replyTo").text("id")
    actions = body.within("text").objects("actions")
    postback = actions[0].within("postback") if actions else Fields({})
    opaque = postback.text("payload")
    token, tags = ours_in_text(opaque)
    return ProviderEvent(
        natural_key=key_of("incoming", message),
        kind=EventKind.ANSWERED if opaque else EventKind.REPLIED,
        provider_kind=name,
        channel=channel,
        occurred_at=payload.instant("createdAt"),
        recipients=(_person(payload.within("sender").within("contact")),),
        token=token,
        tags=tags,
        provider_message_id=message,
        in_reply_to=asked_in,
        text=body.within("text").prose("text"),
        answer=choice(opaque, postback.prose("text"), tags, asked_in) if opaque else None,
    )


def _interaction(name: str, channel: str, payload: Fields) -> ProviderEvent:
    kind, message = payload.required("type"), payload.text("messageId")
    contacts = payload.within("receiver").objects("contacts")
    token, tags = ours_in_text(payload.text("messageReference"))
    return ProviderEvent(
        natural_key=key_of("interaction", payload.required("id")),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=f"{name} {kind}",
        channel=channel,
        occurred_at=payload.instant("createdAt"),
        recipients=tuple(_person(each) for each in contacts),
        token=token,
        tags=tags,
        provider_message_id=message,
        url=payload.within("details").url("url"),
        user_agent=payload.within("details").evidence("userAgent"),
    )


def _person(contact: Fields) -> Identity:
    value, key = contact.required("identifierValue"), contact.text("identifierKey")
    if key == "emailaddress":
        return Identity(IdentityKind.EMAIL, value)
    return phone(value) if key in {"phonenumber", None} else account(value)


ADAPTER = Adapter(
    name="bird",
    title="Bird",
    channels=("sms", "whatsapp", "rcs", "messenger", "instagram", "viber", "line", "telegram", "email"),
    schemes=(
        Signature(
            place=Header("messagebird-signature"),
            algorithm=Algorithm.HMAC_SHA256,
            encoding=Encoding.BASE64,
            signed=(Header("messagebird-request-timestamp"), Text("\n"), Url(), Text("\n"), BodyDigest()),
            secret="signing_key",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="reference; the payload of a button's postback",
    secrets=(SecretShape("signing_key", "signing key of the subscription"),),
    parse=_parse,
)
