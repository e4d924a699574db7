"""Mailgun: webhooks, one JSON object each, and Routes, which post a mail as a form.

The signature covers a time and a token and nothing of the body. The token is used once, so it is the natural key: with one
signature that somebody got hold of, no second event can be made.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from service.providers.adapter import Adapter, AnswerCodes, SecretShape
from service.providers.email.mails import Mail, headers_of, is_proved, reply
from service.providers.forms import fields_of, is_multipart
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import FormField, JsonField, Place
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "accepted": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "complained": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "rejected": EventKind.FAILED,
}


def _parse(request: ProviderRequest) -> Parsed:
    if is_multipart(request) or request.body.lstrip()[:1] != b"{":
        return Parsed([_mail(fields_of(request))])
    body = object_of(json_of(request.body))
    return Parsed([_event(body.within("event-data"), body.within("signature").required("token"))])


def _event(data: Fields, nonce: str) -> ProviderEvent:
    kind, recipient, client = data.required("event"), data.text("recipient"), data.within("client-info")
    permanent = data.text("severity") == "permanent" if kind == "failed" else None
    bot = client.text("bot")
    token, tags = ours_in(data.within("user-variables").values)
    return ProviderEvent(
        natural_key=key_of("token", nonce),
        kind=_failure(permanent) if kind == "failed" else _KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=data.seconds("timestamp"),
        recipients=(Identity(IdentityKind.EMAIL, recipient),) if recipient else (),
        token=token,
        tags=tags,
        provider_message_id=data.within("message").within("headers").text("message-id"),
        url=data.url("url"),
        user_agent=client.evidence("user-agent"),
        ip=data.evidence("ip"),
        machine=Machine.DECLARED if bot else Machine.NONE,
        machine_source="client-info.bot" if bot else None,
        permanent=permanent,
    )


def _failure(permanent: bool | None) -> EventKind:
    return EventKind.BOUNCED if permanent else EventKind.DEFERRED


def _mail(form: Fields) -> ProviderEvent:
    sender, headers = form.text("sender") or form.prose("from"), headers_of(_pairs(json_of(_headers_of(form))))
    spf = form.evidence("X-Mailgun-Spf") or headers.get("x-mailgun-spf")
    mail = Mail(
        sender=sender,
        recipient=form.text("recipient"),
        headers=headers,
        text=form.prose("body-plain"),
        html=form.prose("body-html"),
        # Mailgun's word on DKIM does not say whose signature it was.
        is_proved=None if spf is None else is_proved(sender, spf, form.text("sender")),
        stripped_text=form.prose("stripped-text"),
        received_at=form.seconds("timestamp"),
    )
    return msgspec.structs.replace(reply(mail), natural_key=key_of("token", form.required("token")))


def _headers_of(form: Fields) -> bytes:
    return (form.prose("message-headers") or "[]").encode()


def _pairs(value: Any) -> list[list[Any]]:
    lists = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("list[Any]", each) for each in lists if isinstance(each, list) and len(cast("list[Any]", each)) == 2]


def _scheme(place: Place, timestamp: Place, token: Place) -> Signature:
    return Signature(
        place=place,
        algorithm=Algorithm.HMAC_SHA256,
        encoding=Encoding.HEX,
        signed=(timestamp, token),
        secret="signing_key",
    )


ADAPTER = Adapter(
    name="mailgun",
    title="Mailgun",
    channels=("email",),
    schemes=(
        _scheme(*(JsonField(("signature", name)) for name in ("signature", "timestamp", "token"))),
        _scheme(*(FormField(name) for name in ("signature", "timestamp", "token"))),
    ),
    trust=Trust.SIGNED_PARTIAL,
    verified_by="computed",
    token_field="user variables: v:reward_token",
    secrets=(SecretShape("signing_key", "HTTP webhook signing key"),),
    parse=_parse,
    # 406 is the one code that stops it from trying again.
    answers=AnswerCodes(unreadable=406),
    attaches_files=True,
)
