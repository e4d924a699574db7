"""Limits: what one request may cost this process. All of them are here.

    kind_of   which kind a request is of, by its method and path; a kind says how large its body may be and how long it may take

Who breaks a limit is answered with a problem of ``docs/errors.md``.
"""

from __future__ import annotations

import enum
from urllib.parse import unquote, urlsplit

KIB = 1024
MIB = 1024 * 1024

SINGLE_BYTES_MAX = 1 * MIB
"""The body of a request for one thing, as sent and unpacked."""
BATCH_BYTES_MAX = 16 * MIB
FORM_BYTES_MAX = 4 * KIB
"""What a page sends in, and what may come along with a request that takes no body."""

JSON_DEPTH_MAX = 32
"""So many arrays and objects inside each other."""
JSON_MEMBERS_MAX = 1_000
"""So many members in one object."""
JSON_KEY_CHARACTERS_MAX = 256
"""So many characters in the name of a member."""
JSON_VALUES_MAX = 100_000
"""So many values in a body, or in one item of a batch."""
JSON_BATCH_VALUES_MAX = 1_000_000
"""So many values in a batch as a whole."""


class Kind(enum.Enum):
    """What kind of request: how large its body may be, and within how many seconds all of it must have come."""

    READ = ("read", FORM_BYTES_MAX, 10.0)
    FORM = ("form", FORM_BYTES_MAX, 10.0)
    SINGLE = ("single", SINGLE_BYTES_MAX, 30.0)
    BATCH = ("batch", BATCH_BYTES_MAX, 120.0)

    def __init__(self, title: str, body_bytes_max: int, body_within_s: float) -> None:
        self.title = title
        self.body_bytes_max = body_bytes_max
        self.body_within_s = body_within_s


BATCHES = frozenset(
    {
        "v1/consents/batch",
        "v1/customers/attention",
        "v1/customers/batch",
        "v1/customers/lookup",
        "v1/grants/batch",
        "v1/links",
        "v1/page-links",
    }
)
_WRITES = frozenset({"POST", "PUT", "PATCH"})


def kind_of(method: str, target: str) -> Kind:
    """The kind of a request for ``target``, which is a path, with or without a query, or a whole URL."""
    if method not in _WRITES:
        return Kind.READ
    path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    match [part for part in unquote(path).split("/") if part]:
        case ["v1", *_] as parts if "/".join(parts) in BATCHES and method == "POST":
            return Kind.BATCH
        case ["v1", "claims"] | [_] | ["r" | "preferences" | "wallet", _]:
            return Kind.FORM
        case _:
            return Kind.SINGLE
