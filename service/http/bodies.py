"""Request bodies: decoded strictly, once, into the struct that the route declares.

A route says ``data: JSONBody[GrantRequest]``; ``StrictBody`` (mounted on the whole application) decodes the raw bytes. Structs
of requests derive from ``Body``. A ``Batch`` takes many items, each of which is decoded, and refused, on its own.

How strict that is, ``strict_json`` says.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import typing
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Generic, TypeVar, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.types import Empty, Receive
from litestar.typing import FieldDefinition

from ledger import POINTS_MAX
from service.admission.limits import JSON_BATCH_VALUES_MAX, NAME_BYTES_MAX, SINGLE_BYTES_MAX
from service.concurrency.fairness import in_chunks
from service.http.compressed_bodies import unpack
from service.http.csv_items import items_of_csv
from service.http.json_text import escaped, key_given_twice, shown, spans_of_array, with_texts_mended
from service.http.problems import Problem, invalid_field
from service.http.strict_json import decode_body, not_json, refuse_other_encodings
from service.http.validation_messages import NO_CONTROL_CHARACTERS

BATCH_ITEMS_MAX = 10_000
LONG_BATCH_BYTES = 1024 * 1024
"""In a longer batch, items are weighed: a few long ones are as much work as many others."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
MERGE_PATCH = "application/merge-patch+json"
"""What a PATCH may call its body (RFC 7396)."""

Identifier = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=NAME_BYTES_MAX,
        pattern=NO_CONTROL_CHARACTERS,
        description="At most 256 bytes of UTF-8, without control characters.",
        extra={"bytes_max": NAME_BYTES_MAX},
    ),
]
"""Somebody else's id or reference, kept as it is."""

Slug = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_.]{0,31}$(?!\\n)", description="Lower case, at most 32 characters.")]
"""A short name that is written in code: an action, a channel."""

Points = Annotated[int, msgspec.Meta(ge=1, le=POINTS_MAX, description="Whole points.")]
"""Whole points, never zero."""

T = TypeVar("T")


# What was decoded holds no circles, so the garbage collector need not look at it.
class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, gc=False):
    """What structs of requests, and the objects inside them, derive from."""

    example: ClassVar[dict[str, Any]] = {}
    """Shown in the OpenAPI document; a test decodes it."""


class Batch(Generic[T]):
    """Many items in one request: ``class GrantBatch(Batch[GrantRequest])``.

    Written as a JSON array, as NDJSON (one item a line) or, where ``csv_columns`` says so, as CSV; with ``member`` set, as an
    object whose only field is the array. What is wrong with one item is that item's: ``items()`` has, in order, the struct or
    the problem.
    """

    member: ClassVar[str | None] = None
    items_max: ClassVar[int] = BATCH_ITEMS_MAX
    csv_columns: ClassVar[Collection[str]] = ()
    """The columns of a CSV of items; none: it is not taken."""
    csv_numbers: ClassVar[Collection[str]] = ()
    """Those that are whole numbers."""

    def __init__(self, raws: Sequence[bytes | msgspec.Raw], decoder: msgspec.json.Decoder[T], length: int) -> None:
        """``length`` is that of all of it, in bytes."""
        self._raws = raws
        self._decoder = decoder
        self._bytes = length

    def __len__(self) -> int:
        return len(self._raws)

    def digest(self) -> bytes:
        """The SHA-256 of the items as they were sent. Of many it takes a while: call it in a thread."""
        digest = hashlib.sha256()
        for raw in self._raws:
            digest.update(b"%d " % memoryview(raw).nbytes)
            digest.update(raw)
        return digest.digest()

    async def items(self, start: int = 0, end: int | None = None) -> list[T | Problem]:
        """Decode the items, or those from ``start`` up to ``end``."""
        raws = self._raws[start:end]
        is_long = self._bytes > LONG_BATCH_BYTES
        return await in_chunks(partial(decode_item, decoder=self._decoder), raws, bytes_of=_bytes_of if is_long else None)

    @classmethod
    def item_type(cls) -> type[Any]:
        """The struct of one item."""
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Batch:
                return typing.get_args(base)[0]
        raise TypeError(f"{cls.__name__} does not say Batch[...]")


