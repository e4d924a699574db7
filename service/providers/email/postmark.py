"""Postmark: one JSON object for each event, and for each mail that comes in.

Postmark signs nothing: a source holds the user name and password that are in the webhook's URL, or the header set up for it.
"""

from __future__ import annotations

from service.providers.adapter import BASIC_AUTH_PATTERN, PASSWORD_PATTERN, Adapter, AnswerCodes, SecretShape
from service.providers.email.mails import Mail, headers_of, reply
from service.providers.reading import Fields, json_of, key_of, object_of, ours_in
from service.providers.schemes import BASIC_AUTH, SECRET_HEADER
from service.providers.types import EventKind, Identity, IdentityKind, Parsed, ProviderEvent, ProviderRequest, Trust

_KINDS = {
    "Delivery": EventKind.DELIVERED,
    "Open": EventKind.OPENED,
    "Click": EventKind.CLICKED,
    "Bounce": EventKind.BOUNCED,
    "SpamComplaint": EventKind.COMPLAINED,
    "SMTPApiError": EventKind.FAILED,
}
_TIMES = ("ReceivedAt", "DeliveredAt", "BouncedAt", "ChangedAt")
_PERMANENT = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated", "Unsubscribe", "SpamNotification"})


def _parse(request: ProviderRequest) -> Parsed:
    body = object_of(json_of(request.body))
    return Parsed([_event(body) if body.text("RecordType") else _mail(body)])


def _event(body: Fields) -> ProviderEvent:
    kind, recipient = body.required("RecordType"), body.text("Recipient") or body.text("Email")
    message, bounce = body.text("MessageID"), body.text("Type") if body.text("RecordType") == "Bounce" else None
    at = next((name for name in _TIMES if body.text(name)), "ReceivedAt")
    token, tags = ours_in(body.within("Metadata").values)
    return ProviderEvent(
        natural_key=key_of(kind, message, recipient, body.text(at), body.url("OriginalLink"), body.text("ID")),
        kind=_kind(kind, body, bounce),
        provider_kind=f"{kind}.{bounce}" if bounce else kind,
        channel="email",
        occurred_at=body.instant(at),
        recipients=(Identity(IdentityKind.EMAIL, recipient),) if recipient else (),
        token=token,
        tags=tags,
        provider_message_id=message,
        url=body.url("OriginalLink"),
        user_agent=body.evidence("UserAgent"),
        ip=body.within("Geo").evidence("IP"),
        permanent=bounce in _PERMANENT if bounce else None,
    )


def _kind(kind: str, body: Fields, bounce: str | None) -> EventKind:
    if kind == "SubscriptionChange":
        return EventKind.UNSUBSCRIBED if body.flag("SuppressSending") else EventKind.RESUBSCRIBED
    # Postmark counts an automatic answer as a bounce; the mail was delivered.
    return EventKind.OTHER if bounce == "AutoResponder" else _KINDS.get(kind, EventKind.OTHER)


def _mail(body: Fields) -> ProviderEvent:
    mail = Mail(
        sender=body.within("FromFull").text("Email") or body.prose("From"),
        recipient=body.text("OriginalRecipient"),
        headers=headers_of((each.values.get("Name"), each.values.get("Value")) for each in body.objects("Headers")),
        text=body.prose("TextBody"),
        html=body.prose("HtmlBody"),
        stripped_text=body.prose("StrippedTextReply") or None,
        provider_message_id=body.text("MessageID"),
        opaque=body.text("MailboxHash"),
    )
    return reply(mail)


ADAPTER = Adapter(
    name="postmark",
    title="Postmark",
    channels=("email",),
    schemes=(BASIC_AUTH, SECRET_HEADER),
    trust=Trust.SHARED_SECRET,
    verified_by="nothing is signed",
    token_field="Metadata: reward_token",
    secrets=(
        SecretShape("basic_auth", "user:password in the webhook's URL", required=False, pattern=BASIC_AUTH_PATTERN),
        SecretShape("secret_header", "value of the header X-Reward-Secret", required=False, pattern=PASSWORD_PATTERN),
    ),
    parse=_parse,
    # 403 is the one code that stops it from trying again.
    answers=AnswerCodes(unreadable=403),
)
