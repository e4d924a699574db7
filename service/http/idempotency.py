"""The ``Idempotency-Key`` header, for operations that have no natural key (authorize, capture, refund, fund).

A key is the caller's own name for one request: sent again with the same request it gets the same answer, with another request
it is refused. The ledger claims it in the transaction that posts.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import HeaderParameter

from service.http.problems import Problem

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"

_KEY = re.compile(r"[\x20-\x7e]{1,255}")

KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        required=False,
        description="Identifies the request: 1 to 255 printable ASCII characters. A retry with the same key takes effect once.",
    ),
]


async def provide_idempotency_key(key_header: KeyHeader = None) -> str:
    """Return the key of this request; routes take it as ``idempotency_key: Injected[str]``."""
    return parse_key(key_header)


def parse_key(header: str | None) -> str:
    """Read the header's value; quotes around it, as the draft standard writes them, are not part of the key."""
    if header is None:
        raise Problem(
            "idempotency_key_required", "Send the header Idempotency-Key with a value of your own, new for each request."
        )
    key = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise Problem("idempotency_key_invalid", "Idempotency-Key must be 1 to 255 printable ASCII characters.")
    return key


def request_fingerprint(path: str, body: msgspec.Struct | None) -> bytes:
    """Return 32 bytes that differ when the request does.

    Spelling (spaces, order of fields) makes no difference, nor whether a default is said: so a retry still is one after fields
    were added to the request.
    """
    encoded = b"" if body is None else msgspec.json.encode(_said(body), order="deterministic")
    return hashlib.sha256(path.encode() + b"\0" + encoded).digest()


def _said(value: Any) -> Any:
    """A request as plain values, without the fields that have their defaults."""
    if not isinstance(value, msgspec.Struct):
        return value
    fields = [(field, getattr(value, field.name)) for field in _fields(type(value))]
    return {field.encode_name: _said(content) for field, content in fields if content != field.default}


# Reading the types of a request's fields takes longer than all that its route does besides.
_fields = functools.cache(msgspec.structs.fields)


def decided(content: Any, *, replayed: bool) -> Response[Any]:
    """Answer 201 to what was decided now, 200 with ``Idempotency-Replayed`` to what was decided before."""
    return Response(content, status_code=200, headers={REPLAYED: "true"}) if replayed else Response(content, status_code=201)
