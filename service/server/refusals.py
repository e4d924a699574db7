"""What the protocol refuses with.

HEADERS_TOO_LARGE ...   what is wrong with a request
too_large_head          which part of a head is too large
response_template       a refusal as bytes, made once and then copied: under overload most responses are refusals
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.admission.limits import HEAD_BYTES_MAX, URL_BYTES_MAX, Kind
from service.http import middleware
from service.http.problems import CODES, Problem

HEADERS_TOO_LARGE = Problem("headers_too_large", CODES["headers_too_large"].meaning)
URL_TOO_LONG = Problem("url_too_long", CODES["url_too_long"].meaning)
TOO_LARGE = {kind: Problem("too_large", f"The body is larger than {kind.body_bytes_max} bytes.") for kind in Kind}
TIMED_OUT = Problem("request_timeout", CODES["request_timeout"].meaning)
MALFORMED = Problem("malformed_request", CODES["malformed_request"].meaning)
TINY_CHUNKS = Problem("malformed_request", "The body arrives in chunks that are too small.")

ID_PLACEHOLDER = "~"
"""Stands for each character of a request's id, in which it never is."""


def too_large_head(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Problem | None:
    """Which part of a head is too large, if one is."""
    if len(url) > URL_BYTES_MAX:
        return URL_TOO_LONG
    size = len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
    return HEADERS_TOO_LARGE if size > HEAD_BYTES_MAX else None


@functools.lru_cache  # one of the server's headers is the time
def response_template(
    problem: Problem, id_length: int, is_head: bool, stays: bool, *server_headers: tuple[bytes, bytes]
) -> bytes:
    """The response to a request whose id has so many characters, with `ID_PLACEHOLDER` for each of them."""
    status, headers, body = middleware.refusal(problem, ID_PLACEHOLDER * id_length)
    lines = [b"%b: %b\r\n" % header for header in (*server_headers, *headers)]
    end = b"\r\n" if stays else b"connection: close\r\n\r\n"
    return b"".join([STATUS_LINE[status], *lines, end, b"" if is_head else body])
