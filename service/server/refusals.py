"""A refusal as the bytes of a response, made once and then copied: under overload most responses are refusals."""

from __future__ import annotations

import functools

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.http import middleware
from service.http.problems import Problem

ID_PLACEHOLDER = "~"
"""Stands for each character of a request's id, in which it never is."""


@functools.lru_cache  # one of the server's headers is the time
def response_template(
    problem: Problem, id_length: int, is_head: bool, stays: bool, *server_headers: tuple[bytes, bytes]
) -> bytes:
    """The response to a request whose id has so many characters, with `ID_PLACEHOLDER` for each of them."""
    status, headers, body = middleware.refusal(problem, ID_PLACEHOLDER * id_length)
    lines = [b"%b: %b\r\n" % header for header in (*server_headers, *headers)]
    end = b"\r\n" if stays else b"connection: close\r\n\r\n"
    return b"".join([STATUS_LINE[status], *lines, end, b"" if is_head else body])
