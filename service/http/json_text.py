"""What a decoder passes over in a JSON text: how deep and large it is, keys given twice, texts that cannot be kept.

    refuse_beyond_bounds   before anything is made of a text: counts, no more
    is_told_once           whether every key of what was decoded was given once; cheap, and never says so of one given twice
    read_whole             everything that is there, also what has no place in a struct; raises what is wrong with any of it
    first_said_of          the first value of which there is something to say, and its pointer
    spans_of_array         where the elements of an array are, also of one whose texts are broken

All of it takes time and memory in proportion to the text. A pointer is made for the one value that is named.
"""

from __future__ import annotations

import enum
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from itertools import accumulate
from typing import Annotated, Any, Literal, cast

import msgspec

from service.admission.limits import JSON_DEPTH_MAX, JSON_KEY_CHARACTERS_MAX, JSON_MEMBERS_MAX, JSON_VALUES_MAX
from service.http.problems import FieldError, Problem

_SHOWN_MAX = 100

# It always matches up to where a text ends, or the whole does, so nothing is looked at twice.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord(bracket): 1 if bracket in "[{" else -1 for bracket in "[]{}"}


def shown(text: str) -> str:
    """Return what is repeated of a text that somebody sent. It can be written down, whatever the text has."""
    short = text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
    return short.encode(errors="replace").decode()


def escaped(name: str) -> str:
    """Return a name as it is written in a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def refuse_beyond_bounds(raw: bytes) -> None:
    """Refuse a text with too many values or too much nesting. Commas and brackets inside of texts count as values too."""
    opened = raw.count(b"[") + raw.count(b"{")
    # Each value has at most two texts, its own and its name.
    if raw.count(b",") + opened > JSON_VALUES_MAX or raw.count(b'"') > 4 * (JSON_VALUES_MAX + 1):
        raise Problem("malformed_body", f"The JSON has more than {JSON_VALUES_MAX:,} values.")
    if opened > JSON_DEPTH_MAX and _depth(raw) > JSON_DEPTH_MAX:
        raise _too_deep()


def _depth(raw: bytes) -> int:
    brackets = _TEXT.sub(b"", raw).translate(None, _ALL_BUT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _too_deep() -> Problem:
    return Problem("malformed_body", f"The JSON is nested more than {JSON_DEPTH_MAX} levels deep.")


_encode = msgspec.json.Encoder().encode
_COUNTED = (str, int, float, bool, type(None), datetime, date)
_uncounted = -1
_lean = -2
# By type: how many quotes its encoder writes for what was not sent; that it writes nothing that was not; or that they cannot be
# counted on.
_quotes_unsent: dict[Any, int] = {}


def is_told_once(raw: bytes, value: Any, declared: type, *, has_escapes: bool = True) -> bool:
    """Whether each key in ``raw`` was given once, going by how many quotes there are and how many ``value`` needs.

    ``False`` says only that this is not sure: the text must then be read whole. It is so where a key was given twice, and also
    where null or a default was sent. ``has_escapes``: that there may be letters in ``raw`` by their numbers.
    """
    unsent = _quotes_unsent.get(declared)
    if unsent is None:
        unsent = _quotes_unsent[declared] = _count_unsent(declared)
    # An escaped quote is one more than the text shows.
    if unsent == _uncounted or (has_escapes and b"\\u0022" in raw):
        return False
    encoded = _encode(value)
    if unsent == _lean:
        return raw.count(b'"') <= encoded.count(b'"')
    return raw.count(b'"') <= encoded.count(b'"') - 2 * encoded.count(b":null") - unsent


def _count_unsent(declared: Any) -> int:
    if not _is_struct(declared) or not _is_counted(declared):
        return _uncounted
    if all(struct.__struct_config__.omit_defaults and _has_only_null_defaults(struct) for struct in _structs_in(declared)):
        return _lean
    unsent = 0
    for field in msgspec.structs.fields(declared):
        default = _default_of(field)
        if default is not None and not field.required:
            unsent += 2 + _encode(default).count(b'"')
    return unsent


def _is_counted(declared: Any) -> bool:
    """Whether the values of a type are written with as many quotes as they are sent with."""
    if _is_struct(declared):
        hints = typing.get_type_hints(declared, include_extras=True)
        return all(
            _is_counted(hint := hints[field.name])
            # How many there are inside, and so how much of them was not sent, is not known.
            and all(_has_only_null_defaults(struct) for struct in _structs_in(hint))
            for field in msgspec.structs.fields(declared)
        )
    origin = typing.get_origin(declared)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_counted(typing.get_args(declared)[0])
    if origin in {list, dict, typing.Union, types.UnionType}:
        return all(_is_counted(member) for member in typing.get_args(declared))
    return declared in _COUNTED or (isinstance(declared, type) and issubclass(declared, enum.Enum))


def _has_only_null_defaults(struct: type[msgspec.Struct]) -> bool:
    return all(field.required or _default_of(field) is None for field in msgspec.structs.fields(struct))


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _structs_in(declared: Any) -> Iterator[type[msgspec.Struct]]:
    if _is_struct(declared):
        yield declared
        for hint in typing.get_type_hints(declared, include_extras=True).values():
            yield from _structs_in(hint)
    elif typing.get_origin(declared) is not Literal:
        for member in typing.get_args(declared):
            yield from _structs_in(member)


def _is_struct(declared: Any) -> bool:
    return isinstance(declared, type) and issubclass(declared, msgspec.Struct)


class _Twice:
    """Stands where an object is whose key was given twice."""

    def __init__(self, key: str) -> None:
        self.key = key


def read_whole(raw: bytes) -> Any:
    """Read all there is, texts with broken bytes too, which then hold lone surrogates; ``None`` when it is not JSON at all.

    Raises the ``Problem`` of what is beyond bounds, or of a key that is given twice in one object.
    """
    refuse_beyond_bounds(raw)
    doubled: list[_Twice] = []

    def object_of(pairs: list[tuple[str, Any]]) -> Any:
        members = dict(pairs)
        if len(pairs) > JSON_MEMBERS_MAX:
            raise Problem("malformed_body", f"An object has more than {JSON_MEMBERS_MAX:,} members.")
        if max(map(len, members), default=0) > JSON_KEY_CHARACTERS_MAX:
            name = shown(max(members, key=len))
            raise Problem("malformed_body", f"The key {name} is longer than {JSON_KEY_CHARACTERS_MAX} characters.")
        if len(members) == len(pairs):
            return members
        doubled.append(_Twice(_first_doubled(pairs)))
        return doubled[-1]

    # Numbers are not looked at; the time to read a whole one grows with the square of its length.
    reader = json.JSONDecoder(object_pairs_hook=object_of, parse_int=float)
    try:
        whole = reader.decode(raw.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        return None
    if doubled:
        raise _given_twice(whole)
    return whole


def _first_doubled(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))


def _given_twice(whole: Any) -> Problem:
    found = first_said_of(whole, lambda value: value.key if isinstance(value, _Twice) else None)
    assert found is not None
    pointer, key = found
    return key_given_twice(pointer, key)


def key_given_twice(pointer: str, key: str) -> Problem:
    """The problem with an object at ``pointer`` that has ``key`` twice."""
    where = f"{pointer}/{escaped(key)}".encode(errors="replace").decode()
    detail = "is given twice"
    return Problem("malformed_body", f"{where}: {detail}.", errors=[FieldError(where, "malformed_body", detail)])


def first_said_of(value: Any, says: Callable[[Any], str | None]) -> tuple[str, str] | None:
    """The pointer of the first value of which ``says`` says something, and what it says."""
    said = says(value)
    if said is not None:
        return "", said
    match value:
        case dict():
            steps: Iterator[tuple[Any, Any]] = iter(cast("dict[str, Any]", value).items())
        case list():
            steps = enumerate(cast("list[Any]", value))
        case _:
            return None
    for step, inner in steps:
        if (found := first_said_of(inner, says)) is not None:
            return f"/{escaped(str(step))}{found[0]}", found[1]
    return None


def unkeepable(value: Any) -> str | None:
    """Say what is wrong with a text, or with an object's keys, that the database could not keep."""
    if isinstance(value, dict) and any(_is_broken(key) for key in cast("dict[str, Any]", value)):
        return "has a field whose name is not valid Unicode or contains a NUL character"
    if not isinstance(value, str):
        return None
    if "\0" in value:
        return "must not contain a NUL character"
    if _has_surrogates(value):
        return "must be valid Unicode: it has half of a surrogate pair or bytes that are not UTF-8"
    return None


