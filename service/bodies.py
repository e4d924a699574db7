"""Request bodies: decoded strictly, once, into the struct that the route declares.

A route says ``data: JSONBody[GrantRequest]``; ``StrictBody`` (mounted on the whole application) decodes the raw bytes. Structs
of requests derive from ``Body``. A ``Batch`` takes many items, each of which is decoded, and refused, by itself.

How strict that is, ``strict_json`` says.
"""

from __future__ import annotations

import json
import typing
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.exceptions import InternalServerException
from litestar.typing import FieldDefinition

from service.limits import SINGLE_BYTES_MAX
from service.pieces import in_pieces
from service.plain_words import NO_CONTROL_CHARACTERS
from service.problems import Problem, invalid_field, not_found
from service.strict_json import decode_body, escaped, load_loosely, shown

BATCH_ITEMS_MAX = 10_000

JSON = "application/json"
NDJSON = "application/x-ndjson"

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

Points = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000, description="Whole points.")]
"""Whole points, never zero."""

T = TypeVar("T")


# What was decoded holds no circles, so the garbage collector need not look at it.
class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """What structs of requests, and the objects inside them, derive from."""

    example: ClassVar[dict[str, Any]] = {}
    """Shown in the OpenAPI document; a test decodes it."""


class Batch(Generic[T]):
    """Many items in one request: ``class GrantBatch(Batch[GrantRequest])``.

    Written as a JSON array or as NDJSON, one item a line; with ``member`` set, as an object whose only field is the array. What
    is wrong with one item is that item's: ``items()`` has, in order, the struct or the problem.
    """

    member: ClassVar[str | None] = None
    items_max: ClassVar[int] = BATCH_ITEMS_MAX

    def __init__(self, raws: Sequence[bytes | msgspec.Raw], decoder: msgspec.json.Decoder[T]) -> None:
        self._raws = raws
        self._decoder = decoder

    def __len__(self) -> int:
        return len(self._raws)

    async def items(self, start: int = 0, end: int | None = None) -> list[T | Problem]:
        """Decode the items, or those from ``start`` up to ``end``."""
        return await in_pieces(partial(decode_item, decoder=self._decoder), self._raws[start:end])

    @classmethod
    def item_type(cls) -> type[Any]:
        """The struct of one item."""
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Batch:
                return typing.get_args(base)[0]
        raise TypeError(f"{cls.__name__} does not say Batch[...]")


def decode_item(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    """Decode one item of a batch; what is wrong with it is returned."""
    try:
        return decode_body(bytes(raw), decoder)
    except Problem as problem:
        return problem


_array = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_batch(raw: bytes, media_type: str, batch: type[Batch[T]], decoder: msgspec.json.Decoder[T]) -> Batch[T]:
    """Split a batch into items, which are decoded when they are asked for."""
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
    return batch(items, decoder)


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
        loose = load_loosely(raw)
        if member is not None and isinstance(loose, dict):
            loose = cast("dict[str, Any]", loose).get(member)
        if isinstance(loose, list):
            return [json.dumps(item).encode() for item in cast("list[Any]", loose)]
        raise Problem("malformed_body", f"The body is not JSON: {shown(str(error))}.") from None


def _member(raw: bytes, member: str) -> msgspec.Raw:
    """Return the only field of an object."""
    try:
        whole = _object.decode(raw)
    except msgspec.ValidationError:
        raise invalid_field("", f"must be an object with the field {member}") from None
    for name in whole:
        if name != member:
            raise invalid_field(f"/{escaped(shown(name))}", "is not a field of this request", code="unknown_field")
    if member not in whole:
        raise invalid_field(f"/{member}", "is required")
    return whole[member]


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
            raise Problem("unsupported_media_type", f"Content-Encoding must be gzip or absent, not {shown(encoding)}.")
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


def decode_struct(value: bytes, declared: type[T]) -> T:
    """Decode a JSON body into the struct that a route declares."""
    return decode_body(value if value.strip() else _empty_body(declared), decoder_of(declared))


class StrictBody(AbstractDTO[Any]):
    """Decodes ``data`` of every route of the application, and describes it in the OpenAPI document."""

    def decode_bytes(self, value: bytes) -> Any:
        """Decode the body into the type that the route declares."""
        connection = cast("ASGIConnection[Any, Any, Any, Any]", self.asgi_connection)  # pyright: ignore[reportUnknownMemberType]
        declared: Any = connection.route_handler.parsed_data_field.annotation
        batch = _batch_of(declared)
        if batch is None and not value.strip() and "content-type" not in connection.headers:
            # Nothing was sent (a void, say), so there is nothing to name the type of.
            return decode_struct(value, declared)
        is_empty = not value.strip()
        # Who sends nothing need not say what it is.
        media_type = JSON if is_empty and "content-type" not in connection.headers else media_type_of(connection)
        taken = {JSON, NDJSON} if batch is not None and batch.member is None else {JSON}
        if media_type not in taken:
            raise Problem(
                "unsupported_media_type",
                f"Content-Type must be {' or '.join(sorted(taken))}, not {shown(media_type) or 'empty'}.",
            )
        if batch is not None:
            return decode_batch(value, media_type, batch, decoder_of(batch.item_type()))
        return decode_struct(value, declared)

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
