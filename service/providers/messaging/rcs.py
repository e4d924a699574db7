"""RCS for Business (Google): what a person's phone reports and says, in the envelope of Pub/Sub.

The signature is over the data inside, so nothing around it is read. One webhook that fails delays the messages of all agents of
a partner: the answer is always 200.
"""

from __future__ import annotations

import hmac

from service.providers.adapter import Adapter, AnswerCodes, SecretShape
from service.providers.messaging.chats import choice, phone
from service.providers.reading import Fields, Unreadable, json_of, key_of, object_of, ours_in_text
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Header, JsonBase64
from service.providers.types import EventKind, Parsed, ProviderEvent, ProviderRequest, Reply, Secrets, Trust

_EVENTS = {
    "DELIVERED": EventKind.DELIVERED,
    "READ": EventKind.READ,
    "SUBSCRIBE": EventKind.OPTED_IN,
    "UNSUBSCRIBE": EventKind.OPTED_OUT,
}
_DATA = JsonBase64(("message", "data"))


def _handshake(request: ProviderRequest, secrets: Secrets) -> Reply | None:
    """Give the secret back to whoever knows the client token."""
    try:
        body = object_of(json_of(request.body))
        presented, secret = body.text("clientToken"), body.text("secret")
    except Unreadable:
        return None
    if presented is None or secret is None:
        return None
    known = any(hmac.compare_digest(presented.encode(), each.encode()) for each in secrets.get("client_token", ()) if each)
    return Reply(200, secret.encode()) if known else Reply(403)


def _parse(request: ProviderRequest) -> Parsed:
    data = _DATA.read(request)
    if data is None:
        raise Unreadable("message.data", "is not base64")
    body = object_of(json_of(data))
    return Parsed([_event(body) if body.values.get("eventType") else _message(body)])


def _event(body: Fields) -> ProviderEvent:
    kind, message = body.required("eventType"), body.text("messageId")
    return ProviderEvent(
        natural_key=key_of("event", body.required("eventId")),
        kind=_EVENTS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="rcs",
        occurred_at=body.instant("sendTime"),
        recipients=(phone(body.required("senderPhoneNumber")),),
        provider_message_id=message,
    )


def _message(body: Fields) -> ProviderEvent:
    suggestion = body.within("suggestionResponse")
    opaque = suggestion.text("postbackData", 4_096)
    token, tags = ours_in_text(opaque)
    message = body.required("messageId")
    return ProviderEvent(
        natural_key=key_of("message", message),
        kind=EventKind.ANSWERED if opaque else EventKind.REPLIED,
        provider_kind="suggestionResponse" if opaque else "message",
        channel="rcs",
        occurred_at=body.instant("sendTime"),
        recipients=(phone(body.required("senderPhoneNumber")),),
        token=token,
        tags=tags,
        provider_message_id=message,
        text=body.prose("text"),
        answer=choice(opaque, suggestion.prose("text"), tags) if opaque else None,
    )


ADAPTER = Adapter(
    name="rcs",
    title="RCS for Business (Google)",
    channels=("rcs",),
    schemes=(
        Signature(
            place=Header("x-goog-signature"),
            algorithm=Algorithm.HMAC_SHA512,
            encoding=Encoding.BASE64,
            signed=(_DATA,),
            secret="client_token",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="postbackData of a suggestion",
    secrets=(SecretShape("client_token", "clientToken"),),
    parse=_parse,
    handshake=_handshake,
    answers=AnswerCodes(unsigned=200, forged=200, unreadable=200),
)