def _bytes_of(raw: bytes | msgspec.Raw) -> int:
    return memoryview(raw).nbytes


def decode_item(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | Problem:
    """Decode one item of a batch; what is wrong with it is returned."""
    text = bytes(raw)
    if len(text) > SINGLE_BYTES_MAX:
        return Problem("too_large", f"An item may be at most {SINGLE_BYTES_MAX} bytes long.")
    try:
        return decode_body(text, decoder)
    except Problem as problem:
        return problem


# Written by some programs in front of every UTF-8 text, as Unicode allows and JSON does not.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# It matches wherever it is tried, or what nothing follows would be looked at again from each of its bytes.
_LINE = re.compile(rb"(?:\s++|\xef\xbb\xbf)*+([^\n]*+)")


def decode_batch(raw: bytes, media_type: str, batch: type[Batch[T]], decoder: msgspec.json.Decoder[T]) -> Batch[T]:
    """Split a batch into items, which are decoded when they are asked for."""
    if media_type == NDJSON:
        # Only a line feed ends a line; empty lines are skipped.
        lines = (line[1] for line in _LINE.finditer(raw) if line[1])
        items: Sequence[bytes | msgspec.Raw] = list(itertools.islice(lines, batch.items_max + 1))
    elif media_type == CSV:
        items = items_of_csv(raw, batch.csv_columns, batch.csv_numbers, items_max=batch.items_max)
    else:
        items = _items_of_array(raw.removeprefix(_BYTE_ORDER_MARK), batch)
    pointer = f"/{batch.member}" if batch.member else ""
    if not items:
        raise invalid_field(pointer, "must have at least 1 item")
    if len(items) > batch.items_max:
        raise invalid_field(pointer, f"must have at most {batch.items_max} items")
    return batch(items, decoder, len(raw))


def _items_of_array(raw: bytes, batch: type[Batch[Any]]) -> Sequence[bytes | msgspec.Raw]:
    if raw.count(b",") > JSON_BATCH_VALUES_MAX:
        raise Problem("malformed_body", f"The batch has more than {JSON_BATCH_VALUES_MAX:,} values.")
    try:
        return spans_of_array(_member(raw, batch.member) if batch.member else raw, items_max=batch.items_max)
    except msgspec.ValidationError:
        refuse_other_encodings(raw)
        raise invalid_field(f"/{batch.member}" if batch.member else "", "must be an array of items") from None
    except RecursionError:
        raise Problem("malformed_body", "The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(raw, error) from None


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BEFORE_MEMBER = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"(?:[^"\\]++|\\.)*+"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SPACE = b" \t\r\n"


