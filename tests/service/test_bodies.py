"""Bodies: what is taken, what is refused, and that the refusal names the field."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody

from service import problems
from service.bodies import (
    Batch,
    Body,
    BodyRequest,
    Identifier,
    Points,
    Slug,
    StrictBody,
    refuse_unkeepable_address,
)
from service.limits import BATCH_BYTES_MAX, SINGLE_BYTES_MAX
from service.problems import Problem


class Customer(Body, frozen=True):
    id: Identifier | None = None


class Order(Body, frozen=True):
    points: Points
    customer: Customer
    action: Slug = "open"
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    refs: Annotated[list[Identifier], msgspec.Meta(max_length=2)] = msgspec.field(default_factory=list[str])
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Capture(Body, frozen=True):
    points: Points | None = None


class OrderBatch(Batch[Order]):
    """Orders, as an array or one a line."""


class LinkBatch(Batch[Order]):
    """Orders in an object."""

    member = "links"
    items_max = 3


@post("/one")
async def take_one(data: JSONBody[Order]) -> dict[str, Any]:
    return msgspec.to_builtins(data)


@post("/capture")
async def take_capture(data: JSONBody[Capture]) -> dict[str, Any]:
    return msgspec.to_builtins(data)


async def _shown(batch: Batch[Order]) -> list[str]:
    return [f"{item.code} {item.errors[0].pointer if item.errors else ''}" if isinstance(item, Problem) else "taken"
            for item in await batch.items()]  # fmt: skip


@post("/batch", request_max_body_size=BATCH_BYTES_MAX)
async def take_batch(data: JSONBody[OrderBatch]) -> list[str]:
    return await _shown(data)


@post("/links")
async def take_links(data: JSONBody[LinkBatch]) -> list[str]:
    return await _shown(data)


@pytest.fixture(scope="module")
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    app = Litestar(
        [take_one, take_capture, take_batch, take_links],
        before_request=refuse_unkeepable_address,
        request_class=BodyRequest,
        request_max_body_size=SINGLE_BYTES_MAX,
        dto=StrictBody,
        return_dto=None,
        exception_handlers=problems.exception_handlers,
        openapi_config=None,
        logging_config=None,
    )
    transport: Any = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://rewards.test") as client:
        yield client


JSON = {"content-type": "application/json"}
GOOD = b'{"points": 1, "customer": {"id": "a"}}'


async def send(client: httpx.AsyncClient, body: bytes, path: str = "/one", headers: Any = JSON) -> httpx.Response:
    return await client.post(path, content=body, headers=headers)


def with_member(name: str, value: str) -> bytes:
    return f'{{"points": 1, "customer": {{}}, "{name}": {value}}}'.encode()


WRONG_FIELDS: list[tuple[bytes, str, str]] = [
    (b"{}", "/points", "is required"),
    (b'{"points": 1}', "/customer", "is required"),
    (b'{"points": 0, "customer": {}}', "/points", "must be at least 1"),
    (b'{"points": -1, "customer": {}}', "/points", "must be at least 1"),
    (b'{"points": 1000000001, "customer": {}}', "/points", "must be at most 1000000000"),
    (b'{"points": 9223372036854775808, "customer": {}}', "/points", "must be at most 1000000000"),
    (b'{"points": ' + b"9" * 400 + b', "customer": {}}', "/points", "must be at most 1000000000"),
    (b'{"points": ' + b"9" * 5000 + b', "customer": {}}', "/points", "is too large"),
    (b'{"points": 1.0, "customer": {}}', "/points", "must be a whole number such as 1, not a float"),
    (b'{"points": 1.5, "customer": {}}', "/points", "must be a whole number such as 1, not a float"),
    (b'{"points": 1e2, "customer": {}}', "/points", "must be a whole number such as 1, not a float"),
    (b'{"points": true, "customer": {}}', "/points", "must be a whole number such as 1, not a bool"),
    (b'{"points": "1", "customer": {}}', "/points", "must be a whole number such as 1, not a str"),
    (b'{"points": null, "customer": {}}', "/points", "must be of type int, not null"),
    (b'{"points": 1, "customer": []}', "/customer", "must be of type object, not array"),
    (b'{"points": 1, "customer": {"id": ""}}', "/customer/id", "must not be empty"),
    (b'{"points": 1, "customer": {"id": "a\\u0000b"}}', "/customer/id", "must not contain control characters"),
    (b'{"points": 1, "customer": {"id": "a\\nb"}}', "/customer/id", "must not contain control characters"),
    (b'{"points": 1, "customer": {"id": "ab\\n"}}', "/customer/id", "must not contain control characters"),
    (b'{"points": 1, "customer": {"id": "' + b"x" * 257 + b'"}}', "/customer/id", "must be at most 256 characters long"),
    (b'{"points": 1, "customer": {"id": "' + b"\xc3\xa9" * 129 + b'"}}', "/customer/id", "must be at most 256 bytes of UTF-8"),
    (b'{"points": 1, "customer": {"id": "' + b"\\u00e9" * 129 + b'"}}', "/customer/id", "must be at most 256 bytes of UTF-8"),
    (with_member("refs", '["a", "' + "é" * 129 + '"]'), "/refs/1", "must be at most 256 bytes of UTF-8"),
    (with_member("refs", '["a", 1]'), "/refs/1", "must be of type str, not int"),
    (with_member("refs", '["a", "b", "c"]'), "/refs", "must have at most 2 items"),
    (with_member("metadata", '{"a": "\\u0000"}'), "/metadata/a", "must not contain a NUL character"),
    (with_member("metadata", '{"a\\u0000": ""}'), "/metadata",
     "has a field whose name is not valid Unicode or contains a NUL character"),
    (with_member("metadata", '{"a": 1}'), "/metadata", "must be of type str, not int"),
    (with_member("at", '"2026-11-22T10:00:00"'), "/at", "must say its zone, as in 2026-11-22T09:30:00Z"),
    (with_member("at", '"yesterday"'), "/at", "must be a time such as 2026-11-22T09:30:00Z"),
    (with_member("action", '"Open"'), "/action", "must match ^[a-z][a-z0-9_.]{0,31}$"),
    (b"[]", "", "must be of type object, not array"),
    (b"null", "", "must be of type object, not null"),
    (b"[" * 100_000, "", "must be of type object, not array"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer", "detail"), WRONG_FIELDS)
async def test_a_wrong_field_is_named_with_what_would_be_right(
    client: httpx.AsyncClient, body: bytes, pointer: str, detail: str
) -> None:
    answer = await send(client, body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_field"
    assert answer.json()["errors"] == [{"pointer": pointer, "code": "invalid_field", "detail": detail}]


NOT_UNICODE = "must be valid Unicode: it has half of a surrogate pair or bytes that are not UTF-8"


@pytest.mark.parametrize(
    "text", [b"\\ud800", b"\\ud800x", b"\\udc00", b"\\ud800\\ud800", b"a\xff", b"\xed\xa0\x80", b"\xc0\x80"]
)
async def test_text_that_is_not_unicode_is_named(client: httpx.AsyncClient, text: bytes) -> None:
    answer = await send(client, b'{"points": 1, "customer": {"id": "' + text + b'"}}')
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/customer/id", "code": "invalid_field", "detail": NOT_UNICODE}]


UNKNOWN = [
    (b'{"points": 1, "customer": {}, "pionts": 2}', "/pionts"),
    (b'{"points": 1, "customer": {"x": 1}}', "/customer/x"),
    (b'{"points": 1, "customer": {}, "a/b~c": 1}', "/a~1b~0c"),
    (b'{"points": 1, "customer": {}, "x": ' + b"[" * 100_000, "/x"),
]


@pytest.mark.parametrize(("body", "pointer"), UNKNOWN)
async def test_an_unknown_field_is_named(client: httpx.AsyncClient, body: bytes, pointer: str) -> None:
    answer = await send(client, body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "unknown_field"
    assert answer.json()["errors"][0]["pointer"] == pointer


NOT_JSON = [
    b"",
    b"   ",
    b"{",
    b'{"points": 1',
    GOOD + b" x",
    b"\xef\xbb\xbf" + GOOD,
    b"points=1",
    b"NaN",
    b"\xff\xfe",
    b'{"points": 1, "customer": {"id": "a\x00b"}}',
    b'{"points": 1, "customer": {}, "metadata": ' + b'{"a":' * 100_000,
]


@pytest.mark.parametrize("body", NOT_JSON)
async def test_what_is_not_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await send(client, body)
    if answer.status_code == 422:
        # Deep nesting may already be wrong at its first level, which then is what is said.
        assert body.count(b"{") > 1000
        return
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_good_text_is_left_as_it_is(client: httpx.AsyncClient) -> None:
    text = 'é \U0001f600 \\u0000 "'
    answer = await send(client, json.dumps({"points": 1, "customer": {"id": text}}).encode())
    assert answer.json()["customer"]["id"] == text


async def test_an_empty_body_is_an_empty_object_where_nothing_is_required(client: httpx.AsyncClient) -> None:
    assert (await send(client, b"", "/capture")).json() == {"points": None}


TAKEN = ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"', "application/json; v=1"]
NOT_TAKEN = [
    None,
    "",
    "text/plain",
    "application/jsonp",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin-1",
    "application/json; charset=utf-8; charset=utf-16",
    "application/x-ndjson",
]


@pytest.mark.parametrize("media_type", TAKEN)
async def test_json_is_taken(client: httpx.AsyncClient, media_type: str) -> None:
    assert (await send(client, GOOD, headers={"content-type": media_type})).status_code == 201


@pytest.mark.parametrize("media_type", NOT_TAKEN)
async def test_other_media_types_are_not_taken(client: httpx.AsyncClient, media_type: str | None) -> None:
    answer = await send(client, GOOD, headers={} if media_type is None else {"content-type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_two_content_types_are_not_taken(client: httpx.AsyncClient) -> None:
    answer = await send(client, GOOD, headers=[("content-type", "application/json"), ("content-type", "text/plain")])
    assert answer.status_code == 415


ENCODINGS = [
    (gzip.compress(GOOD), "gzip", 201, None),
    (GOOD, "identity", 201, None),
    (GOOD, "gzip", 400, "malformed_body"),
    (gzip.compress(GOOD)[:-9], "gzip", 400, "malformed_body"),
    (gzip.compress(GOOD) + b"more", "gzip", 400, "malformed_body"),
    (gzip.compress(b" " * 100_000_000), "gzip", 413, "too_large"),
    (GOOD, "br", 415, "unsupported_media_type"),
    (gzip.compress(gzip.compress(GOOD)), "gzip, gzip", 415, "unsupported_media_type"),
]


@pytest.mark.parametrize(("body", "encoding", "status", "code"), ENCODINGS)
async def test_gzip_is_unpacked_within_the_limit(
    client: httpx.AsyncClient, body: bytes, encoding: str, status: int, code: str | None
) -> None:
    answer = await send(client, body, headers=JSON | {"content-encoding": encoding})
    assert (answer.status_code, answer.json().get("code")) == (status, code)


async def test_too_many_bytes_are_refused_with_and_without_their_number(client: httpx.AsyncClient) -> None:
    body = b" " * SINGLE_BYTES_MAX + GOOD

    async def in_parts() -> AsyncGenerator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    for content in (body, in_parts()):
        answer = await client.post("/one", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


BATCHES: list[tuple[str, bytes, str, list[str]]] = [
    ("/batch", b"[" + GOOD + b"," + GOOD + b"]", "application/json", ["taken", "taken"]),
    ("/batch", GOOD, "application/x-ndjson", ["taken"]),
    ("/batch", GOOD + b"\n\n" + GOOD + b"\r\n", "application/x-ndjson; charset=utf-8", ["taken", "taken"]),
    ("/batch", b'[{"a": 1}, ' + GOOD + b', {"points": 0, "customer": {}}, 7]', "application/json",
     ["unknown_field /a", "taken", "invalid_field /points", "invalid_field "]),
    ("/batch", GOOD + b"\n{broken\n" + GOOD, "application/x-ndjson", ["taken", "malformed_body ", "taken"]),
    ("/batch", GOOD + b"\n" + b"[" * 50_000 + b"\n" + GOOD, "application/x-ndjson", ["taken", "invalid_field ", "taken"]),
    ("/batch", b"[" + GOOD + b', {"points": 1, "customer": {"id": "\\ud800"}}, ' + GOOD + b"]", "application/json",
     ["taken", "invalid_field /customer/id", "taken"]),
    ("/batch", b"[" + GOOD + b', {"points": 1, "customer": {"id": "\xff"}}, ' + GOOD + b"]", "application/json",
     ["taken", "invalid_field /customer/id", "taken"]),
    ("/batch", GOOD + b'\n{"points": 1, "customer": {"id": "\\u0000"}}', "application/x-ndjson",
     ["taken", "invalid_field /customer/id"]),
    ("/links", b'{"links": [' + GOOD + b', {"b": 1}]}', "application/json", ["taken", "unknown_field /b"]),
    ("/links", b'{"links": [' + GOOD + b', {"points": 1, "customer": {"id": "\\ud800"}}]}', "application/json",
     ["taken", "invalid_field /customer/id"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "media_type", "results"), BATCHES)
async def test_what_is_wrong_with_an_item_concerns_that_item_alone(
    client: httpx.AsyncClient, path: str, body: bytes, media_type: str, results: list[str]
) -> None:
    answer = await send(client, body, path, {"content-type": media_type})
    assert answer.json() == results


WRONG_BATCHES = [
    ("/batch", b"[]", 422, "invalid_field", ""),
    ("/batch", GOOD, 422, "invalid_field", ""),
    ("/batch", b"[" + GOOD, 400, "malformed_body", None),
    ("/batch", b"[" + b"[" * 100_000, 400, "malformed_body", None),
    ("/batch", b"[" + b"1," * 10_000 + b"1]", 422, "invalid_field", ""),
    ("/links", b"[]", 422, "invalid_field", ""),
    ("/links", b"{}", 422, "invalid_field", "/links"),
    ("/links", b'{"links": 7}', 422, "invalid_field", "/links"),
    ("/links", b'{"links": []}', 422, "invalid_field", "/links"),
    ("/links", b'{"links": [1, 2, 3, 4]}', 422, "invalid_field", "/links"),
    ("/links", b'{"links": [1], "more": 2}', 422, "unknown_field", "/more"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "pointer"), WRONG_BATCHES)
async def test_a_batch_that_cannot_be_split_is_refused_whole(
    client: httpx.AsyncClient, path: str, body: bytes, status: int, code: str, pointer: str | None
) -> None:
    answer = await send(client, body, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == ([] if pointer is None else [pointer])
