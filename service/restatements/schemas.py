"""Restatements on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from ledger import TERM_MAX
from service.estimates.schemas import EstimateRequest
from service.exports.account_codes import CODE_MAX, CODES_MAX, AccountCode
from service.http import identifiers
from service.http.bodies import Body
from service.http.periods import Period
from service.http.validation_messages import NO_CONTROL_CHARACTERS
from service.restatements.queries import RestatedValue, Restatement, Version

VALUES_MAX = 31
ESTIMATES_MAX = 20

Term = Annotated[int, msgspec.Meta(ge=1, le=TERM_MAX)]


class RestatedValueRequest(Body, frozen=True):
    """What points were worth from a day of the period on."""

    starts_on: date
    """The first day, in the period. It applies until another value takes its place."""
    points: Term
    """This number of points ..."""
    minor_units: Term
    """... was worth this many minor units of the brand's currency."""


class RestatedCodeRequest(Body, frozen=True):
    """What the general ledger calls an account of the summarised journal, from a day of the period on."""

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The account, such as `Expenses:Marketing`, or what its name begins with, such as `Expenses`."""
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_MAX, pattern=NO_CONTROL_CHARACTERS)]
    """Its code."""
    valid_from: date
    """The first day on which it applies, in the period."""


class RestateRequest(Body, frozen=True):
    """What a closed period should have said of money. At least one of the three lists is not empty."""

    example: ClassVar[dict[str, Any]] = {
        "reason": "The value of November was entered ten times too high.",
        "values": [{"starts_on": "2026-11-01", "points": 100, "minor_units": 50}],
    }

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_CONTROL_CHARACTERS)]
    """Why, for the auditor."""
    values: Annotated[list[RestatedValueRequest], msgspec.Meta(max_length=VALUES_MAX)] = msgspec.field(
        default_factory=list[RestatedValueRequest]
    )
    """Values of points that take the place of those there were, each from a day of the period on."""
    estimates: Annotated[list[EstimateRequest], msgspec.Meta(max_length=ESTIMATES_MAX)] = msgspec.field(
        default_factory=list[EstimateRequest]
    )
    """Estimates that take the place of those there were. Their `effective_on` is in the period; absent, its first day."""
    account_codes: Annotated[list[RestatedCodeRequest], msgspec.Meta(max_length=CODES_MAX)] = msgspec.field(
        default_factory=list[RestatedCodeRequest]
    )
    """Codes of the summarised journal's accounts that take the place of those an export is ordered with."""


class RestatedValueResponse(msgspec.Struct, frozen=True):
    """What points were worth from a day on."""

    starts_on: date
    """The first day."""
    points: int
    """This number of points ..."""
    minor_units: int
    """... was worth this many minor units of the brand's currency."""

    @classmethod
    def of(cls, value: RestatedValue) -> RestatedValueResponse:
        """Describe a value."""
        return cls(value.starts_on, value.points, value.minor_units)


class RestatedCodeResponse(msgspec.Struct, frozen=True):
    """What the general ledger calls an account, from a day on."""

    account: str
    """The account, or what its name begins with."""
    code: str
    """Its code."""
    valid_from: date
    """The first day on which it applies."""

    @classmethod
    def of(cls, code: AccountCode) -> RestatedCodeResponse:
        """Describe a code."""
        assert code.valid_from is not None
        return cls(code.account, code.code, code.valid_from)


class RestatementResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A restatement of a closed period."""

    restatement: int
    """Its number among the brand's restatements."""
    period: str
    """The period that was restated; periods that had been closed after it were restated with it."""
    reason: str
    """Why."""
    values: Sequence[RestatedValueResponse]
    """Values of points that it set."""
    estimates: Sequence[int]
    """The numbers of the estimates that it recorded; see `GET /v1/estimates`."""
    account_codes: Sequence[RestatedCodeResponse]
    """Codes of accounts that it set."""
    approval: str
    """The approval that it was made with, which names both persons."""
    made_at: datetime
    """When it was made."""

    @classmethod
    def of(cls, restatement: Restatement, estimates: Sequence[int]) -> RestatementResponse:
        """Describe a restatement."""
        return cls(
            restatement=restatement.restatement_no,
            period=Period(restatement.begins_on, restatement.ends_on).name,
            reason=restatement.reason,
            values=[RestatedValueResponse.of(each) for each in restatement.point_values],
            estimates=estimates,
            account_codes=[RestatedCodeResponse.of(each) for each in restatement.account_codes],
            approval=identifiers.approval_id(restatement.approval_no),
            made_at=restatement.made_at,
        )


class CloseVersionResponse(msgspec.Struct, frozen=True):
    """A version of a close, after it was restated."""

    period: str
    """The month or day."""
    version: int
    """The version that reports now use."""
    restatements: int
    """How many of the brand's restatements it has: `restatements` of an export."""

    @classmethod
    def of(cls, period: Period, version: Version) -> CloseVersionResponse:
        """Describe a version."""
        return cls(period.name, version.version, version.restated)
