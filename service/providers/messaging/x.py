"""X, the Account Activity API: direct messages and answers to posts, by list, of one subscribed account."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from typing import Any

import msgspec

from service.providers.adapter import Adapter, SecretShape
from service.providers.messaging.chats import account, choice
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in_text, read_each
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Body, Header, query_of
from service.providers.types import EventKind, Parsed, ProviderEvent, ProviderRequest, Reply, Secrets, Trust

_TOKEN_CHARACTERS_MAX = 512


def _handshake(request: ProviderRequest, secrets: Secrets) -> Reply | None:
    """The challenge-response check: sign the token with the consumer secret."""
    challenge = query_of(request.url).get("crc_token") if request.method == "GET" else None
    held = [secret for secret in secrets.get("consumer_secret", ()) if secret]
    if not challenge or not held:
        return None
    if len(challenge) > _TOKEN_CHARACTERS_MAX:
        return Reply(400)
    made = base64.b64encode(hmac.digest(held[0].encode(), challenge.encode(errors="replace"), "sha256")).decode()
    return Reply(200, msgspec.json.encode({"response_token": f"sha256={made}"}), "application/json")


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    us = body.text("for_user_id")
    return read_each(_items(body), lambda item: _read(item, us))


def _items(body: Fields) -> Iterator[Any]:
    for name in ("direct_message_events", "tweet_create_events", "favorite_events", "follow_events"):
        for each in body.each(name):
            yield {"in": name, "is": each}


def _read(item: Fields, us: str | None) -> list[ProviderEvent]:
    inner, name = item.within("is"), item.values["in"]
    if name == "direct_message_events":
        event = _direct_message(inner)
    else:
        event = _post(inner) if name == "tweet_create_events" else _other(inner, name)
    # What the account did itself is in the lists too.
    return [] if event.recipients == (account(us or ""),) else [event]


def _direct_message(event: Fields) -> ProviderEvent:
    message = event.within("message_create")
    data = message.within("message_data")
    opaque = data.within("quick_reply_response").text("metadata")
    token, tags = ours_in_text(opaque)
    own_id = event.required("id")
    return ProviderEvent(
        natural_key=key_of("message", own_id),
        kind=EventKind.ANSWERED if opaque else EventKind.REPLIED,
        provider_kind=event.text("type") or "message_create",
        channel="x",
        occurred_at=event.seconds("created_timestamp", per_second=1_000),
        recipients=(account(message.required("sender_id")),),
        token=token,
        tags=tags,
        provider_message_id=own_id,
        text=data.prose("text"),
        answer=choice(opaque, data.prose("text"), tags) if opaque else None,
    )


def _post(post: Fields) -> ProviderEvent:
    own_id, answers = post.required("id_str"), post.text("in_reply_to_status_id_str")
    return ProviderEvent(
        natural_key=key_of("post", own_id),
        kind=EventKind.REPLIED if answers else EventKind.OTHER,
        provider_kind="tweet_create",
        channel="x",
        occurred_at=post.seconds("timestamp_ms", per_second=1_000),
        recipients=(account(post.within("user").required("id_str")),),
        provider_message_id=own_id,
        in_reply_to=answers,
        text=post.prose("text"),
    )


def _other(event: Fields, name: str) -> ProviderEvent:
    who = event.within("user").text("id_str") or event.within("source").required("id")
    at = event.stamp("timestamp_ms") or event.stamp("created_timestamp")
    return ProviderEvent(
        natural_key=key_of(name, event.text("id"), who, at),
        kind=EventKind.OTHER,
        provider_kind=name.removesuffix("_events"),
        channel="x",
        recipients=(account(who),),
    )


ADAPTER = Adapter(
    name="x",
    title="X",
    channels=("x",),
    schemes=(
        Signature(
            place=Header("x-twitter-webhooks-signature"),
            algorithm=Algorithm.HMAC_SHA256,
            encoding=Encoding.BASE64,
            signed=(Body(),),
            secret="consumer_secret",
            prefix="sha256=",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="metadata of a quick reply's option",
    secrets=(SecretShape("consumer_secret", "API key secret (consumer secret)"),),
    parse=_parse,
    handshake=_handshake,
)
