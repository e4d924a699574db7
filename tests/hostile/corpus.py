"""What is sent: every operation of the API's description and every page, mutilated in every way that we could think of.

Each route gets its own good request first, so that the run also shows that the service still works for those who behave.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import msgspec

from tests.hostile.wire import Shot, request


class Route(msgspec.Struct, frozen=True):
    """One operation: how it is asked for properly. ``keys`` are those that may ask, best first."""

    method: str
    path: str
    body: Any
    key: str

    @property
    def name(self) -> str:
        """How it is called in a report."""
        return f"{self.method} {self.path}"


VALUES: Mapping[str, str] = {
    "campaign_id": "welcome",
    "customer_id": "customer-1",
    "channel": "email",
    "batch_id": "packs-1",
    "grant_id": "grt_00000001" + "0" * 32,
    "redemption_id": "red_00000001" + "0" * 16,
    "identity_id": "idn_00000001" + "0" * 16,
    "key_id": "key_999999",
    "kid": "mk_999999",
    "revocation": "999999",
}
"""What stands for a parameter of a path: what the demo has, or what nobody has."""

SEGMENTS = [
    "%00",
    "%ff",
    "%C0%AF",
    "%ED%A0%80",
    "%2F",
    "%252F",
    "..",
    "%2e%2e",
    ".",
    "a" * 300,
    "%41" * 2_000,
    "%",
    "%zz",
    ";a=b",
    "%F0%9F%92%A3",
    "%E2%80%AE",
    "cus_1",
    "cus_" + "9" * 30,
    "0",
    "-1",
    "null",
    "%20",
    "%0d%0aSet-Cookie:x",
    "'%20OR%201=1--",
]

QUERIES = [
    "?unknown=1",
    "?limit=1&limit=2",
    "?limit=0",
    "?limit=999999999999999999999",
    "?limit=-1",
    "?limit=1e3",
    "?after=%00",
    "?after=%ff",
    "?after=x",
    "?" + "&".join(f"a{n}=1" for n in range(2_000)),
    "?" + "a" * 20_000,
    "?=&=&=",
    "?%",
    "?a[]=1&a[b]=2",
]

BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "spaces": b" " * 4_096,
    "no JSON": b"{",
    "cut short": b'{"a": "',
    "another type": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "not a number": b"NaN",
    "a text": b'"' + b"x" * 10_000 + b'"',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "many members": b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}",
    "one member often": b"{" + b",".join([b'"a":1'] * 50_000) + b"}",
    "many items": b"[" + b",".join([b"1"] * 200_000) + b"]",
    "a long key": b'{"' + b"k" * 262_144 + b'":[' + b",".join([b"1"] * 200_000) + b"]}",
    "a long key and half a character": b'{"'
    + b"k" * 262_144
    + b'":['
    + b",".join([b"1"] * 100_000)
    + b'],"a":"\\ud800","a":1}',
    "half a character": b'{"customer":{"id":"\\ud800"}}',
    "a NUL": b'{"customer":{"id":"\\u0000"}}',
    "broken UTF-8": b'{"customer":{"id":"\xff\xfe"}}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf{}",
    "a huge number": b'{"points":' + b"9" * 5_000 + b"}",
    "a float": b'{"points":1.5}',
    "a megabyte and one": b'{"a":"' + b"x" * 1_048_576 + b'"}',
    "control characters": b'{"campaign":"\\u0007\\u202e","message_id":"\\r\\n"}',
    "a prototype": b'{"__proto__":{"a":1},"constructor":1}',
}

ODD_HEADERS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = [
    ("no type", [("Content-Type", "")]),
    ("another type", [("Content-Type", "application/xml")]),
    ("two types", [("Content-Type", "application/json"), ("Content-Type", "text/plain")]),
    ("another charset", [("Content-Type", "application/json; charset=utf-16")]),
    ("a long type", [("Content-Type", "application/json;" + "a" * 4_000)]),
    ("no gzip", [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]),
    ("brotli", [("Content-Type", "application/json"), ("Content-Encoding", "br")]),
    ("twice packed", [("Content-Type", "application/json"), ("Content-Encoding", "gzip, gzip")]),
    ("an announcement", [("Content-Length", "67108864")]),
    ("a negative length", [("Content-Length", "-1")]),
    ("no length", [("Content-Length", "abc")]),
    ("a huge length", [("Content-Length", "9" * 30)]),
    ("two lengths", [("Content-Length", "1"), ("Content-Length", "2")]),
    ("chunked and a length", [("Transfer-Encoding", "chunked"), ("Content-Length", "5")]),
    ("chunked, badly", [("Transfer-Encoding", "chunked")]),
    ("another coding", [("Transfer-Encoding", "gzip, chunked")]),
    ("a long header", [("X-Long", "x" * 100_000)]),
    ("many headers", [(f"X-{n}", "x") for n in range(1_000)]),
    ("a header with a NUL", [("X-Nul", "a\0b")]),
    ("another host", [("Host", "elsewhere.example")]),
    ("a host that is none", [("Host", "a b<>")]),
    ("two hosts", [("Host", "a.example"), ("Host", "b.example")]),
    ("a switch", [("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"), ("Sec-WebSocket-Version", "13")]),
    ("expectations", [("Expect", "100-continue")]),
    ("other expectations", [("Expect", "the-unexpected")]),
    ("a range", [("Range", "bytes=0-0," * 1_000)]),
    ("many languages", [("Accept-Language", ",".join(f"x{n};q=0.{n}" for n in range(900)))]),
    ("many types taken", [("Accept", ",".join(f"a/{n};q=0.1" for n in range(900)))]),
    ("many cookies", [("Cookie", "; ".join(f"a{n}=b" for n in range(900)))]),
    ("a foreign page", [("Origin", "https://elsewhere.example"), ("Sec-Fetch-Site", "cross-site")]),
    ("a forged address", [("X-Forwarded-For", "1.2.3.4, " * 500), ("Forwarded", "for=_x")]),
    ("an id of a request", [("X-Request-Id", "\x7f" * 500)]),
    ("a key for once", [("Idempotency-Key", "x" * 10_000)]),
    ("a key for once that is empty", [("Idempotency-Key", "")]),
    ("two keys for once", [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]),
]

METHODS = ["OPTIONS", "TRACE", "HEAD", "DELETE", "PUT", "PATCH", "POST", "GET", "FOO", "G E T", "\x01", "a" * 5_000]

KEYS = ["", "Bearer", "Bearer x", "Bearer rk_live_" + "x" * 40, "Basic eDp5", "Bearer " + "x" * 8_000, "bearer \xff"]


def routes(document: Mapping[str, Any], keys: Mapping[str, str]) -> list[Route]:
    """Every operation of the description, with the example that it gives, asked for by a key of the demo."""
    found: list[Route] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            concrete = path
            for name, value in VALUES.items():
                concrete = concrete.replace(f"{{{name}}}", value)
            found.append(Route(method.upper(), concrete, _example(content, document), _key_for(operation, keys)))
    return found


def _example(content: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
    if not content:
        return None
    if "example" in content:
        return content["example"]
    for example in content.get("examples", {}).values():
        return example["value"]
    named = document["components"]["schemas"].get(content["schema"].get("$ref", "").rpartition("/")[2], content["schema"])
    return next(iter(named.get("examples", [])), None) or named.get("example", {})


_KEY_OF_SCOPE = {
    "grants:write": "messaging",
    "grants:read": "messaging",
    "links:write": "messaging",
    "customers:read": "messaging",
    "customers:write": "messaging",
    "redemptions:write": "storefront",
    "redemptions:read": "storefront",
    "funds:write": "finance",
    "ledger:read": "finance",
    "exports:write": "finance",
    "events:read": "messaging",
}


def _key_for(operation: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    text = json.dumps(operation)
    name = next((key for scope, key in _KEY_OF_SCOPE.items() if scope in text), "admin")
    return keys.get(name, keys["admin"])


def pages(link: str, page_links: Sequence[str], code: str) -> list[Route]:
    """The pages for people: paths that hold a token that is good."""
    paths = [
        link,
        *page_links,
        f"/{code}",
        "/r/done/x",
        f"/qr/{code}.svg",
        f"/display/{code}",
        "/o/x.gif",
        "/live/x.png",
        "/",
        "/docs",
        "/docs/errors",
        "/docs/static/reference.css",
        "/docs/static/" + "a" * 300,
        "/demo/shop",
        "/health/live",
        "/.well-known/jwks.json",
        "/.well-known/apple-app-site-association",
        "/nowhere/at/all",
    ]
    return [Route(method, path, None, "") for path in paths for method in ("GET", "POST")]


BOMB = gzip.compress(b"0" * 20_000_000)
MANY_BOMBS = gzip.compress(b"") * 20_000


def of_route(route: Route, *, first: int = 0, every: int = 1) -> Generator[Shot]:
    """All that is sent to one route; of what every route gets alike, one in ``every``, from the ``first``."""
    yield from _of_its_own(route)
    yield from itertools.islice(_as_to_all(route), first % every, None, every)


def _headers(route: Route) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {route.key}")] if route.key else []


def _of_its_own(route: Route) -> Generator[Shot]:
    """What depends on the route: its body, its parameters, the beginning of its request."""
    authorized = _headers(route)
    as_json = [*authorized, ("Content-Type", "application/json"), ("Idempotency-Key", "hostile-1")]
    good = None if route.body is None else json.dumps(route.body).encode()

    def shot(name: str, data: bytes, *, is_whole: bool = True) -> Shot:
        return Shot(f"{route.name}: {name}", data, is_whole)

    yield shot("as described", request(route.method, route.path, as_json if good else authorized, good))
    takes_body = route.method in {"POST", "PUT", "PATCH"}
    if takes_body:
        for name, body in BODIES.items():
            yield shot(name, request(route.method, route.path, as_json, body))
        packed = [*as_json, ("Content-Encoding", "gzip")]
        yield shot("a bomb", request(route.method, route.path, packed, BOMB))
        yield shot("many bombs", request(route.method, route.path, packed, MANY_BOMBS))
        trailer = b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + route.key.encode() + b"\r\n\r\n"
        chunked = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
        yield shot("a key in the trailer", request(route.method, route.path, chunked, trailer))
        one_by_one = b"".join(b"1\r\n \r\n" for _ in range(5_000)) + b"0\r\n\r\n"
        yield shot("in small chunks", request(route.method, route.path, [*authorized, *chunked], one_by_one))
    example: Any = route.body
    if isinstance(example, dict):
        for name, body in _mistyped(cast("dict[str, Any]", example)):
            yield shot(name, request(route.method, route.path, as_json, body))
    if any(value in route.path.split("/") for value in VALUES.values()):
        for segment in SEGMENTS:
            parts = [segment if part in VALUES.values() else part for part in route.path.split("/")]
            yield shot(f"segment {segment[:20]}", request(route.method, "/".join(parts), as_json, good))
    whole = request(route.method, route.path, as_json, good or b"{}")
    for share in (0.1, 0.5, 0.9):
        yield shot(f"cut at {share}", whole[: int(len(whole) * share)], is_whole=False)


def _as_to_all(route: Route) -> Generator[Shot]:
    """What is read before it is known which route is meant, or the same way for all of them."""
    authorized = _headers(route)
    good = None if route.body is None else json.dumps(route.body).encode()
    sent = b"{}" if route.method in {"POST", "PUT", "PATCH"} else None
    for name, headers in ODD_HEADERS:
        yield Shot(f"{route.name}: {name}", request(route.method, route.path, [*authorized, *headers], sent))
    for query in QUERIES:
        yield Shot(f"{route.name}: query {query[:20]}", request(route.method, route.path + query, authorized, good))
    for key in KEYS:
        yield Shot(f"{route.name}: key {key[:20]!r}", request(route.method, route.path, [("Authorization", key)], good))
    for method in METHODS:
        yield Shot(f"{route.name}: method {method[:10]!r}", request(method, route.path, authorized))


def _mistyped(body: Mapping[str, Any]) -> Generator[tuple[str, bytes]]:
    """The body with each field in turn missing, doubled, or of another type."""
    for field in body:
        rest = {name: value for name, value in body.items() if name != field}
        yield f"without {field}", json.dumps(rest).encode()
        inside = json.dumps(body)[1:-1]
        yield f"{field} twice", f'{{{inside},"{field}":{json.dumps(body[field])}}}'.encode()
        others: list[Any] = [None, True, -1, 10**40, 1.5, "", "x" * 5_000, "\u0000", "\udcff", [], [[]], {}, {"a": {"b": 1}}]
        for value in others:
            yield f"{field} as {str(value)[:10]!r}", json.dumps(rest | {field: value}).encode()


NO_HTTP: Sequence[Shot] = [
    Shot("nothing at all", b"", is_whole=False),
    Shot("TLS", bytes.fromhex("16030100a5010000a10303") + bytes(160)),
    Shot("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64)),
    Shot("HTTP/0.9", b"GET /\r\n"),
    Shot("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n"),
    Shot("line ends", b"\r\n" * 50_000),
    Shot("zeros", bytes(100_000)),
    Shot("one header without an end", b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000_000),
    Shot("headers without an end", b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000),
    Shot("a line without an end", b"GET /" + b"a" * 3_000_000),
    Shot("a header that goes on", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    Shot("a space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    Shot("requests at once", request("GET", "/health/live").replace(b"close", b"keep-alive") * 200 + request("GET", "/")),
    Shot(
        "a hidden request",
        request("POST", "/v1/grants", [("Content-Length", "4"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\nGET /"),
    ),
    Shot(
        "a chunk without an end",
        request("POST", "/v1/grants", [("Transfer-Encoding", "chunked")], b"ffffffff\r\n" + b"a" * 1_000),
    ),
    Shot("a chunk of no size", request("POST", "/v1/grants", [("Transfer-Encoding", "chunked")], b"xyz\r\n")),
    Shot("a chunk's long extension", request("POST", "/v1/grants", [("Transfer-Encoding", "chunked")], b"1;" + b"a" * 500_000)),
]


def noise(seed: int, count: int) -> Generator[Shot]:
    """Requests with bytes changed at random."""
    chance = random.Random(seed)
    base = request(
        "POST", "/v1/grants", [("Content-Type", "application/json"), ("Authorization", "Bearer rk_test_x")], b'{"a": [1, "b"]}'
    )
    for n in range(count):
        data = bytearray(base)
        for _ in range(chance.randint(1, 8)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place]
                case _:
                    data[place:place] = chance.randbytes(chance.randint(1, 40))
        yield Shot(f"noise {seed}.{n}", bytes(data), is_whole=False)
