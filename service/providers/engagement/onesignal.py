"""OneSignal Event Streams: a body that the brand writes; ours has the objects ``event``, ``message`` and ``user``."""

from __future__ import annotations

from service.providers.adapter import PASSWORD_PATTERN, Adapter, SecretShape
from service.providers.reading import Fields, key_of, ours_in, read_list
from service.providers.schemes import BEARER, SECRET_HEADER
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "sent": EventKind.SENT,
    "received": EventKind.DELIVERED,
    "confirmed_delivery": EventKind.DELIVERED,
    "delivered": EventKind.DELIVERED,
    "opened": EventKind.OPENED,
    "displayed": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "bounced": EventKind.BOUNCED,
    "hardbounced": EventKind.BOUNCED,
    "failed": EventKind.FAILED,
    "undelivered": EventKind.FAILED,
    "supressed": EventKind.FAILED,
    "suppressed": EventKind.FAILED,
    "reported_as_spam": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
}
_CHANNELS = {"iam": "app", "live_activity": "app"}


def _parse(request: ProviderRequest) -> Parsed:
    return read_list(request, lambda item: [_event(item)])


def _event(item: Fields) -> ProviderEvent:
    event, message, user = item.within("event"), item.within("message"), item.within("user")
    kind = event.required("kind")
    token, tags = ours_in(message.within("data").values)
    customer = user.text("external_id") or event.text("external_id")
    known = user.text("onesignal_id") or event.text("onesignal_id")
    person = Identity(IdentityKind.CUSTOMER, customer) if customer else Identity(IdentityKind.ACCOUNT, known) if known else None
    return ProviderEvent(
        natural_key=key_of(event.required("id")),
        kind=_KINDS.get(kind.rpartition(".")[2], EventKind.OTHER),
        provider_kind=kind,
        channel=_channel(kind),
        occurred_at=event.seconds("timestamp") or event.instant("datetime"),
        recipients=(person,) if person else (),
        token=token,
        tags=tags,
        provider_message_id=message.text("id"),
        url=event.within("data").url("url"),
        ip=event.within("data").evidence("ip"),
    )


def _channel(kind: str) -> str:
    parts = kind.split(".")
    named = parts[1] if len(parts) > 1 else "push"
    return _CHANNELS.get(named, named)


ADAPTER = Adapter(
    name="onesignal",
    title="OneSignal Event Streams",
    channels=("push", "email", "sms", "app"),
    schemes=(SECRET_HEADER, BEARER),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="data of the message: reward_token",
    secrets=(
        SecretShape("secret_header", "value of the custom header X-Reward-Secret", required=False, pattern=PASSWORD_PATTERN),
        SecretShape("bearer_token", "bearer token in the custom header Authorization", required=False),
    ),
    parse=_parse,
)
