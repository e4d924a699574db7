"""Meta: WhatsApp Cloud, Messenger and Instagram, which share one envelope, one signature and one handshake.

The signature is over the bytes as they came: Meta escapes what is not ASCII in a way of its own, so JSON written again has
another one. Statuses come in any order. A tapped template button does not say which message it was in, so the token belongs
into the button's payload; ``biz_opaque_callback_data`` comes back with statuses.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import Any

from service.providers.adapter import Adapter, SecretShape
from service.providers.messaging.chats import account, choice, phone
from service.providers.reading import Broken, Fields, json_of, key_of, object_of, ours_in_text, read_each
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Body, Header, query_of
from service.providers.types import EventKind, Parsed, ProviderEvent, ProviderRequest, Reply, Secrets, Trust

_STATUSES = {
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "read": EventKind.READ,
    "played": EventKind.READ,
    "failed": EventKind.FAILED,
}
_PREFERENCES = {"stop": EventKind.OPTED_OUT, "resume": EventKind.OPTED_IN}
_CHANNELS = {"page": "messenger", "instagram": "instagram"}
_CHALLENGE_CHARACTERS_MAX = 512


def handshake(request: ProviderRequest, secrets: Secrets) -> Reply | None:
    """Give the challenge back to whoever knows the verify token."""
    if request.method != "GET":
        return None
    asked = query_of(request.url)
    if asked.get("hub.mode") != "subscribe":
        return None
    presented, challenge = asked.get("hub.verify_token", "").encode(errors="replace"), asked.get("hub.challenge", "")
    known = any(hmac.compare_digest(presented, secret.encode()) for secret in secrets.get("verify_token", ()) if secret)
    if not known or len(challenge) > _CHALLENGE_CHARACTERS_MAX:
        return Reply(403)
    return Reply(200, challenge.encode(errors="replace"))


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    channel = _CHANNELS.get(body.text("object") or "", "whatsapp")
    return read_each(_items(body), lambda item: _read(item, channel))


def _items(body: Fields) -> Iterator[Any]:
    """What happened, one thing each, with the name of the list that it stood in; None for what cannot be read."""
    for entry in body.each("entry"):
        yield from _kept(_of_entry, entry)


def _of_entry(entry: Fields) -> Iterator[Any]:
    for event in entry.each("messaging"):
        yield {"in": "messaging", "is": event}
    for change in entry.each("changes"):
        yield from _kept(_of_change, change)


def _of_change(change: Fields) -> Iterator[Any]:
    value = change.within("value")
    for name in ("messages", "statuses", "user_preferences"):
        for each in value.each(name):
            yield {"in": name, "is": each}


def _kept(read: Callable[[Fields], Iterator[Any]], value: Any) -> list[Any]:
    try:
        return list(read(object_of(value)))
    except Broken:
        return [None]


def _read(item: Fields, channel: str) -> Iterator[ProviderEvent]:
    inner = item.within("is")
    if item.values["in"] == "messages":
        yield _message(inner)
    elif item.values["in"] == "statuses":
        yield _status(inner)
    elif item.values["in"] == "user_preferences":
        yield _preference(inner)
    else:
        yield from _page_event(inner, channel)


def _status(status: Fields) -> ProviderEvent:
    word, message, who = status.required("status"), status.required("id"), status.text("recipient_id")
    token, tags = ours_in_text(status.text("biz_opaque_callback_data"))
    return ProviderEvent(
        natural_key=key_of("status", message, word, who),
        kind=_STATUSES.get(word, EventKind.OTHER),
        provider_kind=word,
        channel="whatsapp",
        occurred_at=status.seconds("timestamp"),
        recipients=(phone(who),) if who else (),
        token=token,
        tags=tags,
        provider_message_id=message,
    )


def _message(message: Fields) -> ProviderEvent:
    kind, own_id = message.text("type") or "unknown", message.required("id")
    opaque, label = _chosen(message, kind)
    asked_in = message.within("context").text("id")
    token, tags = ours_in_text(opaque)
    answered = opaque is not None
    return ProviderEvent(
        natural_key=key_of("message", own_id),
        kind=EventKind.ANSWERED if answered else EventKind.OTHER if kind == "reaction" else EventKind.REPLIED,
        provider_kind=kind,
        channel="whatsapp",
        occurred_at=message.seconds("timestamp"),
        recipients=(phone(message.required("from")),),
        token=token,
        tags=tags,
        provider_message_id=own_id,
        in_reply_to=asked_in,
        text=message.within("text").prose("body") if kind == "text" else None,
        answer=choice(opaque, label, tags, asked_in) if answered else None,
    )


def _chosen(message: Fields, kind: str) -> tuple[str | None, str | None]:
    """What lies behind the button, entry or form that was used, and what it says."""
    if kind == "button":
        button = message.within("button")
        return button.text("payload") or button.required("text"), button.prose("text")
    inner = message.within("interactive") if kind == "interactive" else Fields({})
    for name in ("button_reply", "list_reply"):
        if inner.values.get(name):
            reply = inner.within(name)
            return reply.required("id"), reply.prose("title")
    if inner.values.get("nfm_reply"):
        # A Flow's token is ours; the rest is what the person filled in.
        return _flow(inner.within("nfm_reply"))
    return None, None


def _flow(reply: Fields) -> tuple[str, str]:
    written = reply.prose("response_json") or ""
    filled_in = object_of(json_of(written.encode(errors="replace")), "response_json")
    return filled_in.text("flow_token", 4_096) or "", written


def _preference(preference: Fields) -> ProviderEvent:
    who, value = preference.required("wa_id"), preference.required("value")
    return ProviderEvent(
        natural_key=key_of("preference", who, value, preference.required("timestamp")),
        kind=_PREFERENCES.get(value, EventKind.OTHER),
        provider_kind=f"user_preferences.{value}",
        channel="whatsapp",
        occurred_at=preference.seconds("timestamp"),
        recipients=(phone(who),),
    )


def _page_event(event: Fields, channel: str) -> Iterator[ProviderEvent]:
    """An event of a page's or account's inbox. An echo is what the brand wrote itself."""
    if event.within("message").flag("is_echo"):
        return
    for name, read in (("message", _page_message), ("postback", _postback), ("read", _page_read)):
        if event.values.get(name):
            yield read(event, event.within(name), channel)
            return


def _page_message(event: Fields, message: Fields, channel: str) -> ProviderEvent:
    payload = message.within("quick_reply").text("payload")
    token, tags = ours_in_text(payload)
    asked_in = message.within("reply_to").text("mid")
    return ProviderEvent(
        natural_key=key_of("mid", message.required("mid")),
        kind=EventKind.ANSWERED if payload else EventKind.REPLIED,
        provider_kind="quick_reply" if payload else "message",
        channel=channel,
        occurred_at=event.seconds("timestamp", per_second=1_000),
        recipients=(account(event.within("sender").required("id")),),
        token=token,
        tags=tags,
        provider_message_id=message.text("mid"),
        in_reply_to=asked_in,
        text=message.prose("text"),
        answer=choice(payload, message.prose("text"), tags, asked_in) if payload else None,
    )


def _postback(event: Fields, postback: Fields, channel: str) -> ProviderEvent:
    who, payload = event.within("sender").required("id"), postback.text("payload")
    token, tags = ours_in_text(payload)
    return ProviderEvent(
        natural_key=key_of("postback", postback.text("mid") or event.text("timestamp"), who, payload),
        kind=EventKind.ANSWERED,
        provider_kind="postback",
        channel=channel,
        occurred_at=event.seconds("timestamp", per_second=1_000),
        recipients=(account(who),),
        token=token,
        tags=tags,
        provider_message_id=postback.text("mid"),
        answer=choice(payload, postback.prose("title"), tags),
    )


def _page_read(event: Fields, read: Fields, channel: str) -> ProviderEvent:
    """A read receipt. Messenger says up to when somebody has read, Instagram which message."""
    who, message = event.within("sender").required("id"), read.text("mid")
    return ProviderEvent(
        natural_key=key_of("read", who, message or read.required("watermark")),
        kind=EventKind.READ,
        provider_kind="read",
        channel=channel,
        occurred_at=event.seconds("timestamp", per_second=1_000),
        recipients=(account(who),),
        provider_message_id=message,
    )


ADAPTER = Adapter(
    name="meta",
    title="Meta (WhatsApp Cloud, Messenger, Instagram)",
    channels=("whatsapp", "messenger", "instagram"),
    schemes=(
        Signature(
            place=Header("x-hub-signature-256"),
            algorithm=Algorithm.HMAC_SHA256,
            encoding=Encoding.HEX,
            signed=(Body(),),
            secret="app_secret",
            prefix="sha256=",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="biz_opaque_callback_data; the payload or id of a button; a Flow's flow_token",
    secrets=(
        SecretShape("app_secret", "App secret"),
        SecretShape("verify_token", "Verify token, of your own choosing"),
    ),
    parse=_parse,
    handshake=handshake,
)
