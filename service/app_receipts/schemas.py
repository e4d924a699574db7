"""App devices and what they report, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import CustomerRef
from service.grants.schemas import GrantAnswer, Outcome, Reason
from service.http.bodies import Body, Identifier, Points
from service.http.field_docs import ItemResult
from service.http.problems import Problem, ProblemDocument

RECEIPTS_MAX = 100
"""Receipts in a request."""

DeviceName = Annotated[str, msgspec.Meta(pattern="^dev_[0-9a-f]{24}$(?!\\n)")]
Base64 = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9+/]{40,400}={0,2}$(?!\\n)")]
Nonce = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,64}$(?!\\n)")]
Token = Annotated[str, msgspec.Meta(pattern="^[\\x21-\\x7e]{1,4096}$(?!\\n)")]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=10**14)]


class AppDeviceRequest(Body, frozen=True):
    """A device of a customer on which your app runs: enrol it when they sign in."""

    customer: CustomerRef
    """The customer who is signed in, by at least one name. An unknown customer is created."""
    public_key: Base64
    """The public key of the pair that the app made on the device, in Base64: P-256 or Ed25519, as a SubjectPublicKeyInfo (DER),
    the 65 bytes of a P-256 point (X9.63), or the 32 bytes of an Ed25519 key."""
    daily_points_max: Points | None = None
    """The most points that it may earn the customer on one business day. Absent: no limit."""

    example: ClassVar[dict[str, Any]] = {
        "customer": {"id": "customer-1"},
        "public_key": "BMwh59QIDpEtJCjv/6uz8YjSw4FMlcIeVuLmV0jJo588A4YFsAnMRDd8N6SVciCR1bgy3n2xeA0Pajgn+JYSl/0=",
        "daily_points_max": 500,
    }


class AppDeviceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it is enrolled."""

    device: str
    """The id of the device, by which the app names itself: `dev_` and 24 hexadecimal digits."""
    customer: str
    """The id of the customer: `cus_` and a number."""
    algorithm: Literal["es256", "ed25519"]
    """What it signs with: ECDSA on P-256 with SHA-256, or Ed25519."""
    daily_points_max: int | None
    """The most points that it may earn the customer on one business day; null: no limit."""
    points_today: int
    """What it has earned the customer today."""
    enrolled_at: datetime
    """When it was enrolled."""
    revoked_at: datetime | None
    """When it was revoked; null: it was not."""


class AppReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that the customer did with one push message. Exactly one of `token` and `message_id` names the message."""

    nonce: Nonce
    """16 to 64 random letters, digits, `_` and `-`, of this receipt alone. When you send the receipt again, it stays."""
    at_ms: Milliseconds
    """When it happened, in milliseconds since 1970 by the device's clock."""
    action: Literal["open", "read", "click"]
    """What the customer did: `click` for a tap, `open` or `read` for a message that was shown."""
    token: Token | None = None
    """The token of the message's reward link, or the link. Of that link it is the act."""
    message_id: Identifier | None = None
    """Your id of the message, as you registered it for this customer with `POST /v1/messages`."""
    signature: Base64
    """The signature of the receipt, in Base64: ECDSA in DER, or Ed25519. `docs/app-receipts.md` says what it signs."""


class AppReceiptsRequest(Body, frozen=True):
    """What an app has to report, oldest first: at once, or all that it kept while it was offline."""

    device: DeviceName
    """The id of the device."""
    receipts: Annotated[list[AppReceipt], msgspec.Meta(min_length=1, max_length=RECEIPTS_MAX)]
    """The receipts, at most 100."""

    example: ClassVar[dict[str, Any]] = {
        "device": "dev_0123456789abcdef01234567",
        "receipts": [
            {
                "nonce": "Zk3tq0W8m1xR5c7B",
                "at_ms": 1_796_040_000_123,
                "action": "click",
                "message_id": "push-77",
                "signature": "MEUCIQDk3hQ8m1xR5c7BZk3tq0W8m1xR5c7BZk3tq0W8mwIgJc7BZk3tq0W8m1xR5c7BZk3tq0W8m1xR5c7BZk3tq0U=",
            }
        ],
    }


class AppReceiptResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one receipt, or a problem. It says nothing of the customer but what this act earned."""

    described_by: ClassVar[tuple[type, ...]] = (ItemResult, GrantAnswer)

    index: int
    status: int
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    reason: Reason | msgspec.UnsetType | None = msgspec.UNSET
    points: int | msgspec.UnsetType = msgspec.UNSET
    replayed: bool | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemDocument | msgspec.UnsetType = msgspec.UNSET


def receipt_result(index: int, answer: GrantAnswer | Problem, request_id: str) -> AppReceiptResult:
    """Build an item's result."""
    if isinstance(answer, Problem):
        return AppReceiptResult(index=index, status=answer.status, problem=answer.document(request_id))
    return AppReceiptResult(
        index=index,
        status=answer.status,
        outcome=answer.outcome,
        reason=answer.reason,
        points=answer.points,
        replayed=answer.replayed,
    )