def _is_broken(text: str) -> bool:
    return "\0" in text or _has_surrogates(text)


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


_array = msgspec.json.Decoder(list[msgspec.Raw])
_BEFORE_FIRST = re.compile(rb"[ \t\r\n]*+\[[ \t\r\n]*+")
_BETWEEN = re.compile(rb"[ \t\r\n]*+,[ \t\r\n]*+")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_IN_ASCII = bytes(byte if byte < 0x80 else ord("x") for byte in range(256))


def spans_of_array(raw: bytes, *, items_max: int) -> Sequence[bytes | msgspec.Raw]:
    """The elements of an array as they are written: at most ``items_max`` and one, of which the last stands for the others.

    One text that cannot be kept spoils the array for the decoder; it does not spoil the other elements. Raises what the decoder
    raises.
    """
    try:
        return _array.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise
        likeness = with_texts_mended(raw)
        if likeness == raw:
            raise
        alike = _array.decode(likeness)[: items_max + 1]
    spans: list[bytes] = []
    end = 0
    for item in alike:
        gap = (_BETWEEN if spans else _BEFORE_FIRST).match(raw, end)
        assert gap is not None
        end = gap.end() + len(bytes(item))
        spans.append(raw[gap.end() : end])
    return spans


def with_texts_mended(raw: bytes) -> bytes:
    """The same JSON, of the same length, with other letters for those that cannot be kept."""
    return _SURROGATE.sub(rb"\\u0078", raw.translate(_IN_ASCII))
