"""Klaviyo system webhooks: a list of events, each as its API gives it, under a topic."""

from __future__ import annotations

from service.providers.adapter import Adapter, SecretShape
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in, read_each
from service.providers.schemes import Algorithm, Encoding, Signature
from service.providers.signed_bytes import Body, Header
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

# By topic: our word, and the channel.
_TOPICS = {
    "email_delivered": (EventKind.DELIVERED, "email"),
    "received_email": (EventKind.DELIVERED, "email"),
    "opened_email": (EventKind.OPENED, "email"),
    "clicked_email": (EventKind.CLICKED, "email"),
    "bounced_email": (EventKind.BOUNCED, "email"),
    "dropped_email": (EventKind.FAILED, "email"),
    "marked_email_as_spam": (EventKind.COMPLAINED, "email"),
    "unsubscribed_from_email_marketing": (EventKind.UNSUBSCRIBED, "email"),
    "subscribed_to_email_marketing": (EventKind.RESUBSCRIBED, "email"),
    "sent_sms": (EventKind.REPLIED, "sms"),
    "received_sms": (EventKind.DELIVERED, "sms"),
    "clicked_sms": (EventKind.CLICKED, "sms"),
    "failed_to_deliver_sms": (EventKind.FAILED, "sms"),
    "unsubscribed_from_sms_marketing": (EventKind.OPTED_OUT, "sms"),
    "subscribed_to_sms_marketing": (EventKind.OPTED_IN, "sms"),
    "received_push": (EventKind.DELIVERED, "push"),
    "opened_push": (EventKind.CLICKED, "push"),
    "bounced_push": (EventKind.BOUNCED, "push"),
}
_NAMES = (("external_id", IdentityKind.CUSTOMER), ("email", IdentityKind.EMAIL), ("phone_number", IdentityKind.PHONE))
_PREFIX = "event:klaviyo."


def _parse(request: ProviderRequest) -> Parsed:
    return read_each(object_of(json_of(request.body)).each("data"), lambda item: [_event(item)])


def _event(item: Fields) -> ProviderEvent:
    topic, outer = item.required("topic"), item.within("payload")
    event = outer.within("data")
    attributes = event.within("attributes")
    properties = attributes.within("event_properties")
    kind, channel = _TOPICS.get(topic.removeprefix(_PREFIX), (EventKind.OTHER, "email"))
    token, tags = ours_in(properties.values)
    return ProviderEvent(
        natural_key=key_of(item.text("external_id") or event.required("id")),
        kind=kind,
        provider_kind=topic,
        channel=channel,
        occurred_at=attributes.seconds("timestamp") or attributes.instant("datetime"),
        recipients=_person(outer, event),
        token=token,
        tags=tags,
        provider_message_id=properties.text("$message") or properties.text("message_id"),
        url=properties.url("URL") or properties.url("$url"),
        text=properties.prose("Message Body") if kind is EventKind.REPLIED else None,
    )


def _person(outer: Fields, event: Fields) -> tuple[Identity, ...]:
    included = next((each for each in outer.objects("included") if each.values.get("type") == "profile"), Fields({}))
    profile = included.within("attributes")
    for name, kind in _NAMES:
        if value := profile.text(name):
            return (Identity(kind, value),)
    known = event.within("relationships").within("profile").within("data").text("id")
    return (Identity(IdentityKind.ACCOUNT, known),) if known else ()


ADAPTER = Adapter(
    name="klaviyo",
    title="Klaviyo",
    channels=("email", "sms", "push"),
    schemes=(
        Signature(
            place=Header("klaviyo-signature"),
            algorithm=Algorithm.HMAC_SHA256,
            encoding=Encoding.HEX,
            signed=(Body(), Header("klaviyo-timestamp")),
            secret="webhook_secret",
        ),
    ),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="a property of the event: reward_token",
    secrets=(SecretShape("webhook_secret", "secret key of the webhook"),),
    parse=_parse,
)
