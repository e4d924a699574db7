"""The words of senders that have none of their own: kinds of events, and who a person is."""

from __future__ import annotations

from service.providers.reading import Fields
from service.providers.types import EventKind, Identity, IdentityKind

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
