"""The words of senders that have none of their own: kinds of events, who a person is, and an event in our field names."""

from __future__ import annotations

from datetime import datetime

from service.providers.places import NO_COORDINATES, PLACE_RULE, exact_in, is_place
from service.providers.reading import Fields, Withheld, ours_in
from service.providers.types import Answer, EventKind, Identity, IdentityKind, ProviderEvent, ProviderRequest

_KINDS = {
    **{kind.value: kind for kind in EventKind},
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "reply": EventKind.REPLIED,
    "answer": EventKind.ANSWERED,
    "bounce": EventKind.BOUNCED,
    "complaint": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "enter": EventKind.ENTERED,
    "conversion": EventKind.CONVERTED,
}
_PERSON = (
    ("customer", IdentityKind.CUSTOMER),
    ("email", IdentityKind.EMAIL),
    ("phone", IdentityKind.PHONE),
    ("device", IdentityKind.DEVICE),
)


def kind_of(word: str) -> EventKind:
    """The kind that the last part of a type names, such as ``clicked`` of ``message.clicked``."""
    return _KINDS.get(word.rpartition(".")[2].lower(), EventKind.OTHER)


def person_in(data: Fields) -> tuple[Identity, ...]:
    """The person of an event, by the strongest name that its fields hold."""
    for name, kind in _PERSON:
        if value := data.text(name):
            return (Identity(kind, value),)
    return ()


def event_in(data: Fields, word: str, occurred_at: datetime | None, natural_key: str) -> ProviderEvent:
    """The event that our field names describe, for a sender whose envelope says the rest."""
    kind = kind_of(word)
    token, tags = ours_in(data.values)
    place = place_in(data) if kind is EventKind.ENTERED else None
    return ProviderEvent(
        natural_key=natural_key,
        kind=kind,
        provider_kind=word,
        channel=data.text("channel") or "app",
        occurred_at=occurred_at,
        recipients=person_in(data),
        token=token,
        tags={**tags, "place": place} if place else tags,
        provider_message_id=data.text("message_id"),
        # What is answered is inside of the message that is named.
        in_reply_to=data.text("in_reply_to") or (data.text("message_id") if kind is EventKind.ANSWERED else None),
        url=data.url("url"),
        user_agent=data.evidence("user_agent"),
        ip=data.evidence("ip"),
        text=data.prose("text"),
        answer=answer_in(data) if kind is EventKind.ANSWERED else None,
    )


def place_in(data: Fields) -> str:
    """The place that somebody came to. Raises ``Withheld`` if the event says more exactly where that is."""
    if (path := exact_in(data.values)) is not None:
        raise Withheld(data.broken(path, "").field.rstrip("."), NO_COORDINATES)
    place = data.required("place")
    if not is_place(place):
        raise Withheld(data.broken("place", "").field, PLACE_RULE)
    return place


def may_tell_place(request: ProviderRequest) -> bool:
    """Whether the word for entering a place may be in a request; it is in it, unless it is written in escapes."""
    body = request.body.lower()
    return b"enter" in body or b"\\u" in body or "enter" in request.headers.get("ce-type", "").lower()


def answer_in(data: Fields) -> Answer:
    """The answer to a question, each under our name."""
    return Answer(data.required("question"), data.required("answer"), data.text("question_version"))
