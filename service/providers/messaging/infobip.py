"""Infobip: delivery and seen reports, clicks, and incoming messages, as a list of ``results`` or one tracking event.

How Infobip signs is not in its public documentation, so a source holds a password.
"""

from __future__ import annotations

from service.providers.adapter import BASIC_AUTH_PATTERN, Adapter, SecretShape
from service.providers.messaging.chats import choice, phone
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in_text, read_each
from service.providers.schemes import BASIC_AUTH, BEARER
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_GROUPS = {
    "ACCEPTED": EventKind.SENT,
    "PENDING": EventKind.SENT,
    "DELIVERED": EventKind.DELIVERED,
    "UNDELIVERABLE": EventKind.BOUNCED,
    "EXPIRED": EventKind.FAILED,
    "REJECTED": EventKind.FAILED,
}
_TRACKED = {
    "OPENED": EventKind.OPENED,
    "CLICKED": EventKind.CLICKED,
    "COMPLAINED": EventKind.COMPLAINED,
    "UNSUBSCRIBED": EventKind.UNSUBSCRIBED,
}


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    results = body.each("results") if "results" in body.values else [body.values]
    return read_each(results, lambda item: [_event(item)])


def _event(item: Fields) -> ProviderEvent:
    if item.values.get("notificationType"):
        return _tracked(item)
    return _report(item) if item.values.get("status") or item.values.get("seenAt") else _incoming(item)


def _report(item: Fields) -> ProviderEvent:
    message, to, seen = item.required("messageId"), item.text("to") or item.text("from"), item.text("seenAt")
    word = "SEEN" if seen else item.within("status").required("groupName")
    token, tags = ours_in_text(item.text("callbackData", 4_096))
    return ProviderEvent(
        natural_key=key_of("report", message, to, word, seen),
        kind=EventKind.READ if seen else _GROUPS.get(word, EventKind.OTHER),
        provider_kind=word,
        channel=_channel(item),
        occurred_at=item.instant("seenAt") or item.instant("doneAt"),
        recipients=(_person(to),) if to else (),
        token=token,
        tags=tags,
        provider_message_id=message,
        permanent=item.within("error").flag("permanent") if word == "UNDELIVERABLE" else None,
    )


def _tracked(item: Fields) -> ProviderEvent:
    word, message, who = item.required("notificationType"), item.required("messageId"), item.required("recipient")
    token, tags = ours_in_text(item.text("callbackData", 4_096))
    at = item.stamp("sendDateTime")
    return ProviderEvent(
        natural_key=key_of("tracked", item.text("eventId"), message, who, word, at, item.url("url")),
        kind=_TRACKED.get(word, EventKind.OTHER),
        provider_kind=word,
        channel=_channel(item),
        occurred_at=item.seconds("sendDateTime", per_second=1_000),
        recipients=(_person(who),),
        token=token,
        tags=tags,
        provider_message_id=message,
        url=item.url("url"),
    )


def _incoming(item: Fields) -> ProviderEvent:
    message, inner = item.required("messageId"), item.within("message")
    opaque = inner.text("payload", 4_096) or inner.text("id")
    token, tags = ours_in_text(opaque or item.text("callbackData", 4_096))
    asked_in = item.text("pairedMessageId") or inner.within("context").text("id")
    return ProviderEvent(
        natural_key=key_of("incoming", message),
        kind=EventKind.ANSWERED if opaque else EventKind.REPLIED,
        provider_kind=inner.text("type") or "inbound",
        channel=_channel(item),
        occurred_at=item.instant("receivedAt"),
        recipients=(_person(item.text("from") or item.required("sender")),),
        token=token,
        tags=tags,
        provider_message_id=message,
        in_reply_to=asked_in,
        text=item.prose("text") or inner.prose("text"),
        # ``cleanText`` is the text without the keyword that the brand's number answers to.
        stripped_text=item.prose("cleanText"),
        answer=choice(opaque, inner.prose("title"), tags, asked_in) if opaque else None,
    )


def _channel(item: Fields) -> str:
    named = (item.text("channel") or item.text("integrationType") or "").lower()
    return named if named in {"whatsapp", "rcs", "viber", "email"} else "email" if item.text("domain") else "sms"


def _person(address: str) -> Identity:
    return Identity(IdentityKind.EMAIL, address) if "@" in address else phone(address)


ADAPTER = Adapter(
    name="infobip",
    title="Infobip",
    channels=("sms", "whatsapp", "rcs", "viber", "email"),
    schemes=(BASIC_AUTH, BEARER),
    trust=Trust.SHARED_SECRET,
    verified_by="unverified",
    token_field="callbackData; the payload of a button",
    secrets=(
        SecretShape("basic_auth", "Basic authentication, as user:password", required=False, pattern=BASIC_AUTH_PATTERN),
        SecretShape("bearer_token", "Bearer token", required=False),
    ),
    parse=_parse,
)
