"""Reading what a provider sent: bodies, then fields. A field that is not what it should be is ``Broken``, with its name.

    json_of            a whole body, or ``Unreadable``; forms are read by ``forms``
    Fields             an object of it: ``text``, ``instant``, ``within`` ... by name
    read_each          the events of a list: one that is broken is a fault with its index, the others are kept
    key_of             the natural key of what identifies an event

Nothing here goes down into a value by itself, so its depth costs nothing. Whole numbers become texts exactly as they were
written: ids go beyond what a double holds.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec

from service.providers.types import Fault, Parsed, ProviderEvent, ProviderRequest

EVENTS_MAX = 10_000
"""Events in a request: ten times what the largest batch of any provider is documented to have."""

ID_CHARACTERS_MAX = 512
TOKEN_CHARACTERS_MAX = 4_096
URL_CHARACTERS_MAX = 4_096
TEXT_CHARACTERS_MAX = 65_536

_PAIRS_MAX = 1_000
_TAGS_MAX = 16
_OUR_PREFIX = "reward_"
_TOKEN = "token"
# A link's token, its code or its address: a brand may have other things of its own in the same field.
_LOOKS_LIKE_OURS = re.compile(
    r"[\w-]{1,1000}\.[\w-]{1,2000}\.[\w-]{1,1000}|[A-Za-z0-9]{16}|https?://[\x21-\x7e]{1,2000}", re.ASCII
)
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Unreadable(Exception):
    """The request cannot be read; ``field`` is where, ``problem`` what is wrong there."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field, self.problem = field, problem


class Broken(Unreadable):
    """One event cannot be read."""


class Withheld(Broken):
    """What an event says is not to be kept."""


def json_of(body: bytes) -> Any:
    """The value of a JSON body."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    # One event with half a surrogate pair or a number out of range must not cost the others.
    try:
        return json.loads(body.decode())
    except UnicodeDecodeError:
        raise Unreadable("", "is not UTF-8") from None
    except RecursionError:
        raise Unreadable("", "is nested too deeply") from None
    except ValueError:
        raise Unreadable("", "is not JSON") from None


class Fields:
    """An object that a provider sent, with what it is called in messages."""

    __slots__ = ("_name", "values")

    def __init__(self, values: Mapping[str, Any], name: str = "") -> None:
        self.values, self._name = values, name

    def broken(self, name: str, problem: str) -> Broken:
        """Say what is wrong with a field."""
        return Broken(f"{self._name}.{name}" if self._name else name, problem)

    def text(self, name: str, characters_max: int = ID_CHARACTERS_MAX) -> str | None:
        """An id, an address, a word: something that is compared or stored as it is. Absent and empty are None."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return self._whole_number(name, value)
        if len(value) > characters_max or _UNPRINTABLE.search(value):
            raise self.broken(name, f"must be at most {characters_max} printable characters")
        return value

    def required(self, name: str) -> str:
        """A text without which the event says nothing."""
        return self._there(name, self.text(name))

    def stamp(self, name: str) -> str | None:
        """A time as it is written, which tells one event from another."""
        value = self.values.get(name)
        return repr(value) if isinstance(value, float) else self.text(name)

    def required_stamp(self, name: str) -> str:
        """A time without which two events could not be told apart."""
        return self._there(name, self.stamp(name))

    def prose(self, name: str) -> str | None:
        """A text that a person or program wrote, such as a reply; cut where it is too long, and made storable."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.broken(name, "must be a text")
        return storable(value)

    def evidence(self, name: str, characters_max: int = ID_CHARACTERS_MAX) -> str | None:
        """A text that is only looked at, such as a user agent: one that is no text is as good as none."""
        value = self.values.get(name)
        return _UNSTORABLE.sub("\ufffd", value[:characters_max]) or None if isinstance(value, str) else None

    def url(self, name: str) -> str | None:
        """The address that was clicked, as evidence."""
        return self.evidence(name, URL_CHARACTERS_MAX)

    def flag(self, name: str) -> bool:
        """Whether a flag is set, as a boolean or a word for it."""
        value = self.values.get(name)
        return value is True or value == 1 or (isinstance(value, str) and value.lower() in {"true", "1", "yes"})

    def within(self, name: str) -> Fields:
        """An object inside; an absent one has no fields."""
        value = self.values.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.broken(name, "must be an object")
        return Fields(cast("dict[str, Any]", value), f"{self._name}.{name}" if self._name else name)

    def each(self, name: str) -> list[Any]:
        """A list inside; an absent one is empty."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.broken(name, "must be a list")
        return cast("list[Any]", value)

    def objects(self, name: str) -> list[Fields]:
        """The objects of a list inside; what else is in it is passed over."""
        return [Fields(cast("dict[str, Any]", each), name) for each in self.each(name) if isinstance(each, dict)]

    def seconds(self, name: str, per_second: int = 1) -> datetime | None:
        """An instant as a number since 1970, also as a text; ``per_second`` 1000 for milliseconds."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
                raise ValueError
            return _plausible(datetime.fromtimestamp(float(value) / per_second, UTC))
        except (ValueError, OverflowError, OSError):
            raise self.broken(name, "must be a number of seconds or milliseconds since 1970") from None

    def instant(self, name: str) -> datetime | None:
        """An instant in ISO 8601; without an offset it is UTC."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            if not isinstance(value, str):
                raise ValueError
            read = datetime.fromisoformat(value)
            return _plausible(read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC))
        except (ValueError, OverflowError):
            raise self.broken(name, "must be a time in ISO 8601") from None

    def _there(self, name: str, value: str | None) -> str:
        if value is None:
            raise self.broken(name, "is missing")
        return value

    def _whole_number(self, name: str, value: Any) -> str:
        if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > 256:
            raise self.broken(name, "must be a text or a whole number")
        return str(value)


