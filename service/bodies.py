"""Request bodies: decoded strictly, once, into the struct that the route declares.

A route says ``data: JSONBody[GrantRequest]``; ``StrictBody`` (mounted on the whole application) decodes the raw bytes. Structs
of requests derive from ``Body``. A ``Batch`` takes many items, each of which is decoded, and refused, by itself.

JSON as we take it: UTF-8, no NUL and no lone surrogates in any text, no field we do not know, a whole number is written as one
(``1``, not ``1.0`` or ``true``). What is not JSON is ``malformed_body``; what is JSON and wrong names its field.
"""

from __future__ import annotations

import json
import re
import typing
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.exceptions import InternalServerException
from litestar.typing import FieldDefinition

from service.plain_words import NO_CONTROL_CHARACTERS, in_plain_words
from service.problems import Problem, invalid_field, not_found

SINGLE_BYTES_MAX = 1024 * 1024
BATCH_BYTES_MAX = 16 * 1024 * 1024
BATCH_ITEMS_MAX = 10_000

JSON = "application/json"
NDJSON = "application/x-ndjson"

_SHOWN_MAX = 100

Identifier = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=256,
        pattern=NO_CONTROL_CHARACTERS,
        description="At most 256 bytes of UTF-8, without control characters.",
        extra={"bytes_max": 256},
    ),
]
"""Somebody else's id or reference, kept as it is."""

Slug = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_.]{0,31}$(?!\\n)", description="Lower case, at most 32 characters.")]
"""A short name that is written in code: an action, a channel."""

Points = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
"""Whole points, never zero."""

