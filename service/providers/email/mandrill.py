"""Mandrill (Mailchimp Transactional): a form with a JSON array, ``mandrill_events``, of events and of mails that come in."""

from __future__ import annotations

from typing import Any, cast

from service.providers.adapter import Adapter, SecretShape
from service.providers.email.mails import Mail, headers_of, reply
from service.providers.forms import fields_of
from service.providers.reading import Fields, Unreadable, json_of, key_of, ours_in, read_each
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import FormPairs, Header, Url
from service.providers.types import (
    EventKind,
    Identity,
    IdentityKind,
    Parsed,
    ProviderEvent,
    ProviderRequest,
    Reply,
    Secrets,
    Trust,
)

_KINDS = {
    "send": EventKind.SENT,
    "deferral": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "hard_bounce": EventKind.BOUNCED,
    "soft_bounce": EventKind.BOUNCED,
    "reject": EventKind.FAILED,
    "spam": EventKind.COMPLAINED,
    "unsub": EventKind.UNSUBSCRIBED,
}


def _handshake(request: ProviderRequest, secrets: Secrets) -> Reply | None:
    # It looks whether there is anything at the URL before it lets a brand save it.
    return Reply(200) if request.method == "HEAD" else None


def _parse(request: ProviderRequest) -> Parsed:
    written = fields_of(request).values.get("mandrill_events")
    events: Any = json_of(str(written).encode(errors="replace"))
    if not isinstance(events, list):
        raise Unreadable("mandrill_events", "must be a list")
    return read_each(cast("list[Any]", events), lambda item: [_mail(item) if item.text("event") == "inbound" else _event(item)])


def _event(item: Fields) -> ProviderEvent:
    kind, message = item.text("event") or item.required("type"), item.within("msg")
    email, message_id = message.text("email"), item.text("_id") or message.text("_id")
    token, tags = ours_in(message.within("metadata").values)
    return ProviderEvent(
        natural_key=key_of(message_id, email, kind, item.required_stamp("ts"), item.url("url")),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=item.seconds("ts"),
        recipients=(Identity(IdentityKind.EMAIL, email),) if email else (),
        token=token,
        tags=tags,
        provider_message_id=message_id,
        url=item.url("url"),
        user_agent=item.evidence("user_agent"),
        ip=item.evidence("ip"),
        permanent=kind == "hard_bounce" if kind.endswith("_bounce") else None,
    )


def _mail(item: Fields) -> ProviderEvent:
    message = item.within("msg")
    mail = Mail(
        sender=message.text("from_email"),
        recipient=message.text("email"),
        headers=headers_of(message.within("headers").values.items()),
        text=message.prose("text"),
        html=message.prose("html"),
        received_at=item.seconds("ts"),
    )
    return reply(mail)


ADAPTER = Adapter(
    name="mandrill",
    title="Mandrill (Mailchimp Transactional)",
    channels=("email",),
    schemes=(
        Signature(
            place=Header("x-mandrill-signature"),
            algorithm=Algorithm.HMAC_SHA1,
            encoding=Encoding.BASE64,
            signed=(Url(), FormPairs()),
            secret="webhook_key",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="metadata: reward_token",
    secrets=(SecretShape("webhook_key", "webhook authentication key"),),
    parse=_parse,
    handshake=_handshake,
)
