"""Customer.io: reporting webhooks, one JSON object for each event of a delivery.

It waits four seconds for an answer and tries for days, so nothing is called stale; ``event_id`` stays the same.
"""

from __future__ import annotations

from service.providers.adapter import Adapter, SecretShape
from service.providers.reading import Fields, json_of, key_of, object_of
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Body, Header, Text
from service.providers.types import EventKind, Identity, IdentityKind, Machine, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "opened": EventKind.OPENED,
    "human_opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "human_clicked": EventKind.CLICKED,
    "converted": EventKind.CONVERTED,
    "bounced": EventKind.BOUNCED,
    "dropped": EventKind.FAILED,
    "failed": EventKind.FAILED,
    "undeliverable": EventKind.FAILED,
    "spammed": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "subscribed": EventKind.RESUBSCRIBED,
}
_CHANNELS = {"in_app": "app", "customer": "email"}


def _parse(request: ProviderRequest) -> Parsed:
    return Parsed([_event(object_of(json_of(request.body)))])


def _event(body: Fields) -> ProviderEvent:
    metric, kind, data = body.required("metric"), body.text("object_type") or "email", body.within("data")
    campaign = data.text("broadcast_id") or data.text("campaign_id")
    machine = data.flag("machine")
    return ProviderEvent(
        natural_key=key_of(body.required("event_id")),
        kind=_KINDS.get(metric, EventKind.OTHER),
        provider_kind=f"{kind}_{metric}",
        channel=_CHANNELS.get(kind, kind),
        occurred_at=body.seconds("timestamp"),
        recipients=_person(data),
        tags={"provider_campaign": campaign} if campaign else {},
        provider_message_id=data.text("delivery_id"),
        url=data.url("href"),
        machine=Machine.SUSPECTED if machine else Machine.NONE,
        machine_source="machine" if machine else None,
    )


def _person(data: Fields) -> tuple[Identity, ...]:
    identifiers = data.within("identifiers")
    if customer := identifiers.text("id") or data.text("customer_id"):
        return (Identity(IdentityKind.CUSTOMER, customer),)
    if email := identifiers.text("email"):
        return (Identity(IdentityKind.EMAIL, email),)
    known = identifiers.text("cio_id")
    return (Identity(IdentityKind.ACCOUNT, known),) if known else ()


ADAPTER = Adapter(
    name="customer_io",
    title="Customer.io",
    channels=("email", "push", "sms", "app", "slack", "webhook", "whatsapp"),
    schemes=(
        Signature(
            place=Header("x-cio-signature"),
            algorithm=Algorithm.HMAC_SHA256,
            encoding=Encoding.HEX,
            signed=(Text("v0:"), Header("x-cio-timestamp"), Text(":"), Body()),
            secret="signing_key",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="none: the customer's id and the campaign say it",
    secrets=(SecretShape("signing_key", "Webhook signing key"),),
    parse=_parse,
)