T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What structs of requests, and the objects inside them, derive from."""

    example: ClassVar[dict[str, Any]] = {}
    """Shown in the OpenAPI document; a test decodes it."""


class Batch(Generic[T]):
    """Many items in one request: ``class GrantBatch(Batch[GrantRequest])``.

    Written as a JSON array or as NDJSON, one item a line; with ``member`` set, as an object whose only field is the array. What
    is wrong with one item is that item's: ``items`` has, in order, the struct or the problem.
    """

    member: ClassVar[str | None] = None
    items_max: ClassVar[int] = BATCH_ITEMS_MAX

    def __init__(self, items: Sequence[T | Problem]) -> None:
        self.items = items

    @classmethod
    def item_type(cls) -> type[Any]:
        """The struct of one item."""
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Batch:
                return typing.get_args(base)[0]
        raise TypeError(f"{cls.__name__} does not say Batch[...]")


# -- Reading one struct ------------------------------------------------------------------------------------------------------

_PATH = r"(?: - at `(?:key in )?(?P<path>\$[^`]*)`)?$"
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*?)`" + _PATH, re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`" + _PATH)
_OTHER = re.compile(r"^(?P<says>.*?)" + _PATH, re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")

# A text that JSON can spell and we cannot keep: an escaped NUL, or half of a surrogate pair.
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one struct. Raises the ``Problem`` that names what is wrong."""
    suspect = _SUSPECT_ESCAPE.search(raw) is not None
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _problem_of_validation(str(error)) from None
    except RecursionError:
        raise Problem("malformed_body", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _refuse_unkeepable_text(raw)
        raise Problem("malformed_body", f"The body is not JSON: {_shown(str(error))}.") from None
    if suspect:
        _refuse_unkeepable_text(raw)
    # An ASCII text has as many bytes as characters, which the decoder has counted.
    if (not raw.isascii() or b"\\u" in raw) and (check := _text_check(decoder.type)) is not None:
        check(value, "")
    return value


def decode_item(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    """Decode one item of a batch; what is wrong with it is returned."""
    try:
        return decode_body(bytes(raw), decoder)
    except Problem as problem:
        return problem


def _problem_of_validation(message: str) -> Problem:
    if unknown := _UNKNOWN.match(message):
        pointer = f"{_pointer(unknown['path'])}/{_escaped(_shown(unknown['field']))}"
        return invalid_field(pointer, "is not a field of this request", code="unknown_field")
    if missing := _MISSING.match(message):
        return invalid_field(f"{_pointer(missing['path'])}/{_escaped(missing['field'])}", "is required")
    other = _OTHER.match(message)
    path, says = (other["path"], other["says"]) if other else (None, message)
    return invalid_field(_pointer(path), in_plain_words(_shown(says)))


def _pointer(path: str | None) -> str:
    """Turn ``$.rules[0].points`` into ``/rules/0/points``; the pointer stops where the path does not know the key."""
    pointer = ""
    for name, index in _STEP.findall((path or "$").partition("[...]")[0]):
        pointer += "/" + (_escaped(name) if name else index)
    return pointer


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"


def _refuse_unkeepable_text(raw: bytes) -> None:
    """Find the NUL, lone surrogate or broken UTF-8 that stopped the decoder, and say in which field it is."""
    loose = _load_loosely(raw)
    for pointer, detail in _unkeepable(loose, ""):
        raise invalid_field(pointer, detail)


def _load_loosely(raw: bytes) -> Any:
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
                yield from _unkeepable(inner, f"{pointer}/{_escaped(key)}")
        case list():
            for index, inner in enumerate(cast("list[Any]", value)):
                yield from _unkeepable(inner, f"{pointer}/{index}")
        case _:
            pass


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


# -- Texts by their bytes ----------------------------------------------------------------------------------------------------

# msgspec counts characters; what we store is counted in bytes. A type's check is made once, None where there is nothing to check.
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
        (field.name, f"/{_escaped(field.encode_name)}", check)
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


# -- Reading a batch ---------------------------------------------------------------------------------------------------------

_array = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_batch(raw: bytes, media_type: str, batch: type[Batch[T]], decoder: msgspec.json.Decoder[T]) -> Batch[T]:
    """Split a batch into items and decode each."""
    if media_type == NDJSON:
        # Only a line feed ends a line; an empty last line is the end, other empty lines are skipped.
        items: Sequence[bytes | msgspec.Raw] = [line for line in raw.split(b"\n") if line.strip()]
    else:
        items = _items_of_array(raw, batch.member)
    pointer = f"/{batch.member}" if batch.member else ""
    if not items:
        raise invalid_field(pointer, "must have at least 1 item")
    if len(items) > batch.items_max:
        raise invalid_field(pointer, f"must have at most {batch.items_max} items, has {len(items)}")
    return batch([decode_item(item, decoder) for item in items])


def _items_of_array(raw: bytes, member: str | None) -> Sequence[bytes | msgspec.Raw]:
    try:
        array = raw if member is None else _member(raw, member)
        try:
            return _array.decode(array)
        except msgspec.ValidationError:
            raise invalid_field(f"/{member}" if member else "", "must be an array of items") from None
    except RecursionError:
        raise Problem("malformed_body", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # One text that cannot be kept spoils the array for the decoder; it must not spoil the other items.
        loose = _load_loosely(raw)
        if member is not None and isinstance(loose, dict):
            loose = cast("dict[str, Any]", loose).get(member)
        if isinstance(loose, list):
            return [json.dumps(item).encode() for item in cast("list[Any]", loose)]
        raise Problem("malformed_body", f"The body is not JSON: {_shown(str(error))}.") from None


def _member(raw: bytes, member: str) -> msgspec.Raw:
    """Return the only field of an object."""
    try:
        whole = _object.decode(raw)
    except msgspec.ValidationError:
        raise invalid_field("", f"must be an object with the field {member}") from None
    for name in whole:
        if name != member:
            raise invalid_field(f"/{_escaped(_shown(name))}", "is not a field of this request", code="unknown_field")
    if member not in whole:
        raise invalid_field(f"/{member}", "is required")
    return whole[member]


# -- From the request to bytes -----------------------------------------------------------------------------------------------


class BodyRequest(Request[Any, Any, Any]):
    """The application's request: ``body`` is what was sent, unpacked, at most what the route takes."""

    async def body(self) -> bytes:
        """Return the body. Raises a ``Problem`` for a media type or encoding that is not taken, or too many bytes."""
        try:
            raw = await super().body()
        except InternalServerException:
            # The client went away while sending; nobody reads this answer.
            raise Problem("malformed_body", "The body was cut short.") from None
        if self.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raw = self._unpacked(raw)
        # The framework calls a decoder only for what is truthy; an empty body must be refused, not passed over.
        return raw or b" "

    def _unpacked(self, raw: bytes) -> bytes:
        encoding = self.headers["content-encoding"].strip().lower()
        if encoding != "gzip":
            raise Problem("unsupported_media_type", f"Content-Encoding must be gzip or absent, not {_shown(encoding)}.")
        bytes_max = self.route_handler.resolve_request_max_body_size() or SINGLE_BYTES_MAX
        unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            unpacked = unzip.decompress(raw, bytes_max + 1)
        except zlib.error:
            raise Problem("malformed_body", "The body is not gzip.") from None
        if len(unpacked) > bytes_max:
            raise Problem("too_large", f"The body unpacks to more than {bytes_max} bytes.")
        if not unzip.eof or unzip.unused_data:
            raise Problem("malformed_body", "The gzip body is cut short or followed by other data.")
        return unpacked


async def refuse_unkeepable_address(request: Request[Any, Any, Any]) -> None:
    """Refuse a NUL in the path or the query before it reaches the database, which could not compare it with anything."""
    if "\0" in request.scope["path"]:
        raise not_found("path")
    for name, value in request.query_params.multi_items():
        if "\0" in name or "\0" in str(value):
            raise invalid_field(f"?{name.replace(chr(0), '')}", "must not contain a NUL character")


def media_type_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the media type of the body without its parameters. Raises a ``Problem`` unless there is one, in UTF-8."""
    sent = connection.headers.getall("content-type", [])
    if len(sent) != 1:
        raise Problem("unsupported_media_type", f"Content-Type must be given once, not {len(sent)} times.")
    media_type, *parameters = (part.strip() for part in sent[0].lower().split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise Problem("unsupported_media_type", "The charset must be utf-8.")
    return media_type


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder_of(declared: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, made once."""
    if declared not in _decoders:
        _decoders[declared] = msgspec.json.Decoder(declared)
    return _decoders[declared]


class StrictBody(AbstractDTO[Any]):
    """Decodes ``data`` of every route of the application, and describes it in the OpenAPI document."""

    def decode_bytes(self, value: bytes) -> Any:
        """Decode the body into the type that the route declares."""
        connection = cast("ASGIConnection[Any, Any, Any, Any]", self.asgi_connection)  # pyright: ignore[reportUnknownMemberType]
        declared: Any = connection.route_handler.parsed_data_field.annotation
        batch = _batch_of(declared)
        if batch is None and not value.strip() and "content-type" not in connection.headers:
            # Nothing was sent (a void, say), so there is nothing to name the type of.
            return decode_body(_empty_body(declared), decoder_of(declared))
        is_empty = not value.strip()
        # Who sends nothing need not say what it is.
        media_type = JSON if is_empty and "content-type" not in connection.headers else media_type_of(connection)
        taken = {JSON, NDJSON} if batch is not None and batch.member is None else {JSON}
        if media_type not in taken:
            raise Problem(
                "unsupported_media_type",
                f"Content-Type must be {' or '.join(sorted(taken))}, not {_shown(media_type) or 'empty'}.",
            )
        if batch is not None:
            return decode_batch(value, media_type, batch, decoder_of(batch.item_type()))
        return decode_body(_empty_body(declared) if is_empty else value, decoder_of(declared))

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        """Every body is ours."""
        return True

    @classmethod
    def create_for_field_definition(cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None) -> None:
        """Nothing to prepare: decoders are made when they are first needed."""

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        """Describe the struct itself; a batch is described as its array of items."""
        batch = _batch_of(field_definition.annotation)
        if batch is None:
            return schema_creator.for_field_definition(field_definition)
        return schema_creator.for_field_definition(FieldDefinition.from_annotation(list[batch.item_type()]))

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Iterator[DTOFieldDefinition]:  # type: ignore[override]
        """Not used: bodies are decoded into the structs themselves."""
        raise NotImplementedError

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not used: bodies are decoded into the structs themselves."""
        return False


def _batch_of(declared: Any) -> type[Batch[Any]] | None:
    return cast("type[Batch[Any]]", declared) if isinstance(declared, type) and issubclass(declared, Batch) else None


def needs_body(declared: Any) -> bool:
    """Say whether a body of this type must be sent."""
    is_struct = isinstance(declared, type) and issubclass(declared, msgspec.Struct)
    return not is_struct or any(field.required for field in msgspec.structs.fields(cast("type[msgspec.Struct]", declared)))


def _empty_body(declared: Any) -> bytes:
    """An empty body is read as ``{}`` where no field is required."""
    if not needs_body(declared):
        return b"{}"
    raise Problem("malformed_body", "The body is empty.")
