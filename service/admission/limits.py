"""Limits: what one request, and one client, may cost this process. All of them are here and in ``docs/limits.md``.

    kind_of   which kind a request is of, by its method and path; a kind says how large its body may be and how long it may take
    Bounds    what the process takes at once, and what share of it one client may hold

The head of a request is limited whatever it asks for. Who breaks a limit is answered with a problem of ``docs/errors.md``.
"""

from __future__ import annotations

import enum
from urllib.parse import unquote, urlsplit

import msgspec

KIB = 1024
MIB = 1024 * 1024

URL_BYTES_MAX = 8 * KIB
"""The target of a request, with its query."""
HEAD_BYTES_MAX = 32 * KIB
"""The target and all headers. A browser sends a link's host the cookies of the shop it belongs to."""
HEADERS_MAX = 100

SINGLE_BYTES_MAX = 1 * MIB
"""The body of a request for one thing, as sent and unpacked."""
BATCH_BYTES_MAX = 16 * MIB
FORM_BYTES_MAX = 4 * KIB
"""What a page sends in, and what may come along with a request that takes no body."""

JSON_DEPTH_MAX = 32
"""How deep arrays and objects may nest."""
JSON_MEMBERS_MAX = 1_000
"""Members of one object."""
JSON_KEY_CHARACTERS_MAX = 256
"""Characters in a member's name."""
JSON_VALUES_MAX = 100_000
"""Values in a body, or in one item of a batch."""
JSON_BATCH_VALUES_MAX = 1_000_000
"""Values in a whole batch."""
GZIP_MEMBERS_MAX = 1_000
"""Members of one gzip body; even an empty one costs something."""
PARAMETERS_MAX = 100
"""Parameters in a query, or fields in a form."""
PROVIDER_BYTES_MAX = 4 * MIB
"""The body of a request of a messaging provider, without attachments: what the largest batches and replies have."""
MAIL_BYTES_MAX = 30 * MIB
"""The body of a mail that a provider hands on as a form, with its attachments. They are dropped before it is kept."""
UNPROVED_BYTES_MAX = 16 * MIB
"""What is kept within a minute for a source that takes what nobody proves."""
NAME_BYTES_MAX = 256
"""Bytes of a brand's own name for something, in a path or a body."""


class Kind(enum.Enum):
    """What kind of request: how large its body may be, and within how many seconds all of it must have come."""

    READ = ("read", FORM_BYTES_MAX, 10.0)
    FORM = ("form", FORM_BYTES_MAX, 10.0)
    SINGLE = ("single", SINGLE_BYTES_MAX, 30.0)
    BATCH = ("batch", BATCH_BYTES_MAX, 120.0)
    PROVIDER = ("provider", MAIL_BYTES_MAX, 30.0)

    def __init__(self, title: str, body_bytes_max: int, body_within_s: float) -> None:
        self.title = title
        self.body_bytes_max = body_bytes_max
        self.body_within_s = body_within_s


BATCHES = frozenset(
    {
        "v1/consents/batch",
        "v1/corrections/batch",
        "v1/customers/attention",
        "v1/customers/batch",
        "v1/customers/lookup",
        "v1/grants/batch",
        "v1/links",
        "v1/messages",
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
        case ["v1", "ingest", _]:
            return Kind.PROVIDER
        case ["v1", "claims"] | ["v1", "persons", "enrol"] | [_] | ["r" | "preferences" | "wallet", _] | ["demo", _]:
            return Kind.FORM
        case ["console", "sign-in" | "sign-out" | "enrol" | "passkey" | "demo"]:
            return Kind.FORM
        case _:
            return Kind.SINGLE


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the process takes at once, and how long it waits for what was begun."""

    requests_max: int = 1_000
    """In flight: of which the head has come, and the answer not yet gone."""
    body_bytes_max: int = 64 * MIB
    """Received of the bodies of requests in flight; what is only announced does not count."""
    connections_max: int = 10_000
    """Open, and never more than the process may have files open."""

    contended_from: float = 0.5
    """Shares bind once so much of a bound is in use. So what is left stands open to everybody else."""
    client_share: float = 0.25
    """So much of each bound one API key may hold, or one IPv4 address or IPv6 /64 that shows none."""
    brand_share: float = 0.75
    """So much the keys of one brand may hold together: more than one of them alone."""

    head_within_s: float = 10.0
    """From the first byte of a head, or from the opening of the connection, to the head's end."""
    stall_s: float = 5.0
    body_bytes_per_s_min: int = 1 * KIB
    """A body of which less came in ``stall_s`` is given up, also before its time is up."""
    idle_s: float = 5.0
    """Between an answer and the next request."""
    answer_stall_s: float = 30.0
    """Who takes nothing of an answer for so long is disconnected."""
    past_bytes_max: int = 32 * MIB
    past_within_s: float = 5.0
    """What still comes after a refusal is read and dropped up to here, so that the refusal is not lost with the connection."""


OPERATOR_BOUNDS = Bounds(requests_max=64, connections_max=128)
"""What the operator's port takes at once, beside what is in flight for everybody else."""
