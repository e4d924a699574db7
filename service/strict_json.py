"""JSON as we take it, and what is said of the rest.

UTF-8, no NUL and no lone surrogates in any text, no field we do not know, a whole number is written as one (``1``, not ``1.0``
or ``true``). What is not JSON is ``malformed_body``; what is JSON and wrong names its field with a JSON pointer.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar, cast

import msgspec

from service.plain_words import in_plain_words
from service.problems import Problem, invalid_field

_SHOWN_MAX = 100

T = TypeVar("T")

_PATH = r"(?: - at `(?:key in )?(?P<path>\$[^`]*)`)?$"
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*?)`" + _PATH, re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`" + _PATH)
_OTHER = re.compile(r"^(?P<says>.*?)" + _PATH, re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")

# A text that JSON can spell and we cannot keep: an escaped NUL, or half of a surrogate pair.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one struct. Raises the ``Problem`` that names what is wrong."""
    has_escapes = b"\\u" in raw
    suspect = has_escapes and _SUSPECT_ESCAPE.search(raw) is not None
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _problem_of_validation(str(error)) from None
    except RecursionError:
        raise Problem("malformed_body", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_unkeepable_text(raw)
        raise Problem("malformed_body", f"The body is not JSON: {shown(str(error))}.") from None
    if suspect:
        _refuse_unkeepable_text(raw)
    # An ASCII text has as many bytes as characters, which the decoder has counted.
    if (has_escapes or not raw.isascii()) and (check := _text_check(decoder.type)) is not None:
        check(value, "")
    return value


def _problem_of_validation(message: str) -> Problem:
    if unknown := _UNKNOWN.match(message):
        pointer = f"{_pointer(unknown['path'])}/{escaped(shown(unknown['field']))}"
        return invalid_field(pointer, "is not a field of this request", code="unknown_field")
    if missing := _MISSING.match(message):
        return invalid_field(f"{_pointer(missing['path'])}/{escaped(missing['field'])}", "is required")
    other = _OTHER.match(message)
    path, says = (other["path"], other["says"]) if other else (None, message)
    return invalid_field(_pointer(path), in_plain_words(shown(says)))


def _pointer(path: str | None) -> str:
    """Turn ``$.rules[0].points`` into ``/rules/0/points``; the pointer stops where the path does not know the key."""
    pointer = ""
    for name, index in _STEP.findall((path or "$").partition("[...]")[0]):
        pointer += "/" + (escaped(name) if name else index)
    return pointer


def escaped(name: str) -> str:
    """Return a name as it is written in a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def shown(text: str) -> str:
    """Return what is repeated of a text that somebody sent."""
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _refuse_unkeepable_text(raw: bytes) -> None:
    """Find the NUL, lone surrogate or broken UTF-8 that stopped the decoder, and say in which field it is."""
    loose = load_loosely(raw)
    for pointer, detail in _unkeepable(loose, ""):
        raise invalid_field(pointer, detail)


def load_loosely(raw: bytes) -> Any:
    """Read JSON whose texts may be broken, which then hold lone surrogates; None when it is not JSON at all."""
    try:
        return json.loads(raw.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None


def _unkeepable(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            if "\0" in value:
                yield pointer, "must not contain a NUL character"
            elif _has_surrogates(value):
                yield pointer, "must be valid Unicode: it has half of a surrogate pair or bytes that are not UTF-8"
        case dict():
            for key, inner in cast("dict[str, Any]", value).items():
                if "\0" in key or _has_surrogates(key):
                    yield pointer, "has a field whose name is not valid Unicode or contains a NUL character"
                yield from _unkeepable(inner, f"{pointer}/{escaped(key)}")
        case list():
            for index, inner in enumerate(cast("list[Any]", value)):
                yield from _unkeepable(inner, f"{pointer}/{index}")
        case _:
            pass


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


# msgspec counts characters; what we store is counted in bytes. A type's check is made once: None when there is none to make.
_TextCheck = Callable[[Any, str], None]
_checks: dict[Any, _TextCheck | None] = {}


def _text_check(declared: Any) -> _TextCheck | None:
    """Return what raises the problem of a text with more bytes than its type allows, given a value and its pointer."""
    origin = typing.get_origin(declared)
    if origin is Annotated:
        declared, *notes = typing.get_args(declared)
        for note in notes:
            if isinstance(note, msgspec.Meta) and note.extra and "bytes_max" in note.extra:
                return partial(_check_text, note.extra["bytes_max"])
        return _text_check(declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        if declared not in _checks:
            _checks[declared] = _struct_check(declared)
        return _checks[declared]
    members = [check for member in typing.get_args(declared) if (check := _text_check(member)) is not None]
    if not members:
        return None
    return partial(_check_items if origin in {list, tuple} else _check_any, members)


def _struct_check(struct: type[msgspec.Struct]) -> _TextCheck | None:
    hints = typing.get_type_hints(struct, include_extras=True)
    fields = [
        (field.name, f"/{escaped(field.encode_name)}", check)
        for field in msgspec.structs.fields(struct)
        if (check := _text_check(hints[field.name])) is not None
    ]
    return partial(_check_fields, struct, fields) if fields else None


def _check_text(bytes_max: int, value: Any, pointer: str) -> None:
    if isinstance(value, str) and len(value.encode()) > bytes_max:
        raise invalid_field(pointer, f"must be at most {bytes_max} bytes of UTF-8")


def _check_fields(struct: type, fields: list[tuple[str, str, _TextCheck]], value: Any, pointer: str) -> None:
    if isinstance(value, struct):
        for name, step, check in fields:
            check(getattr(value, name), pointer + step)


def _check_items(members: list[_TextCheck], value: Any, pointer: str) -> None:
    if isinstance(value, list | tuple):
        for index, item in enumerate(cast("Sequence[Any]", value)):
            _check_any(members, item, f"{pointer}/{index}")


def _check_any(members: list[_TextCheck], value: Any, pointer: str) -> None:
    for check in members:
        check(value, pointer)
