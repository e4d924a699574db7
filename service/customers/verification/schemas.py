"""Proofs on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.customers.schemas import Method
from service.http.bodies import Body
from service.http.validation_messages import NO_CONTROL_CHARACTERS

KeptText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        pattern=NO_CONTROL_CHARACTERS,
        description="At most 200 characters, stored as sent: leave out the customer's address, phone number and name.",
    ),
]


class VerifyRequest(Body, frozen=True):
    """A proof you obtained that a name is the customer's."""

    method: Method
    """How the name was proved."""
    proof: KeptText
    """Your reference for the proof, such as the id of the message with the one-time password. Not the password itself."""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When the name was proved. Absent: now."""

    example: ClassVar[dict[str, Any]] = {"method": "otp", "proof": "otp-7f3a91"}


class UnverifyRequest(Body, frozen=True):
    """Why the proofs of a name no longer hold."""

    reason: KeptText
    """Why the proofs no longer hold."""

    example: ClassVar[dict[str, Any]] = {"reason": "the address has another owner now"}


class VerificationResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded proof (`verify`), or a withdrawal of all proofs before it (`unverify`). Its texts may have been erased."""

    entry: int
    """The entry's number. Later entries have larger numbers."""
    act: Literal["verify", "unverify"]
    """`verify`: a proof was recorded. `unverify`: all earlier proofs were withdrawn."""
    at: datetime
    """When the name was proved, or the proofs withdrawn."""
    method: Method | None
    """How it was proved; null for a withdrawal."""
    proof: str | None
    """Your reference for the proof; null for a withdrawal, or if erased."""
    reason: str | None
    """Why the proofs were withdrawn; null for a proof, or if erased."""
    recorded_at: datetime
    """When we recorded it."""
    principal: str
    """The id of the key that reported it."""
