"""Brevo: one object for each event, or an array where batches are switched on; mails that come in are a list of ``items``.

Brevo signs nothing and gives events no id. ``ts_epoch`` is its only time with a known offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from service.providers.adapter import BASIC_AUTH_PATTERN, Adapter, SecretShape
from service.providers.email.mails import Mail, headers_of, reply
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in, ours_in_text, read_each
from service.providers.schemes import BASIC_AUTH, BEARER
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "request": EventKind.SENT,
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "opened": EventKind.OPENED,
    "unique_opened": EventKind.OPENED,
    "proxy_open": EventKind.OPENED,
    "unique_proxy_open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "hard_bounce": EventKind.BOUNCED,
    "soft_bounce": EventKind.BOUNCED,
    "blocked": EventKind.FAILED,
    "error": EventKind.FAILED,
    "invalid_email": EventKind.FAILED,
    "spam": EventKind.COMPLAINED,
    "complaint": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
}
_OPAQUE = "X-Mailin-custom"


def _parse(request: ProviderRequest) -> Parsed:
    body = json_of(request.body)
    if isinstance(body, dict):
        fields = object_of(body)
        return read_each(fields.each("items") if "items" in fields.values else [fields.values], _event)
    return read_each(cast("list[Any]", body) if isinstance(body, list) else [body], _event)


def _event(item: Fields) -> Iterator[ProviderEvent]:
    if "event" not in item.values and "From" in item.values:
        yield _mail(item)
        return
    kind, email, message = item.required("event"), item.text("email"), item.text("message-id")
    at, proxy = item.stamp("ts_epoch") or item.stamp("ts_event"), "proxy_open" in kind
    opaque = item.values.get(_OPAQUE)
    token, tags = ours_in(item.within(_OPAQUE).values) if isinstance(opaque, dict) else ours_in_text(item.text(_OPAQUE, 4_096))
    yield ProviderEvent(
        natural_key=key_of(message, email, kind, at, item.url("link"), item.text("id")),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=item.seconds("ts_epoch", per_second=1_000) or item.seconds("ts_event"),
        recipients=(Identity(IdentityKind.EMAIL, email),) if email else (),
        token=token,
        tags=tags,
        provider_message_id=message.strip("<>") if message else None,
        url=item.url("link"),
        user_agent=item.evidence("user_agent"),
        machine=Machine.DECLARED if proxy else Machine.NONE,
        machine_source="event" if proxy else None,
        permanent=kind == "hard_bounce" if kind.endswith("_bounce") else None,
    )


def _mail(item: Fields) -> ProviderEvent:
    recipients = item.objects("To")
    mail = Mail(
        sender=item.within("From").text("Address"),
        recipient=recipients[0].text("Address") if recipients else None,
        headers=headers_of([("message-id", item.text("MessageId")), ("in-reply-to", item.text("InReplyTo")), *_headers(item)]),
        text=item.prose("RawTextBody"),
        html=item.prose("RawHtmlBody"),
        stripped_text=item.prose("ExtractedMarkdownMessage"),
    )
    return reply(mail)


def _headers(item: Fields) -> Iterator[tuple[str, object]]:
    for name, value in item.within("Headers").values.items():
        yield name, cast("list[Any]", value)[0] if isinstance(value, list) and value else value


ADAPTER = Adapter(
    name="brevo",
    title="Brevo",
    channels=("email",),
    schemes=(BASIC_AUTH, BEARER),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="the header X-Mailin-custom",
    secrets=(
        SecretShape("basic_auth", "user:password in the webhook's URL", required=False, pattern=BASIC_AUTH_PATTERN),
        SecretShape("bearer_token", "Token", required=False),
    ),
    parse=_parse,
)
