"""Bodies: what is taken, what is refused, and that the refusal names the field."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody

from service.admission.limits import (
    BATCH_BYTES_MAX,
    GZIP_MEMBERS_MAX,
    JSON_BATCH_VALUES_MAX,
    JSON_DEPTH_MAX,
    JSON_KEY_CHARACTERS_MAX,
    JSON_MEMBERS_MAX,
    JSON_VALUES_MAX,
    SINGLE_BYTES_MAX,
)
from service.customers.merges.schemas import CustomerRequest
from service.grants.schemas import GrantRequest
from service.http import json_text, problems, strict_json
from service.http.bodies import Batch, Body, BodyRequest, Identifier, Points, Slug, StrictBody, decode_batch, decode_item
from service.http.compressed_bodies import unpack
from service.http.json_text import is_told_once
from service.http.problems import Problem
from service.http.request_target import check_path_and_query
from service.link_pages.schemas import ClaimConfirmation
from service.links.schemas import LinkRequest
from tests.steps import steps


class Customer(Body, frozen=True):
    id: Identifier | None = None


class Order(Body, frozen=True):
    points: Points
    customer: Customer
    action: Slug = "open"
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    refs: Annotated[list[Identifier], msgspec.Meta(max_length=2)] = msgspec.field(default_factory=list[str])
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Lean(Body, frozen=True, omit_defaults=True):
    """Written without what was not sent, so that there is less to count."""

    points: Points
    note: Identifier | None = None
    tags: dict[str, str] | None = None


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


def strict_json_of(body: bytes) -> Order | Problem:
    return decode_item(body, msgspec.json.Decoder(Order))


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
        before_request=check_path_and_query,
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
TWICE = b'{"points": 1, "customer": {"id": "a"}, "points": 2}'
BROKEN = b'{"points": 1, "customer": {"id": "\xff], \\ud800"}}'
MARK = b"\xef\xbb\xbf"


async def send(client: httpx.AsyncClient, body: bytes, path: str = "/one", headers: Any = JSON) -> httpx.Response:
    return await client.post(path, content=body, headers=headers)


def with_member(name: str, value: str) -> bytes:
    return f'{{"points": 1, "customer": {{}}, "{name}": {value}}}'.encode()


WRONG_FIELDS: list[tuple[bytes, str, str]] = [
    (b'{"customer": {}}', "/points", "is required"),
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
    (with_member("at", '"2026-11-22T10:00:00"'), "/at", "must have a time zone, as in 2026-11-22T09:30:00Z"),
    (with_member("at", '"0001-01-01T00:00:00+14:00"'), "/at", "must lie in the years 1 to 9999 of UTC"),
    (with_member("at", '"9999-12-31T23:59:59-12:00"'), "/at", "must lie in the years 1 to 9999 of UTC"),
    (with_member("at", '"\\u0039999-12-31T23:59:59-12:00"'), "/at", "must lie in the years 1 to 9999 of UTC"),
    (with_member("at", '"yesterday"'), "/at", "must be a time such as 2026-11-22T09:30:00Z"),
    (with_member("action", '"Open"'), "/action", "must match ^[a-z][a-z0-9_.]{0,31}$"),
    (b"[]", "", "must be of type object, not array"),
    (b"null", "", "must be of type object, not null"),
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
    (b'{"points": 1, "customer": {}, "x": ' + b"[" * (JSON_DEPTH_MAX - 1), "/x"),
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
    b"points=1",
    b"NaN",
    b"\xff\xfe",
    b'{"points": 1, "customer": {"id": "a\x00b"}}',
    b'{"points": 1, "customer": {}, "metadata": ' + b'{"a":' * 100_000,
]


@pytest.mark.parametrize("body", NOT_JSON)
async def test_what_is_not_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await send(client, body)
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
    (gzip.compress(GOOD) + b"\0" * 8, "gzip", 400, "malformed_body"),
    (gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]), "gzip", 201, None),
    (b"".join(gzip.compress(GOOD[n : n + 1]) for n in range(len(GOOD))), "gzip", 201, None),
    (gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:])[:-9], "gzip", 400, "malformed_body"),
    (gzip.compress(GOOD) + gzip.compress(b"") * GZIP_MEMBERS_MAX, "gzip", 400, "malformed_body"),
    (gzip.compress(b" " * 500_000) * 3, "gzip", 413, "too_large"),
    (
        gzip.compress(random.Random(1).randbytes(200_000).hex().encode() + b" " * 100) + gzip.compress(GOOD),
        "gzip",
        400,
        "malformed_body",
    ),
    (b"", "gzip", 400, "malformed_body"),
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
    ("/batch", GOOD + b"\n" + b"[" * 50_000 + b"\n" + GOOD, "application/x-ndjson", ["taken", "malformed_body ", "taken"]),
    ("/batch", GOOD + b"\n" + TWICE + b"\n" + GOOD, "application/x-ndjson", ["taken", "malformed_body /points", "taken"]),
    ("/batch", b"[" + GOOD + b"," + TWICE + b"]", "application/json", ["taken", "malformed_body /points"]),
    ("/batch", MARK + GOOD + b"\r\n" + MARK + GOOD, "application/x-ndjson", ["taken", "taken"]),
    ("/batch", MARK + b"[" + GOOD + b"]", "application/json", ["taken"]),
    ("/batch", b" \n\t[ " + GOOD + b" ,\n" + BROKEN + b"\n,[], " + BROKEN + b" ]", "application/json",
     ["taken", "invalid_field /customer/id", "invalid_field ", "invalid_field /customer/id"]),
    ("/batch", b"[" + GOOD + b"," + b" " * SINGLE_BYTES_MAX + GOOD[:-1] + b" " * SINGLE_BYTES_MAX + b"}]", "application/json",
     ["taken", "too_large "]),
    ("/links", b'{ "links" : [' + GOOD + b"," + BROKEN + b"] } ", "application/json", ["taken", "invalid_field /customer/id"]),
    ("/links", b'{"l\\u0069nks": [' + GOOD + b"]}", "application/json", ["taken"]),
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
    ("/links", b'{"links": [1], "links": [1]}', 400, "malformed_body", "/links"),
    ("/links", b'{"l\\u0069nks": [1], "links" : [1] }', 400, "malformed_body", "/links"),
    ("/batch", b"[" + b"," * (JSON_BATCH_VALUES_MAX + 1) + b"]", 400, "malformed_body", None),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "pointer"), WRONG_BATCHES)
async def test_a_batch_that_cannot_be_split_is_refused_whole(
    client: httpx.AsyncClient, path: str, body: bytes, status: int, code: str, pointer: str | None
) -> None:
    answer = await send(client, body, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [error["pointer"] for error in answer.json()["errors"]] == ([] if pointer is None else [pointer])


GIVEN_TWICE = [
    (TWICE, "/points"),
    (b'{"points": 5, "customer": {}, "points": 5}', "/points"),
    (b'{"points": 5, "customer": {}, "points" :5}', "/points"),
    (b'{"points": 5, "customer": {}, "\\u0070oints": 5}', "/points"),
    (b'{"points": 5, "customer": {}, "points": "x"}', "/points"),
    (b'{"points": 5, "customer": {"id": "a", "id": "b"}}', "/customer/id"),
    (b'{"points": 5, "customer": {"id": null, "id": "b"}}', "/customer/id"),
    (b'{"points": 5, "customer": {"id": "b", "id": null}}', "/customer/id"),
    (b'{"points": 5, "customer": {"id": "a"}, "customer": {}}', "/customer"),
    (b'{"points": 5, "customer": {"id": "\\u0022\\u0022"}, "points": 5}', "/points"),
    (b'{"points": 5, "customer": {"id": "a:null,\\":null"}, "points": 5}', "/points"),
    (with_member("action", '"open", "action": "open"'), "/action"),
    (with_member("metadata", '{"a": "", "b": "", "a": ""}'), "/metadata/a"),
    (with_member("metadata", '{"a/b": "", "a\\u002fb": ""}'), "/metadata/a~1b"),
    (with_member("metadata", '{":x": "1", ":x": "2"}'), "/metadata/:x"),
    (with_member("metadata", '{"a\\"": "1", "a\\u0022": "2"}'), '/metadata/a"'),
    (with_member("x", '[1, {"y": [{"z": 1, "z": 1}]}]'), "/x/1/y/0/z"),
]


@pytest.mark.parametrize(("body", "pointer"), GIVEN_TWICE)
async def test_a_key_given_twice_is_refused_by_name(client: httpx.AsyncClient, body: bytes, pointer: str) -> None:
    answer = await send(client, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert answer.json()["errors"] == [{"pointer": pointer, "code": "malformed_body", "detail": "is given twice"}]


GIVEN_ONCE = [
    GOOD,
    with_member("metadata", '{"points": "", "customer": "", "id": "\\"points\\": 1"}'),
    with_member("metadata", '{"a": "\\u0022", "b": ":null"}'),
    with_member("at", "null"),
    with_member("refs", "[]"),
    with_member("action", '"open"'),
    b'{"points": 1, "customer": {"id": "x"}, "refs": ["\\"", "y"], "at": "2026-11-22T10:00:00+0100"}',
]


@pytest.mark.parametrize("body", GIVEN_ONCE)
async def test_keys_that_are_alike_in_different_places_are_taken(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await send(client, body)).status_code == 201


def test_what_most_programs_send_is_not_read_a_second_time() -> None:
    for body in (GOOD, with_member("metadata", '{"a": "b"}'), with_member("refs", '["a"]'), with_member("action", '"click"')):
        value = msgspec.json.decode(body, type=Order)
        assert is_told_once(body, value, Order) is (b"action" not in body and b"metadata" not in body and b"refs" not in body)


LEAN = [
    (b'{"points": 1}', True),
    (b'{"points": 1, "note": "a\\"b", "tags": {"a": "b"}}', True),
    (b'{"points": 1, "points": 1}', False),
    (b'{"points": 1, "note": null}', False),
    (b'{"points": 1, "note": null, "note": "a"}', False),
    (b'{"points": 1, "note": "a", "note": null}', False),
    (b'{"points": 1, "tags": {"a": "b", "a": "b"}}', False),
    (b'{"points": 1, "note": "\\u0022\\u0022", "points": 1}', False),
]


@pytest.mark.parametrize(("body", "is_sure"), LEAN)
def test_what_is_written_without_what_was_not_sent_is_counted_as_it_is(body: bytes, is_sure: bool) -> None:
    assert is_told_once(body, msgspec.json.decode(body, type=Lean), Lean) is is_sure


@pytest.mark.parametrize("struct", [GrantRequest, LinkRequest, CustomerRequest, ClaimConfirmation])
def test_what_is_sent_most_is_read_once(struct: type[Body]) -> None:
    body = json.dumps(struct.example).encode()
    assert is_told_once(body, msgspec.json.decode(body, type=struct), struct)


ALL_AT_ONCE: list[tuple[bytes, list[tuple[str, str]]]] = [
    (b"{}", [("/points", "invalid_field"), ("/customer", "invalid_field")]),
    (b'{"pionts": 1, "who": {}}',
     [("/pionts", "unknown_field"), ("/who", "unknown_field"), ("/points", "invalid_field"), ("/customer", "invalid_field")]),
    (b'{"points": 0, "customer": {"name": 1}, "x": 1}',
     [("/points", "invalid_field"), ("/x", "unknown_field"), ("/customer/name", "unknown_field")]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "errors"), ALL_AT_ONCE)
async def test_all_that_is_missing_or_unknown_is_told_at_once(
    client: httpx.AsyncClient, body: bytes, errors: list[tuple[str, str]]
) -> None:
    answer = await send(client, body)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == errors


async def test_a_great_deal_that_is_unknown_is_told_in_part(client: httpx.AsyncClient) -> None:
    answer = await send(client, json.dumps({f"x{n}": n for n in range(JSON_MEMBERS_MAX)}).encode())
    assert len(answer.json()["errors"]) <= strict_json.FIELDS_TOLD_MAX + 1


async def test_a_byte_order_mark_in_front_is_passed_over(client: httpx.AsyncClient) -> None:
    assert (await send(client, MARK + GOOD)).status_code == 201
    assert (await send(client, MARK + MARK + GOOD)).status_code == 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("path", ["/one", "/batch"])
async def test_other_encodings_of_unicode_are_refused_in_words(client: httpx.AsyncClient, encoding: str, path: str) -> None:
    answer = await send(client, GOOD.decode().encode(encoding), path)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert "UTF-8" in answer.json()["detail"]


BEYOND = {
    "depth": with_member("x", "[" * JSON_DEPTH_MAX + "]" * JSON_DEPTH_MAX),
    "depth in a text that never ends": with_member("x", "[" * JSON_DEPTH_MAX + '"'),
    "members": with_member("metadata", json.dumps({str(n): "" for n in range(JSON_MEMBERS_MAX + 1)})),
    "key": with_member("metadata", json.dumps({"x" * (JSON_KEY_CHARACTERS_MAX + 1): ""})),
    "values": with_member("refs", "[" + "1," * JSON_VALUES_MAX + "1]"),
    "values of the wrong kind": b"[" + b"1," * JSON_VALUES_MAX + b"1]",
}


@pytest.mark.parametrize("beyond", BEYOND)
async def test_what_is_beyond_the_bounds_of_json_is_refused(client: httpx.AsyncClient, beyond: str) -> None:
    answer = await send(client, BEYOND[beyond])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_brackets_in_texts_are_no_nesting(client: httpx.AsyncClient) -> None:
    assert (await send(client, with_member("metadata", json.dumps({"a": '[{\\"' * 200})))).status_code == 201


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "a lone surrogate behind many values": lambda n: with_member("x" * 200, "[" + "1," * n + '"\\ud800"]'),
    "many keys": lambda n: with_member("x", "[" + ",".join(f'{{"a{i}": "\\ud800"}}' for i in range(n)) + "]"),
    "many objects with a key twice": lambda n: with_member("x", "[" + ",".join(['{"a": 1, "a": 2}'] * n) + "]"),
    "many texts": lambda n: with_member("x", "[" + '"\\"",' * n + "1]"),
    "texts that never end": lambda n: b'{"x": ' + b'"\\"' * n,
    "backslashes": lambda n: b'{"x": "' + b"\\" * n,
    "nothing but brackets": lambda n: b"[" * n,
    "brackets that close": lambda n: b"[]," * n,
    "a long number": lambda n: with_member("points", "9" * n),
    "a long key": lambda n: with_member("`- at `$" * n, "1"),
    "bytes that are not UTF-8": lambda n: with_member("x", "").replace(b'"x": ', b'"x": "' + b"\xff" * n + b'"'),
    "unknown fields": lambda n: json.dumps({f"x{i}": 1 for i in range(n // 8)}).encode(),
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_twice_the_body_is_at_most_twice_the_work(shape: str) -> None:
    def read(n: int) -> None:
        decoded = strict_json_of(HOSTILE[shape](n))
        assert isinstance(decoded, Problem)

    read(100)  # types are looked at once
    assert steps(read, 8_000) <= 2.1 * steps(read, 4_000) + 200


BATCHES_OF_SIZE: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "an array": ("application/json", lambda n: b"[" + b",".join([GOOD] * n) + b"]"),
    "an array with a broken text": ("application/json", lambda n: b"[" + b",".join([BROKEN] * n) + b"]"),
    "lines": ("application/x-ndjson", lambda n: (GOOD + b"\n") * n),
    "empty lines": ("application/x-ndjson", lambda n: b" \n" * n + GOOD),
    "one long line": ("application/x-ndjson", lambda n: b" " * n + GOOD),
}


@pytest.mark.parametrize("shape", BATCHES_OF_SIZE)
def test_twice_the_batch_is_at_most_twice_the_work(shape: str) -> None:
    media_type, of_size = BATCHES_OF_SIZE[shape]
    decoder = msgspec.json.Decoder(Order)

    def read(n: int) -> None:
        decode_batch(of_size(n), media_type, OrderBatch, decoder)

    assert steps(read, 8_000) <= 2.1 * steps(read, 4_000) + 200


@pytest.mark.parametrize("letter", [b"\xc3", b"\xff", b"\xed\xa0\x80", rb"\ud800", rb"\u0000"])
@pytest.mark.parametrize("letters", [1, JSON_KEY_CHARACTERS_MAX + 1])
@pytest.mark.parametrize("around", [b"%b", b'{"points": 1, "metadata": %b}', b'{"points": 1, "customer": %b}', b"[%b]"])
def test_a_name_that_cannot_be_kept_is_refused_in_words_that_can_be_sent(around: bytes, letters: int, letter: bytes) -> None:
    body = around % (b'{"' + letter * letters + b'": 1}')
    found = strict_json_of(body)
    assert isinstance(found, Problem)
    assert found.status < 500
    msgspec.json.encode(found.document("req_1"))
    with pytest.raises(Problem) as refused:
        decode_batch(b'{"' + letter * letters + b'": []}', "application/json", LinkBatch, msgspec.json.Decoder(Order))
    msgspec.json.encode(refused.value.document("req_1"))


@pytest.mark.parametrize("unit", [b" ", b"\n", b"\r\n", MARK, b" \n", MARK + b"\n"])
def test_what_no_line_follows_is_looked_at_once(unit: bytes) -> None:
    """Steps do not show what an expression does: 1 MiB looked at again from each of its bytes takes minutes."""
    decoder = msgspec.json.Decoder(Order)
    nothing = unit * (1024 * 1024 // len(unit))
    before_s = time.process_time()
    assert len(decode_batch(GOOD + b"\n" + nothing, "application/x-ndjson", OrderBatch, decoder)) == 1
    with pytest.raises(Problem, match="at least 1 item"):
        decode_batch(nothing, "application/x-ndjson", OrderBatch, decoder)
    assert time.process_time() - before_s < 10


def test_no_more_lines_are_looked_at_than_a_batch_has() -> None:
    def read(n: int) -> None:
        with pytest.raises(Problem):
            decode_batch(b"1\n" * n, "application/x-ndjson", OrderBatch, msgspec.json.Decoder(Order))

    read(20_000)
    assert steps(read, 1_000_000) <= steps(read, 20_000) + 100


def test_twice_the_members_are_at_most_twice_the_work() -> None:
    def read(n: int) -> None:
        unpack(gzip.compress(GOOD) * n, bytes_max=BATCH_BYTES_MAX)

    assert steps(read, 800) <= 2.1 * steps(read, 400)


def test_a_bomb_of_many_members_is_unpacked_to_its_bound_and_no_further() -> None:
    bomb = gzip.compress(b" " * 1_000_000)

    def read(members: int) -> None:
        with pytest.raises(Problem) as refused:
            unpack(bomb * members, bytes_max=SINGLE_BYTES_MAX)
        assert refused.value.code == "too_large"

    assert steps(read, 900) <= steps(read, 100) + 100


def test_a_pointer_is_made_for_the_hit_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(name: str) -> str:
        made.append(name)
        return escaped(name)

    escaped = json_text.escaped
    monkeypatch.setattr(json_text, "escaped", counted)
    body = json.dumps({"metadata": {f"k{n}": ["", ""] for n in range(900)} | {"hit": "\ud800"}}).encode()
    json_text.first_said_of(json_text.read_whole(body), json_text.unkeepable)
    assert made == ["hit", "metadata"]
