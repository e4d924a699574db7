"""A set-up: what has to be known, which calls set the webhook up, and which secrets the source is to hold.

    Ask        a credential or name that the brand gives
    Call       one request to the provider, with `{names}` in it
    Listed     a webhook that is one of several: looked for, then made or put right
    Spread     an address that stands in several lists of addresses, one for each kind of event
    Assigned   a place that takes one address: somebody else's is not overwritten unasked
    Revealed   a secret that the provider made

    filled     a call with values for its names
    found_at   what is at a path of an answer

Whatever is done can be done again: each step looks first. So a set-up that ended in the middle is simply run once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import quote

import msgspec

Body: TypeAlias = Any
"""A JSON value; ``{name}`` in a text stands for a value."""

URL = "url"
"""The name of the source's address."""
PASSWORD = "password"
"""The name of a password for this source: the same whenever it is asked for with the same credential."""
TITLE = "title"
"""The name that a webhook of ours has at the provider; of this source alone."""

_NAME = re.compile(r"\{(\w+)\}")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What the brand has to give."""

    name: str
    title: str
    variable: str
    """The variable of the environment in which it is looked for."""
    is_secret: bool = True
    default: str | None = None
    is_required: bool = True


class Text(msgspec.Struct, frozen=True):
    """A JSON value that is written as a text, inside of a form."""

    value: Body


class Call(msgspec.Struct, frozen=True):
    """A request to the provider."""

    method: str
    url: str
    body: Body = None
    is_form: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has to be there. ``title`` is what the provider calls it."""

    title: str
    when: str | None = None
    """Only if this was given."""
    unless: str | None = None
    """Only if this was not given."""


class Listed(Step, frozen=True, kw_only=True):
    """One of several of its kind."""

    look: Call
    items: str
    """Where the list is in the answer."""
    marks: Mapping[str, str]
    """What ours has, by path in an item."""
    create: Call
    update: Call | None = None
    """Puts right what is there, by its ``{id}``."""
    id: str = "id"
    """Where its id is, in an item."""
    made_id: str = "id"
    """Where its id is, in the answer to ``create``."""
    saved_as: str = "id"
    """The name of its id in later calls."""
    next_page: str = ""
    """Where the address of the next page is in the answer."""
    none: int | None = None
    """The status of a list that is empty, where that is none of success."""


class Spread(Step, frozen=True, kw_only=True):
    """An address in several lists, one for each kind of event."""

    look: Call
    lists: str
    """Where the lists are in the answer, by kind."""
    addresses: str
    """Where the addresses are, in a list."""
    kinds: Sequence[str]
    add: Call
    """``{missing}`` stands for the kinds that lack the address."""


class Assigned(Step, frozen=True, kw_only=True):
    """A place for one address, or for several."""

    look: Call
    item: str = ""
    """Where the list is in the answer, of which one item is meant; empty: the answer is meant."""
    marks: Mapping[str, str] = {}
    addresses: Sequence[str]
    """Where the addresses are."""
    write: Call
    keeps: Sequence[str] = ()
    """Names of the answer that are written back, with ``sets`` put in. None: ``write`` has a body of its own."""
    sets: Mapping[str, Body] = {}
    """By path."""


class Revealed(msgspec.Struct, frozen=True):
    """A secret that the provider made. The first of the calls whose answer has it at ``path`` tells."""

    secret: str
    path: str
    calls: Sequence[Call]
    until: str
    """Stands for it until it is known, if the source is new: nobody knows it, so nothing is taken. ``{random}`` is drawn;
    `P256` is the public key of a pair whose private key is forgotten."""


P256 = "a key of nobody's"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider's webhook is set up."""

    source: str
    """The page that says so."""
    asks: Sequence[Ask]
    headers: Mapping[str, str]
    """How we show who we are, on each call."""
    basic: str | None = None
    """The same as a user and password."""
    steps: Sequence[Listed | Spread | Assigned]
    secrets: Mapping[str, str]
    """What the source holds and is known before."""
    reveals: Sequence[Revealed] = ()
    afterwards: str = ""
    """What is left for a person to do."""

    @property
    def credential(self) -> Ask:
        """What everything else is allowed by."""
        return next(ask for ask in self.asks if ask.is_secret)


def filled(template: Body, values: Mapping[str, Any]) -> Body:
    """A value with its names filled in; a text that is one name takes the value as it is."""
    if isinstance(template, str):
        whole = _NAME.fullmatch(template)
        if whole is not None and whole[1] in values:
            return values[whole[1]]
        return _NAME.sub(lambda name: str(values.get(name[1], name[0])), template)
    if isinstance(template, Text):
        return msgspec.json.encode(filled(template.value, values)).decode()
    if isinstance(template, dict):
        return {name: filled(value, values) for name, value in cast("dict[str, Body]", template).items()}
    if isinstance(template, list | tuple):
        return [filled(value, values) for value in cast("Sequence[Body]", template)]
    return template


def url_of(call: Call, values: Mapping[str, Any]) -> str:
    """The address of a call: what is filled in is one part of the path or query, whatever is in it."""
    return _NAME.sub(
        lambda name: quote(str(values.get(name[1], name[0])), safe="{}" if name[1] not in values else ""), call.url
    )


def found_at(answer: Any, path: str) -> Any:
    """What is at a path of names with dots between, or None."""
    for name in path.split(".") if path else ():
        answer = cast("dict[str, Any]", answer).get(name) if isinstance(answer, dict) else None
    return answer


def items_at(answer: Any, path: str) -> list[dict[str, Any]]:
    """The objects of a list at a path."""
    found = found_at(answer, path)
    return (
        [cast("dict[str, Any]", each) for each in cast("list[Any]", found) if isinstance(each, dict)]
        if isinstance(found, list)
        else []
    )


def with_set(answer: Any, sets: Mapping[str, Body]) -> Any:
    """An answer with other values at paths."""
    changed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    for path, value in sets.items():
        *parents, last = path.split(".")
        inner = changed
        for name in parents:
            if not isinstance(inner.get(name), dict):
                inner[name] = {}
            inner = inner[name]
        inner[last] = value
    return changed