def storable(text: str | None) -> str | None:
    """A text as it can be kept: cut where it is too long, and without what a database has no place for."""
    return None if text is None else _UNSTORABLE.sub("\ufffd", text[:TEXT_CHARACTERS_MAX])


def object_of(value: Any, name: str = "") -> Fields:
    """The fields of a value that must be an object."""
    if not isinstance(value, dict):
        raise Broken(name, "must be an object")
    return Fields(cast("dict[str, Any]", value), name)


def ours_in(opaque: Mapping[str, Any]) -> tuple[str | None, dict[str, str]]:
    """Our token, and what else of ours a provider's opaque field holds: the names that begin with ``reward_``."""
    ours = Fields({name.removeprefix(_OUR_PREFIX): value for name, value in opaque.items() if name.startswith(_OUR_PREFIX)})
    token = ours.text(_TOKEN, TOKEN_CHARACTERS_MAX)
    names = [name for name in ours.values if name != _TOKEN][:_TAGS_MAX]
    return token, {name: value for name in names if (value := ours.text(name)) is not None}


def ours_in_text(opaque: str | None) -> tuple[str | None, dict[str, str]]:
    """The same of an opaque field that is one text: the token alone, or fields as a query or a JSON object writes them."""
    if not opaque:
        return None, {}
    if opaque.startswith("{"):
        return ours_in(_object_or_empty(opaque))
    if "=" in opaque and "://" not in opaque:
        return ours_in(_query_or_empty(opaque))
    return (opaque, {}) if _LOOKS_LIKE_OURS.fullmatch(opaque) else (None, {})


def read_each(items: Iterable[Any], read: Callable[[Fields], Iterable[ProviderEvent]]) -> Parsed:
    """Read each item of a list, which is one event, or several, or none, such as a provider's ping."""
    events: list[ProviderEvent] = []
    faults: list[Fault] = []
    for index, item in enumerate(items):
        if index == EVENTS_MAX:
            faults.append(Fault(index, "", f"a request has at most {EVENTS_MAX:,} events"))
            break
        try:
            events += read(object_of(item))
        except Broken as broken:
            faults.append(fault_of(broken, index))
    return Parsed(events, faults)


def fault_of(unreadable: Unreadable, index: int | None = None) -> Fault:
    """Say which event cannot be read, and why."""
    return Fault(index, unreadable.field, unreadable.problem, isinstance(unreadable, Withheld))


def read_list(request: ProviderRequest, read: Callable[[Fields], Iterable[ProviderEvent]]) -> Parsed:
    """Read a body that is a JSON array of events, or a single one."""
    value = json_of(request.body)
    return read_each(cast("list[Any]", value) if isinstance(value, list) else [value], read)


def key_of(*parts: str | None) -> str:
    """The natural key of what identifies an event: a hash, because it may say who the person is."""
    joined = b"".join(_prefixed(part) for part in parts)
    return hashlib.sha256(joined).hexdigest()[:40]


def _prefixed(part: str | None) -> bytes:
    # The length in front: "a", "bc" is not "ab", "c", and nothing is not the empty text.
    return b"-" if part is None else b"%d:%s" % (len(part), part.encode())


def _plausible(at: datetime) -> datetime:
    if not _FIRST <= at < _LAST:
        raise ValueError
    return at


def _object_or_empty(text: str) -> dict[str, Any]:
    try:
        value = json_of(text.encode(errors="replace"))
    except Unreadable:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _query_or_empty(text: str) -> dict[str, Any]:
    try:
        return dict(parse_qsl(text, max_num_fields=_PAIRS_MAX))
    except ValueError:
        return {}
