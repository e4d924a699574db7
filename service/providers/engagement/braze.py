"""Braze Currents, the custom HTTP connector: batches of events, with a bearer token at most.

The same event may come twice; its ``id`` stays the same.
"""

from __future__ import annotations

from service.providers.adapter import Adapter, SecretShape
from service.providers.reading import Fields, json_of, key_of, object_of, read_each
from service.providers.schemes import BEARER
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "Send": EventKind.SENT,
    "Delivery": EventKind.DELIVERED,
    "Deferral": EventKind.DEFERRED,
    "Open": EventKind.OPENED,
    "Impression": EventKind.OPENED,
    "InfluencedOpen": EventKind.OTHER,
    "Read": EventKind.READ,
    "Click": EventKind.CLICKED,
    "ShortLinkClick": EventKind.CLICKED,
    "InboundReceive": EventKind.REPLIED,
    "Bounce": EventKind.BOUNCED,
    "SoftBounce": EventKind.BOUNCED,
    "DeliveryFailure": EventKind.FAILED,
    "Rejection": EventKind.FAILED,
    "Failure": EventKind.FAILED,
    "Abort": EventKind.FAILED,
    "MarkAsSpam": EventKind.COMPLAINED,
    "Unsubscribe": EventKind.UNSUBSCRIBED,
}
_CHANNELS = {"pushnotification": "push", "inappmessage": "app", "contentcard": "app"}
# A tap that opens the app is what a push has for a click.
_TAPPED = ("pushnotification", "Open")


def _parse(request: ProviderRequest) -> Parsed:
    return read_each(object_of(json_of(request.body)).each("events"), lambda item: [_event(item)])


def _event(item: Fields) -> ProviderEvent:
    kind, properties = item.required("event_type"), item.within("properties")
    channel, _, word = kind.removeprefix("users.messages.").partition(".")
    campaign = properties.text("canvas_id") or properties.text("campaign_id")
    machine = properties.flag("machine_open")
    return ProviderEvent(
        natural_key=key_of(item.required("id")),
        kind=EventKind.CLICKED if (channel, word) == _TAPPED else _kind(kind, word),
        provider_kind=kind,
        channel=_CHANNELS.get(channel, channel),
        occurred_at=item.seconds("time"),
        recipients=_person(item.within("user"), properties),
        tags={"provider_campaign": campaign} if campaign else {},
        provider_message_id=properties.text("dispatch_id") or properties.text("send_id"),
        url=properties.url("url"),
        user_agent=properties.evidence("user_agent"),
        machine=Machine.DECLARED if machine else Machine.NONE,
        machine_source="machine_open" if machine else None,
        text=properties.prose("message_body"),
        permanent=word == "Bounce" if word in {"Bounce", "SoftBounce"} else None,
    )


def _kind(kind: str, word: str) -> EventKind:
    return _KINDS.get(word, EventKind.OTHER) if kind.startswith("users.messages.") else EventKind.OTHER


def _person(user: Fields, properties: Fields) -> tuple[Identity, ...]:
    if customer := user.text("external_user_id"):
        return (Identity(IdentityKind.CUSTOMER, customer),)
    if email := properties.text("email_address"):
        return (Identity(IdentityKind.EMAIL, email),)
    known = user.text("user_id")
    return (Identity(IdentityKind.ACCOUNT, known),) if known else ()


ADAPTER = Adapter(
    name="braze",
    title="Braze Currents",
    channels=("email", "push", "sms", "whatsapp", "app", "webhook"),
    schemes=(BEARER,),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="none: the external id and the campaign say it",
    secrets=(SecretShape("bearer_token", "Bearer Token", required=False),),
    parse=_parse,
)
