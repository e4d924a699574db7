"""CloudEvents 1.0 over HTTP: one event as JSON (structured), several (batched), or with its attributes in headers (binary).

A structured body may be signed as Standard Webhooks says. The headers of a binary event are not part of such a signature, so
it is only taken with a password.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from service.providers.adapter import BASIC_AUTH_PATTERN, Adapter, SecretShape
from service.providers.generic.standard_webhooks import SIGNING_SECRET, shared_secret
from service.providers.generic.words import event_in, may_tell_place
from service.providers.reading import Fields, json_of, key_of, read_each, read_list
from service.providers.schemes import BASIC_AUTH, BEARER
from service.providers.types import Parsed, ProviderEvent, ProviderRequest, Reply, Secrets, Trust

_STRUCTURED = ("application/cloudevents+json", "application/cloudevents-batch+json")
_ATTRIBUTE = "ce-"
_ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,253}")


def _handshake(request: ProviderRequest, secrets: Secrets) -> Reply | None:
    """Allow an origin that asks before it sends (CloudEvents, HTTP webhooks 4.1)."""
    origin = request.headers.get("webhook-request-origin", "")
    if request.method != "OPTIONS" or not _ORIGIN.fullmatch(origin):
        return None
    return Reply(200, headers={"webhook-allowed-origin": origin, "webhook-allowed-rate": "*", "allow": "POST"})


def _parse(request: ProviderRequest) -> Parsed:
    if request.headers.get("content-type", "").lower().startswith(_STRUCTURED):
        return read_list(request, lambda item: [_event(item)])
    named = [name for name in request.headers if name.startswith(_ATTRIBUTE)]
    attributes: dict[str, Any] = {name.removeprefix(_ATTRIBUTE): request.headers[name] for name in named}
    return read_each([{**attributes, "data": json_of(request.body)}], lambda item: [_event(item)])


def _event(item: Fields) -> ProviderEvent:
    source, event_id = item.required("source"), item.required("id")
    return event_in(item.within("data"), item.required("type"), item.instant("time"), key_of(source, event_id))


ADAPTER = Adapter(
    name="cloudevents",
    title="CloudEvents",
    channels=("email", "sms", "push", "whatsapp", "rcs", "app"),
    schemes=(msgspec.structs.replace(shared_secret("webhook"), content_types=_STRUCTURED), BEARER, BASIC_AUTH),
    trust=Trust.SIGNED_BODY,
    verified_by="our own shape",
    token_field="data.reward_token",
    secrets=(
        SIGNING_SECRET,
        SecretShape("bearer_token", "bearer token", required=False),
        SecretShape("basic_auth", "user:password", required=False, pattern=BASIC_AUTH_PATTERN),
    ),
    parse=_parse,
    handshake=_handshake,
    may_tell_place=may_tell_place,
)
