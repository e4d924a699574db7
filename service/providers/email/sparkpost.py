"""SparkPost, now Bird Email: an array of events, each inside of ``msys`` and its class, and mails that come in.

SparkPost signs nothing; it can present a password or a token. A ping has an event without a class.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from service.providers.adapter import BASIC_AUTH_PATTERN, Adapter, SecretShape
from service.providers.email.mails import Mail, headers_of, read_mime, reply
from service.providers.reading import Fields, key_of, ours_in, read_list
from service.providers.schemes import BASIC_AUTH, BEARER, Presented
from service.providers.signed_bytes import Header
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "injection": EventKind.SENT,
    "delivery": EventKind.DELIVERED,
    "delay": EventKind.DEFERRED,
    "bounce": EventKind.BOUNCED,
    "out_of_band": EventKind.BOUNCED,
    "policy_rejection": EventKind.FAILED,
    "generation_failure": EventKind.FAILED,
    "generation_rejection": EventKind.FAILED,
    "spam_complaint": EventKind.COMPLAINED,
    "list_unsubscribe": EventKind.UNSUBSCRIBED,
    "link_unsubscribe": EventKind.UNSUBSCRIBED,
    "open": EventKind.OPENED,
    "initial_open": EventKind.OPENED,
    "amp_open": EventKind.OPENED,
    "amp_initial_open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "amp_click": EventKind.CLICKED,
}
_PERMANENT = frozenset({"10", "30", "90"})
_AUTO_REPLY = "60"
_PREFETCH_FLAGS = ("is_prefetched", "is_proxy")


def _parse(request: ProviderRequest) -> Parsed:
    return read_list(request, _events)


def _events(item: Fields) -> Iterator[ProviderEvent]:
    msys = item.within("msys")
    for kind in (name for name, inner in msys.values.items() if isinstance(inner, dict)):
        yield _mail(msys.within(kind)) if kind == "relay_message" else _event(msys.within(kind))


def _event(event: Fields) -> ProviderEvent:
    kind, bounce = event.required("type"), event.text("bounce_class")
    recipient = event.text("raw_rcpt_to") or event.text("rcpt_to")
    token, tags = ours_in(event.within("rcpt_meta").values)
    agent = event.within("user_agent_parsed")
    flag = next((name for name in _PREFETCH_FLAGS if agent.flag(name) or event.flag(name)), None)
    return ProviderEvent(
        natural_key=key_of(event.required("event_id")),
        kind=EventKind.OTHER if bounce == _AUTO_REPLY else _KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=event.seconds("timestamp"),
        recipients=(Identity(IdentityKind.EMAIL, recipient),) if recipient else (),
        token=token,
        tags=tags,
        provider_message_id=event.text("message_id") or event.text("transmission_id"),
        url=event.url("target_link_url"),
        user_agent=event.evidence("user_agent"),
        ip=event.evidence("ip_address"),
        machine=Machine.DECLARED if flag else Machine.NONE,
        machine_source=flag,
        permanent=bounce in _PERMANENT if kind in {"bounce", "out_of_band"} else None,
    )


def _mail(message: Fields) -> ProviderEvent:
    content = message.within("content")
    pairs = [pair for each in content.objects("headers") for pair in each.values.items()]
    text = content.prose("text")
    if text is None and (raw := content.prose("email_rfc822")):
        _, text = read_mime(_raw(raw, content.flag("email_rfc822_is_base64")))
    mail = Mail(
        sender=message.prose("friendly_from") or message.text("msg_from"),
        recipient=message.text("rcpt_to"),
        headers=headers_of(pairs),
        text=text,
        html=content.prose("html"),
        provider_kind="relay_message",
    )
    return reply(mail)


def _raw(written: str, is_base64: bool) -> bytes:
    raw = written.encode(errors="replace")
    try:
        return base64.b64decode(raw) if is_base64 else raw
    except binascii.Error:
        return raw


ADAPTER = Adapter(
    name="sparkpost",
    title="SparkPost (Bird Email)",
    channels=("email",),
    schemes=(BASIC_AUTH, BEARER, Presented(place=Header("x-messagesystems-webhook-token"), secret="webhook_token")),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="metadata of the recipient: reward_token",
    secrets=(
        SecretShape("basic_auth", "Basic Auth, as user:password", required=False, pattern=BASIC_AUTH_PATTERN),
        SecretShape("bearer_token", "OAuth 2.0 access token", required=False),
        SecretShape("webhook_token", "X-MessageSystems-Webhook-Token", required=False),
    ),
    parse=_parse,
)
