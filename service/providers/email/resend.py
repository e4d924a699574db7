"""Resend: one JSON object for each event, signed as Svix does.

Resend does not say which of several recipients opened or clicked; such an event names them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from service.providers.adapter import Adapter
from service.providers.generic.standard_webhooks import SIGNING_SECRET, shared_secret
from service.providers.reading import Fields, Unreadable, json_of, key_of, object_of, ours_in
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "email.sent": EventKind.SENT,
    "email.delivered": EventKind.DELIVERED,
    "email.delivery_delayed": EventKind.DEFERRED,
    "email.opened": EventKind.OPENED,
    "email.clicked": EventKind.CLICKED,
    "email.bounced": EventKind.BOUNCED,
    "email.complained": EventKind.COMPLAINED,
    "email.failed": EventKind.FAILED,
    "email.suppressed": EventKind.FAILED,
    "email.received": EventKind.REPLIED,
}


def _parse(request: ProviderRequest) -> Parsed:
    return Parsed([_event(request.headers.get("svix-id"), object_of(json_of(request.body)))])


def _event(svix_id: str | None, body: Fields) -> ProviderEvent:
    if not svix_id:
        raise Unreadable("", "has no id in its headers")
    kind, data = body.required("type"), body.within("data")
    click, bounce = data.within("click"), data.within("bounce")
    who = data.text("from") if kind == "email.received" else None
    recipients = [who] if who else [object_of({"to": each}).required("to") for each in data.each("to")]
    token, tags = ours_in(_tags(data.values.get("tags")))
    return ProviderEvent(
        natural_key=key_of(svix_id),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=click.instant("timestamp") or body.instant("created_at"),
        recipients=tuple(Identity(IdentityKind.EMAIL, each) for each in recipients),
        token=token,
        tags=tags,
        provider_message_id=data.text("email_id"),
        url=click.url("link"),
        user_agent=click.evidence("userAgent"),
        ip=click.evidence("ipAddress"),
        permanent=bounce.text("type") == "Permanent" if kind == "email.bounced" else None,
    )


def _tags(value: Any) -> Mapping[str, Any]:
    """Tags, which the documentation shows as an object and as a list of names and values."""
    if isinstance(value, dict):
        return object_of(value).values
    each = [object_of(tag) for tag in cast("list[Any]", value)] if isinstance(value, list) else []
    return {tag.required("name"): tag.values.get("value") for tag in each}


ADAPTER = Adapter(
    name="resend",
    title="Resend",
    channels=("email",),
    schemes=(shared_secret("svix"),),
    trust=Trust.SIGNED_BODY,
    verified_by="vendor vector",
    token_field="tags: reward_token",
    secrets=(SIGNING_SECRET,),
    parse=_parse,
)
