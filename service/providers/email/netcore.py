"""Netcore Email API: an array of events with names in capitals. Nothing is signed, and a brand can set nothing but the URL."""

from __future__ import annotations

from service.providers.adapter import PASSWORD_PATTERN, Adapter, SecretShape
from service.providers.reading import Fields, key_of, ours_in_text, read_list
from service.providers.schemes import URL_SECRET
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "sent": EventKind.DELIVERED,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "bounced": EventKind.BOUNCED,
    "softbounced": EventKind.BOUNCED,
    "dropped": EventKind.FAILED,
    "invalid": EventKind.FAILED,
    "spam": EventKind.COMPLAINED,
}


def _parse(request: ProviderRequest) -> Parsed:
    return read_list(request, _event)


def _event(item: Fields) -> list[ProviderEvent]:
    kind, email, message = item.required("EVENT").lower(), item.text("EMAIL"), item.text("TRANSID")
    token, tags = ours_in_text(item.text("X-APIHEADER", 4_096))
    event = ProviderEvent(
        natural_key=key_of(message, email, kind, item.stamp("TIMESTAMP"), item.url("URL")),
        kind=_KINDS.get(kind, EventKind.OTHER),
        provider_kind=kind,
        channel="email",
        occurred_at=item.seconds("TIMESTAMP"),
        recipients=(Identity(IdentityKind.EMAIL, email),) if email else (),
        token=token,
        tags=tags,
        # A 64-bit number, which JSON in a browser would round.
        provider_message_id=message,
        url=item.url("URL"),
        user_agent=item.evidence("USERAGENT"),
        ip=item.evidence("IPADDRESS"),
        permanent=kind == "bounced" if kind.endswith("bounced") else None,
    )
    return [event]


ADAPTER = Adapter(
    name="netcore",
    title="Netcore Email API",
    channels=("email",),
    schemes=(URL_SECRET,),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="X-APIHEADER",
    secrets=(SecretShape("url_secret", "?secret= in the webhook's URL", required=False, pattern=PASSWORD_PATTERN),),
    parse=_parse,
)