def _members(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _object.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise
        # Of the same length, and JSON where only a text in it is broken.
        return _object.decode(with_texts_mended(raw))


def _member(raw: bytes, member: str) -> bytes:
    """Return the only field of an object as it is written."""
    try:
        whole = _members(raw)
    except msgspec.ValidationError:
        raise invalid_field("", f"must be an object with the field {member}") from None
    for name in whole:
        if name != member:
            raise invalid_field(f"/{escaped(shown(name))}", "is not a field of this request", code="unknown_field")
    if member not in whole:
        raise invalid_field(f"/{member}", "is required")
    end = len(raw.rstrip(_SPACE).removesuffix(b"}").rstrip(_SPACE))
    start = end - len(bytes(whole[member]))
    # The last one of its name is what was found; if it is the only one, nothing else is in front of it.
    if _BEFORE_MEMBER.fullmatch(raw, 0, start) is None:
        raise key_given_twice("", member)
    return raw[start:end]


async def read_body(receive: Receive, *, bytes_max: int) -> bytes:
    """Read the body of a request as it was sent. Raises a ``Problem`` if it is too long, or if not all of it has come."""
    message: Any = await receive()
    body: bytes | bytearray = message.get("body", b"")
    while message.get("more_body") and len(body) <= bytes_max:
        # It may come in crumbs: none is copied twice.
        body = bytearray(body) if isinstance(body, bytes) else body
        message = await receive()
        body += message.get("body", b"")
    if len(body) > bytes_max:
        raise Problem("too_large", f"The body is larger than {bytes_max} bytes.")
    if message["type"] == "http.disconnect":
        # The client went away while sending; nobody reads this answer.
        raise Problem("malformed_body", "The body is truncated.")
    return bytes(body)


class BodyRequest(Request[Any, Any, Any]):
    """The application's request: ``body`` is what was sent, unpacked, at most what the route takes."""

    async def body(self) -> bytes:
        """Return the body. Raises a ``Problem`` for a media type or encoding that is not taken, or too many bytes."""
        raw = await self._sent()
        if self.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raw = await self._unpacked(raw)
        # The framework calls a decoder only for what is truthy; an empty body must be refused, not passed over.
        return raw or b" "

    async def _sent(self) -> bytes:
        if self._body is Empty:
            if (self.content_length or 0) > self._bytes_max:
                raise Problem("too_large", f"The body is larger than {self._bytes_max} bytes.")
            self._body = await read_body(self.receive, bytes_max=self._bytes_max)
        return self._body

    @property
    def _bytes_max(self) -> int:
        return self.route_handler.resolve_request_max_body_size() or SINGLE_BYTES_MAX

    async def _unpacked(self, raw: bytes) -> bytes:
        encoding = self.headers["content-encoding"].strip().lower()
        if encoding != "gzip":
            raise Problem("unsupported_media_type", f"Content-Encoding must be gzip or absent, not {shown(encoding)}.")
        return await asyncio.to_thread(unpack, raw, bytes_max=self._bytes_max)


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
    value = value.removeprefix(_BYTE_ORDER_MARK)
    return decode_body(value if value.strip() else _empty_body(declared), decoder_of(declared))


async def read_struct(request: Request[Any, Any, Any], declared: type[T]) -> T:
    """Read the body of a route that has something to look at before it declares one."""
    return _struct_of(await request.body(), declared, request)


def _struct_of(value: bytes, declared: type[T], connection: ASGIConnection[Any, Any, Any, Any]) -> T:
    taken = {JSON, MERGE_PATCH} if cast("Any", connection.scope)["method"] == "PATCH" else {JSON}
    _refuse_other_types(value, connection, taken=taken)
    return decode_struct(value, declared)


def _refuse_other_types(value: bytes, connection: ASGIConnection[Any, Any, Any, Any], *, taken: Collection[str]) -> str:
    """Return the media type of a body. Who sends nothing need not say what it is."""
    is_unsaid = not value.strip() and "content-type" not in connection.headers
    media_type = JSON if is_unsaid else media_type_of(connection)
    if media_type not in taken:
        raise Problem(
            "unsupported_media_type",
            f"Content-Type must be {' or '.join(sorted(taken))}, not {shown(media_type) or 'empty'}.",
        )
    return media_type


class StrictBody(AbstractDTO[Any]):
    """Decodes ``data`` of every route of the application, and describes it in the OpenAPI document."""

    def decode_bytes(self, value: bytes) -> Any:
        """Decode the body into the type that the route declares."""
        connection = cast("ASGIConnection[Any, Any, Any, Any]", self.asgi_connection)  # pyright: ignore[reportUnknownMemberType]
        declared: Any = connection.route_handler.parsed_data_field.annotation
        batch = _batch_of(declared)
        if batch is None:
            return _struct_of(value, declared, connection)
        taken = {JSON} | ({NDJSON} if batch.member is None else set()) | ({CSV} if batch.csv_columns else set())
        media_type = _refuse_other_types(value, connection, taken=taken)
        return decode_batch(value, media_type, batch, decoder_of(batch.item_type()))

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
