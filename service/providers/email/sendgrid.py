"""Twilio SendGrid: the Event Webhook, a JSON array of events, and Inbound Parse, a form with a mail's parts.

An event may come several times, and its ``sg_event_id`` is another one each time (sendgrid-nodejs #1435), so it identifies
nothing. Custom arguments are fields of the event beside SendGrid's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from service.providers.adapter import Adapter, SecretShape
from service.providers.email.mails import Mail, headers_in, is_proved, read_mime, reply
from service.providers.forms import is_multipart, parts_of, text_in
from service.providers.reading import Fields, Unreadable, json_of, key_of, object_of, ours_in, read_list, storable
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Body, Header
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_MAIL_TEXTS = ("headers", "text", "html", "from", "to", "SPF", "dkim", "envelope")
_SIGNER = re.compile(r"@([^\s:,{}]{1,253})\s*:\s*(\w{1,20})")
_KINDS = {
    "processed": EventKind.SENT,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "bounce": EventKind.BOUNCED,
    "dropped": EventKind.FAILED,
    "spamreport": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.UNSUBSCRIBED,
    "group_resubscribe": EventKind.RESUBSCRIBED,
}


def _parse(request: ProviderRequest) -> Parsed:
    if is_multipart(request):
        return Parsed([_mail(dict(parts_of(request)))])
    return read_list(request, _event)


def _event(item: Fields) -> list[ProviderEvent]:
    kind, email, message = item.required("event"), item.text("email"), item.text("sg_message_id")
    token, tags = ours_in(item.values)
    machine = item.flag("sg_machine_open")
    offset = item.within("url_offset")
    url = item.url("url")
    event = ProviderEvent(
        natural_key=key_of(
            message, email, kind, item.required_stamp("timestamp"), url, offset.text("index"), offset.text("type")
        ),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=item.seconds("timestamp"),
        recipients=(Identity(IdentityKind.EMAIL, email),) if email else (),
        token=token,
        tags=tags,
        # What the API answered the sender with, as X-Message-Id, is the part before the first dot.
        provider_message_id=message.partition(".")[0] if message else None,
        url=url,
        user_agent=item.evidence("useragent"),
        ip=item.evidence("ip"),
        machine=Machine.DECLARED if machine else Machine.NONE,
        machine_source="sg_machine_open" if machine else None,
        # A block is refused for now, a bounce for good.
        permanent=item.text("type") != "blocked" if kind == "bounce" else None,
    )
    return [event]


def _mail(parts: dict[str, bytes]) -> ProviderEvent:
    # Each part is in the character set that the mail was in; ``email`` is the whole mail where a brand asked for it.
    sets = object_of(json_of(parts.get("charsets", b"{}")))
    texts = {name: text_in(parts[name], sets.evidence(name) or "utf-8") for name in _MAIL_TEXTS if name in parts}
    headers, text = read_mime(parts["email"]) if "email" in parts else (headers_in(texts.get("headers", "")), texts.get("text"))
    return reply(
        Mail(
            sender=texts.get("from"),
            recipient=texts.get("to"),
            headers=headers,
            text=storable(text),
            html=texts.get("html"),
            is_proved=_is_proved(texts),
        )
    )


def _is_proved(texts: Mapping[str, str]) -> bool | None:
    if "SPF" not in texts and "dkim" not in texts:
        return None
    try:
        envelope = object_of(json_of(texts.get("envelope", "{}").encode(errors="replace")))
    except Unreadable:
        envelope = Fields({})
    signers = _SIGNER.findall(texts.get("dkim", "")[:2_000])
    return is_proved(texts.get("from"), texts.get("SPF"), envelope.evidence("from"), signers)


ADAPTER = Adapter(
    name="sendgrid",
    title="Twilio SendGrid",
    channels=("email",),
    schemes=(
        Signature(
            place=Header("x-twilio-email-event-webhook-signature"),
            algorithm=Algorithm.ECDSA_P256,
            encoding=Encoding.BASE64,
            signed=(Header("x-twilio-email-event-webhook-timestamp"), Body()),
            secret="verification_key",
            key=Encoding.BASE64,
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="vendor vector",
    token_field="custom_args (unique_args): reward_token",
    secrets=(
        SecretShape(
            "verification_key",
            "Verification Key",
            pattern=r"[A-Za-z0-9+/]{80,200}={0,2}",
            form="one line of base64 that begins with MFkw, without BEGIN and END lines",
        ),
    ),
    parse=_parse,
    attaches_files=True,
)
