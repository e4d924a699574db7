"""Twilio: status callbacks and incoming messages, which are forms, and Event Streams, an array of CloudEvents.

The URL is signed as Twilio was given it, with its query: a brand can put our token there. Some of Twilio's products write the
port out and some leave it out, so both are tried. JSON is not signed itself; the signed URL states its hash.
"""

from __future__ import annotations

from service.providers.adapter import Adapter, AnswerCodes, SecretShape
from service.providers.forms import fields_of
from service.providers.messaging.chats import account, choice, phone
from service.providers.reading import Fields, key_of, ours_in, ours_in_text, read_list
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import FormPairs, Header, Port, Query, Url, query_of
from service.providers.types import EventKind, Identity, Parsed, ProviderEvent, ProviderRequest, Trust

_STATUSES = {
    "accepted": EventKind.SENT,
    "scheduled": EventKind.SENT,
    "queued": EventKind.SENT,
    "sending": EventKind.SENT,
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "read": EventKind.READ,
    "undelivered": EventKind.BOUNCED,
    "failed": EventKind.FAILED,
    "canceled": EventKind.FAILED,
}
_OPT_OUTS = {"STOP": EventKind.OPTED_OUT, "START": EventKind.OPTED_IN, "HELP": EventKind.OTHER}
_CHANNELS = frozenset({"whatsapp", "rcs", "messenger"})
_CLICKED = "com.twilio.daptbt.link-shortening.link-clicked"
_INBOUND = "com.twilio.messaging.inbound-message.received"


def _parse(request: ProviderRequest) -> Parsed:
    if request.body.lstrip()[:1] in {b"[", b"{"}:
        return read_list(request, _streamed)
    form = fields_of(request)
    return Parsed([_incoming(form) if _is_incoming(form) else _status(form, request.url)])


def _is_incoming(form: Fields) -> bool:
    return (form.text("MessageStatus") or form.text("SmsStatus")) in {None, "received", "receiving"}


def _status(form: Fields, url: str) -> ProviderEvent:
    status, to = (form.text("MessageStatus") or form.required("SmsStatus")).lower(), form.required("To")
    message = form.text("MessageSid") or form.required("SmsSid")
    token, tags = ours_in(query_of(url))
    return ProviderEvent(
        natural_key=key_of("status", message, status),
        kind=_STATUSES.get(status, EventKind.OTHER),
        provider_kind=status,
        channel=_channel(to),
        recipients=(_person(to),),
        token=token,
        tags=tags,
        provider_message_id=message,
    )


def _incoming(form: Fields) -> ProviderEvent:
    message, sender, payload = (
        form.text("MessageSid") or form.required("SmsSid"),
        form.required("From"),
        form.text("ButtonPayload"),
    )
    token, tags = ours_in_text(payload)
    said, asked_in = form.text("OptOutType"), form.text("OriginalRepliedMessageSid")
    kind = _OPT_OUTS.get(said, EventKind.OTHER) if said else EventKind.ANSWERED if payload else EventKind.REPLIED
    return ProviderEvent(
        natural_key=key_of("incoming", message),
        kind=kind,
        provider_kind=said or form.text("MessageType") or "received",
        channel=_channel(sender),
        recipients=(_person(sender),),
        token=token,
        tags=tags,
        provider_message_id=message,
        in_reply_to=asked_in,
        text=form.prose("Body"),
        answer=choice(payload, form.prose("ButtonText"), tags, asked_in) if kind is EventKind.ANSWERED else None,
    )


def _streamed(item: Fields) -> list[ProviderEvent]:
    kind, data = item.required("type"), item.within("data")
    message, to = data.text("messageSid") or data.text("message_sid"), data.text("to")
    sender = data.text("from")
    person = sender if kind == _INBOUND else to
    token, tags = ours_in(data.within("tags").values)
    at = next((name for name in ("click_time", "timestamp") if data.text(name)), None)
    event = ProviderEvent(
        natural_key=key_of("stream", item.required("id")),
        kind=_streamed_kind(kind),
        provider_kind=kind,
        channel=_channel(person or ""),
        occurred_at=data.instant(at) if at else item.instant("time"),
        recipients=(_person(person),) if person else (),
        token=token,
        tags=tags,
        provider_message_id=message,
        url=data.url("link"),
        user_agent=data.evidence("user_agent"),
        text=data.prose("body") if kind == _INBOUND else None,
    )
    return [event]


def _streamed_kind(kind: str) -> EventKind:
    if kind == _CLICKED:
        return EventKind.CLICKED
    if kind == _INBOUND:
        return EventKind.REPLIED
    is_message = kind.startswith("com.twilio.messaging.message.")
    return _STATUSES.get(kind.rpartition(".")[2], EventKind.OTHER) if is_message else EventKind.OTHER


def _channel(address: str) -> str:
    prefix = address.partition(":")[0]
    return prefix if prefix in _CHANNELS else "sms"


def _person(address: str) -> Identity:
    bare = address.partition(":")[2] or address
    return account(bare) if _channel(address) == "messenger" else phone(bare)


def _scheme(port: Port, *, streamed: bool) -> Signature:
    return Signature(
        place=Header("x-twilio-signature"),
        algorithm=Algorithm.HMAC_SHA1,
        encoding=Encoding.BASE64,
        signed=(Url(port),) if streamed else (Url(port), FormPairs(distinct=True)),
        secret="auth_token",
        body_digest=Query("bodySHA256") if streamed else None,
    )


ADAPTER = Adapter(
    name="twilio",
    title="Twilio",
    channels=("sms", "whatsapp", "rcs", "messenger"),
    schemes=tuple(_scheme(port, streamed=streamed) for streamed in (False, True) for port in Port),
    trust=Trust.SIGNED_BODY,
    verified_by="vendor vector",
    token_field="the query of StatusCallback: ?reward_token=; the payload of a button",
    secrets=(SecretShape("auth_token", "Auth Token"),),
    parse=_parse,
    # An empty answer to an incoming message sends nothing back.
    answers=AnswerCodes(body=b"<Response></Response>", content_type="text/xml"),
)
