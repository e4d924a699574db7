"""Amazon SES, through SNS: an event is JSON in a text in JSON.

SES does not say which of several recipients opened or clicked; such an event names them all. A token does not fit into a
message tag, which has no dots, so it travels in the header ``X-Reward-Token``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from service.providers.adapter import Adapter, SecretShape
from service.providers.email.mails import Mail, headers_of, is_proved, read_mime, reply
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in, read_each
from service.providers.sns import CONFIRM_URL, CONFIRMATION, NOTIFICATION, TOPIC, SnsSignature
from service.providers.types import EventKind, Fault, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

# By kind: our word, where the details are, and the list that says whom it happened to.
_KINDS: dict[str, tuple[EventKind, str, str]] = {
    "Send": (EventKind.SENT, "send", ""),
    "Delivery": (EventKind.DELIVERED, "delivery", "recipients"),
    "DeliveryDelay": (EventKind.DEFERRED, "deliveryDelay", "delayedRecipients"),
    "Open": (EventKind.OPENED, "open", ""),
    "Click": (EventKind.CLICKED, "click", ""),
    "Bounce": (EventKind.BOUNCED, "bounce", "bouncedRecipients"),
    "Complaint": (EventKind.COMPLAINED, "complaint", "complainedRecipients"),
    "Reject": (EventKind.FAILED, "reject", ""),
    "Rendering Failure": (EventKind.FAILED, "failure", ""),
    "Subscription": (EventKind.OTHER, "subscription", ""),
}
_TAG_HEADERS = "x-reward-"


def _parse(request: ProviderRequest) -> Parsed:
    outer = object_of(json_of(request.body))
    if outer.text("Type") == CONFIRMATION:
        return _confirmation(outer.evidence("SubscribeURL", 4_096) or "")
    message = outer.values.get("Message")
    # SES announces itself to a new topic in a sentence.
    if outer.text("Type") != NOTIFICATION or not isinstance(message, str) or not message.startswith("{"):
        return Parsed()
    return read_each([json_of(message.encode(errors="replace"))], _events)


def _confirmation(url: str) -> Parsed:
    if CONFIRM_URL.fullmatch(url):
        return Parsed(confirm_url=url)
    return Parsed(faults=[Fault(None, "SubscribeURL", "does not confirm a subscription at Amazon")])


def _events(body: Fields) -> Iterator[ProviderEvent]:
    kind = body.text("eventType") or body.required("notificationType")
    if kind == "Received":
        yield _mail(body)
        return
    ours, detail_name, whom = _KINDS.get(kind, (EventKind.OTHER, "", ""))
    detail = body.within(detail_name) if detail_name else Fields({})
    everyone = [_address(each) for each in body.within("mail").each("destination")]
    if whom and detail.each(whom):
        for each in detail.each(whom):
            yield _event(body, kind, ours, detail, [_address(each)])
    else:
        yield _event(body, kind, ours, detail, everyone)


def _event(body: Fields, kind: str, ours: EventKind, detail: Fields, recipients: list[str]) -> ProviderEvent:
    mail = body.within("mail")
    at = detail if detail.text("timestamp") else mail
    token, tags = _ours(mail)
    return ProviderEvent(
        natural_key=key_of(
            mail.required("messageId"), kind, at.text("timestamp"), detail.text("feedbackId"), detail.url("link"), *recipients
        ),
        kind=_subscription(detail) if kind == "Subscription" else ours,
        provider_kind=kind,
        channel="email",
        occurred_at=at.instant("timestamp"),
        recipients=tuple(Identity(IdentityKind.EMAIL, each) for each in recipients),
        token=token,
        tags=tags,
        provider_message_id=mail.text("messageId"),
        url=detail.url("link"),
        user_agent=detail.evidence("userAgent"),
        ip=detail.evidence("ipAddress"),
        permanent=detail.text("bounceType") == "Permanent" if kind == "Bounce" else None,
    )


def _address(value: Any) -> str:
    if isinstance(value, dict):
        return object_of(value).required("emailAddress")
    return Fields({"destination": value}).required("destination")


def _subscription(detail: Fields) -> EventKind:
    chosen = detail.within("newTopicPreferences")
    topics = [object_of(each).text("subscriptionStatus") for each in chosen.each("topicSubscriptionStatus")]
    left = chosen.flag("unsubscribeAll") or "OptOut" in topics
    return EventKind.UNSUBSCRIBED if left else EventKind.RESUBSCRIBED


def _ours(mail: Fields) -> tuple[str | None, dict[str, str]]:
    headers = _headers(mail)
    in_headers = {
        f"reward_{name[len(_TAG_HEADERS) :]}": text for name, text in headers.items() if name.startswith(_TAG_HEADERS)
    }
    # A tag's value is a list of one.
    tags = mail.within("tags")
    return ours_in({**{name: value[0] for name in tags.values if (value := tags.each(name))}, **in_headers})


def _headers(mail: Fields) -> dict[str, str]:
    return headers_of((each.values.get("name"), each.values.get("value")) for each in mail.objects("headers"))


def _mail(body: Fields) -> ProviderEvent:
    mail, content = body.within("mail"), body.values.get("content")
    action = body.within("receipt").within("action")
    _, text = read_mime(_raw(content, action.text("encoding"))) if isinstance(content, str) else ({}, None)
    recipients = body.within("receipt").each("recipients")
    return reply(
        Mail(
            sender=mail.text("source"),
            recipient=_address(recipients[0]) if recipients else None,
            headers=_headers(mail),
            text=text,
            received_at=mail.instant("timestamp"),
            provider_message_id=mail.text("messageId"),
            provider_kind="Received",
            is_proved=_is_proved(body),
        )
    )


def _is_proved(body: Fields) -> bool | None:
    """DMARC is of the address in the mail's `From`, SPF of the envelope's, which is who sent it for us."""
    receipt, source = body.within("receipt"), body.within("mail").evidence("source")
    spf, dmarc = (receipt.within(name).evidence("status") for name in ("spfVerdict", "dmarcVerdict"))
    if spf is None and dmarc is None:
        return None
    written = _headers(body.within("mail")).get("from", "")
    signed = [(written.rpartition("@")[2].strip("<> "), dmarc or "")]
    return is_proved(source, spf, source, signed)


def _raw(content: str, encoding: str | None) -> bytes:
    raw = content.encode(errors="replace")
    try:
        return base64.b64decode(raw) if encoding == "BASE64" else raw
    except binascii.Error:
        return raw


ADAPTER = Adapter(
    name="ses",
    title="Amazon SES",
    channels=("email",),
    schemes=(SnsSignature(),),
    trust=Trust.SIGNED_BODY,
    verified_by="computed",
    token_field="a header of the mail: X-Reward-Token",
    secrets=(
        SecretShape("topic_arn", "ARN of the SNS topic", pattern=TOPIC, form="like arn:aws:sns:eu-west-1:123456789012:events"),
    ),
    parse=_parse,
)
