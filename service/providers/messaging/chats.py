"""What chats have in common: who somebody is by their address, and what they chose among the buttons of a message."""

from __future__ import annotations

from collections.abc import Mapping

from service.providers.reading import storable
from service.providers.types import Answer, Identity, IdentityKind

_ANSWER_CHARACTERS_MAX = 4_096


def phone(number: str) -> Identity:
    """A person by their phone number, which some providers write without its plus."""
    digits = number.removeprefix("+")
    return Identity(IdentityKind.PHONE, f"+{digits}" if digits.isascii() and digits.isdigit() else number)


def account(account_id: str) -> Identity:
    """A person by the id that the provider has for them."""
    return Identity(IdentityKind.ACCOUNT, account_id)


def choice(opaque: str | None, label: str | None, tags: Mapping[str, str], asked_in: str | None = None) -> Answer:
    """The answer that a button stands for.

    What lies behind the button may name the question (``reward_question``, ``reward_version``) and the answer
    (``reward_answer``). Otherwise the question is the message that asked, and the answer what the button says.
    """
    value = tags.get("answer") or label or opaque or ""
    return Answer(tags.get("question") or asked_in or "", storable(value[:_ANSWER_CHARACTERS_MAX]) or "", tags.get("version"))
