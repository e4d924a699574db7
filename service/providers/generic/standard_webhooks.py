"""Any sender that signs as Standard Webhooks 1.0.0 says, with a shared secret (v1) or a key pair (v1a); and Svix, whose headers
have its own name.

The standard leaves the payload to the sender: ``{"type", "timestamp", "data"}``. The last word of ``type`` is the kind of
event; ``data`` has our fields by the names below.
"""

from __future__ import annotations

import msgspec

from service.providers.adapter import Adapter, SecretShape
from service.providers.generic.words import event_in, may_tell_place
from service.providers.reading import Fields, Unreadable, json_of, key_of, object_of
from service.providers.schemes import Algorithm, Encoding, Signature, Timestamp
from service.providers.signed_bytes import Body, Header, Text
from service.providers.types import Parsed, ProviderEvent, ProviderRequest, Trust

_TOLERANCE_S = 300
SIGNING_SECRET = SecretShape(
    "signing_secret",
    "signing secret",
    required=False,
    pattern=r"(whsec_)?[A-Za-z0-9+/]{16,128}={0,2}",
    form="whsec_ and 16 to 128 characters of base64",
)
_PUBLIC_KEY = SecretShape(
    "public_key",
    "public key",
    required=False,
    pattern=r"(whpk_)?[A-Za-z0-9+/]{43}=",
    form="whpk_ and the base64 text of 32 bytes",
)


def shared_secret(headers: str) -> Signature:
    """The scheme v1, with the headers ``{headers}-id``, ``-timestamp`` and ``-signature``."""
    return Signature(
        place=Header(f"{headers}-signature"),
        algorithm=Algorithm.HMAC_SHA256,
        encoding=Encoding.BASE64,
        signed=(Header(f"{headers}-id"), Text("."), Header(f"{headers}-timestamp"), Text("."), Body()),
        secret=SIGNING_SECRET.name,
        prefix="v1,",
        separator=" ",
        key=Encoding.BASE64,
        key_prefix="whsec_",
        # A retry is signed again, with a new time.
        timestamp=Timestamp(Header(f"{headers}-timestamp"), _TOLERANCE_S),
    )


def key_pair(headers: str) -> Signature:
    """The scheme v1a: the same bytes, signed with Ed25519."""
    return msgspec.structs.replace(
        shared_secret(headers), algorithm=Algorithm.ED25519, secret=_PUBLIC_KEY.name, prefix="v1a,", key_prefix="whpk_"
    )


def _adapter(name: str, title: str, headers: str) -> Adapter:
    def parse(request: ProviderRequest) -> Parsed:
        # Only the id in the header that was signed: it stays the same when the sender tries again.
        return Parsed([_event(request.headers.get(f"{headers}-id"), object_of(json_of(request.body)))])

    return Adapter(
        name=name,
        title=title,
        channels=("email", "sms", "push", "whatsapp", "app"),
        schemes=(shared_secret(headers), key_pair(headers)),
        trust=Trust.SIGNED_BODY,
        verified_by="vendor vector",
        token_field="data.reward_token",
        secrets=(SIGNING_SECRET, _PUBLIC_KEY),
        parse=parse,
        may_tell_place=may_tell_place,
    )


def _event(message_id: str | None, body: Fields) -> ProviderEvent:
    if not message_id:
        raise Unreadable("", "has no id in its headers")
    return event_in(body.within("data"), body.required("type"), body.instant("timestamp"), key_of(message_id))


ADAPTER = _adapter("standard_webhooks", "Standard Webhooks", "webhook")
SVIX = _adapter("svix", "Svix", "svix")
