"""JSON as we take it, and what is said of the rest.

UTF-8, each key once, no NUL and no lone surrogates in any text, no field we do not know, a whole number is written as one
(``1``, not ``1.0`` or ``true``). What is not JSON, or beyond the bounds of ``json_text``, is ``malformed_body``; what is JSON
and wrong names its field with a JSON pointer, and all that is missing or unknown besides.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar, cast

import msgspec

from service.http import validation_messages
from service.http.json_text import escaped, first_said_of, is_told_once, read_whole, refuse_beyond_bounds, shown, unkeepable
from service.http.problems import FieldError, Problem, invalid_field, invalid_fields

T = TypeVar("T")

LONG_BYTES = 32 * 1024
"""A longer text is counted before anything is made of it."""
FIELDS_TOLD_MAX = 20
"""How many missing or unknown fields one answer lists."""

_PATH = r"(?: - at `(?:key in )?(?P<path>\$[^`]*)`)?$"
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*?)`" + _PATH, re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`" + _PATH)
_OTHER = re.compile(r"^(?P<says>.*?)" + _PATH, re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")

_ESCAPED_DIGIT = re.compile(rb"\\u00[23]")
# A text that JSON can spell and we cannot keep: an escaped NUL, or half of a surrogate pair.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one struct. Raises the ``Problem`` that names what is wrong."""
    if len(raw) > LONG_BYTES:
        refuse_beyond_bounds(raw)
    # For `in`, bytes would first fail to be a number, which costs more.
    has_escapes = raw.count(b"\\u") > 0
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _problem_of_validation(str(error), decoder.type, read_whole(raw)) from None
    except RecursionError:
        raise _problem_of_depth(raw) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_unkeepable(read_whole(raw))
        raise not_json(raw, error) from None
    is_suspect = has_escapes and _SUSPECT_ESCAPE.search(raw) is not None
    if is_suspect or not is_told_once(raw, value, decoder.type, has_escapes=has_escapes):
        _refuse_unkeepable(read_whole(raw))
    if raw.count(b"0001-") or raw.count(b"9999-") or (has_escapes and _ESCAPED_DIGIT.search(raw) is not None):
        _refuse_times_beyond_the_calendar(value)
    # An ASCII text has as many bytes as characters, which the decoder has counted.
    if (has_escapes or not raw.isascii()) and (check := _text_check(decoder.type)) is not None:
        check(value, "")
    return value


def _refuse_times_beyond_the_calendar(value: Any) -> None:
    """Refuse a time whose zone puts it, in UTC, before the year 1 or behind 9999."""
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    if found := first_said_of(plain, _beyond_the_calendar):
        raise invalid_field(*found)


def _beyond_the_calendar(value: Any) -> str | None:
    if not isinstance(value, datetime):
        return None
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "must lie in the years 1 to 9999 of UTC"
    return None


def not_json(raw: bytes, error: Exception) -> Problem:
    """The problem with a body that is no JSON in UTF-8."""
    refuse_other_encodings(raw)
    return Problem("malformed_body", f"The body is not JSON: {shown(str(error))}.")


def refuse_other_encodings(raw: bytes) -> None:
    """Say so of a body in another encoding of Unicode, whose first character has a byte of zeros or is a mark of order."""
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in raw[:4]:
        raise Problem("malformed_body", "The body looks like UTF-16 or UTF-32. Send JSON in UTF-8.")


def _problem_of_depth(raw: bytes) -> Problem:
    read_whole(raw)
    return Problem("malformed_body", "The JSON is nested too deeply.")


def _refuse_unkeepable(whole: Any) -> None:
    """Say which text has a NUL, a lone surrogate or broken UTF-8, which the decoder stops at or passes over."""
    if found := first_said_of(whole, unkeepable):
        raise invalid_field(*found)


def _problem_of_validation(message: str, declared: Any, whole: Any) -> Problem:
    first = _error_of_validation(message)
    misplaced = islice(_misplaced(declared, whole, ""), FIELDS_TOLD_MAX)
    return invalid_fields([first, *(other for other in misplaced if other.pointer != first.pointer)])


def _error_of_validation(message: str) -> FieldError:
    if unknown := _UNKNOWN.match(message):
        return _is_unknown(f"{_pointer(unknown['path'])}/{escaped(shown(unknown['field']))}")
    if missing := _MISSING.match(message):
        return _is_missing(f"{_pointer(missing['path'])}/{escaped(missing['field'])}")
    other = _OTHER.match(message)
    path, says = (other["path"], other["says"]) if other else (None, message)
    return FieldError(_pointer(path), "invalid_field", validation_messages.describe(shown(says)))


def _is_unknown(pointer: str) -> FieldError:
    return FieldError(pointer, "unknown_field", "is not a field of this request")


def _is_missing(pointer: str) -> FieldError:
    return FieldError(pointer, "invalid_field", "is required")


def _misplaced(declared: Any, value: Any, pointer: str) -> Iterator[FieldError]:
    """The fields that are missing, or that no struct knows, wherever ``value`` has an object that stands for one."""
    origin = typing.get_origin(declared)
    if isinstance(declared, type) and issubclass(declared, msgspec.Struct):
        if isinstance(value, dict):
            yield from _misplaced_in(declared, cast("dict[str, Any]", value), pointer)
    elif origin is Annotated:
        yield from _misplaced(typing.get_args(declared)[0], value, pointer)
    elif origin in {typing.Union, types.UnionType}:
        structs = [each for each in typing.get_args(declared) if each not in (type(None), msgspec.UnsetType)]
        if len(structs) == 1:
            yield from _misplaced(structs[0], value, pointer)
    elif origin is list and isinstance(value, list):
        (member,) = typing.get_args(declared)
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _misplaced(member, inner, f"{pointer}/{index}")


def _misplaced_in(struct: type[msgspec.Struct], value: dict[str, Any], pointer: str) -> Iterator[FieldError]:
    fields = _fields(struct)
    if struct.__struct_config__.forbid_unknown_fields:
        for name in value:
            if name not in fields:
                yield _is_unknown(f"{pointer}/{escaped(shown(name))}")
    for name, (is_required, hint) in fields.items():
        if name in value:
            yield from _misplaced(hint, value[name], f"{pointer}/{escaped(name)}")
        elif is_required:
            yield _is_missing(f"{pointer}/{escaped(name)}")


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, tuple[bool, Any]]:
    """What a struct knows by the names on the wire: whether it is required, and its type."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {field.encode_name: (field.required, hints[field.name]) for field in msgspec.structs.fields(struct)}


def _pointer(path: str | None) -> str:
    """Turn ``$.rules[0].points`` into ``/rules/0/points``; the pointer stops where the path does not know the key."""
    pointer = ""
    for name, index in _STEP.findall((path or "$").partition("[...]")[0]):
        pointer += "/" + (escaped(name) if name else index)
    return pointer


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
