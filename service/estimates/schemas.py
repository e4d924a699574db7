"""Estimates on the wire."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.estimates.queries import Estimate
from service.http.bodies import Body
from service.http.identifiers import key_id

Kind = Literal["expected_redemption", "acquisition_cost"]
ClassName = Literal["engagement", "purchase", "third_party"]

VALUE_MAX = 1_000_000_000_000
INPUTS_MAX = 50


class EstimateRequest(Body, frozen=True):
    """An estimate for reports. It takes the place of the last one of its kind and class."""

    example: ClassVar[dict[str, Any]] = {
        "kind": "expected_redemption",
        "class": "purchase",
        "value": 9700,
        "effective_on": "2026-12-01",
        "method": "chain ladder over 24 issue months",
        "inputs": {"redeemed of those issued in 2024": "96.8 %"},
    }

    kind: Kind
    """`expected_redemption`: how much of what is issued will be redeemed. `acquisition_cost`: what a new customer costs."""
    value: Annotated[int, msgspec.Meta(ge=1, le=VALUE_MAX)]
    """Of expected redemption in hundredths of a percent, up to 10,000; of acquisition cost in minor units."""
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    """How it was estimated."""
    account_class: ClassName | None = msgspec.field(default=None, name="class")
    """The accounting class of the points; required for expected redemption, and for nothing else."""
    effective_on: date | None = None
    """The first accounting date it is in effect on, after the last closed period; absent, today in the brand's time zone."""
    inputs: Annotated[dict[str, str], msgspec.Meta(max_length=INPUTS_MAX)] = msgspec.field(default_factory=dict[str, str])
    """What it was estimated from, by name."""


class EstimateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate for reports."""

    estimate: int
    """Its number among the brand's estimates."""
    kind: Kind
    """What is estimated."""
    account_class: ClassName | None = msgspec.field(name="class")
    """The accounting class of the points; null if it is not about points."""
    value: int
    """Hundredths of a percent for expected redemption, minor units for acquisition cost."""
    effective_on: date
    """The first accounting date it is in effect on."""
    method: str
    """How it was estimated."""
    inputs: dict[str, str]
    """What it was estimated from."""
    created_at: datetime
    """When it was recorded."""
    created_by: str
    """The API key that recorded it."""
    restatement: int | None
    """The number of the restatement that recorded it; null: none did."""

    @classmethod
    def of(cls, estimate: Estimate) -> EstimateResponse:
        """The estimate as the API shows it."""
        return msgspec.convert(
            {
                "estimate": estimate.estimate_no,
                "kind": estimate.kind,
                "class": None if estimate.account_class is None else estimate.account_class.name.lower(),
                "value": estimate.value,
                "effective_on": estimate.effective_on,
                "method": estimate.method,
                "inputs": estimate.inputs,
                "created_at": estimate.created_at,
                "created_by": key_id(estimate.created_by),
                "restatement": estimate.restatement_no,
            },
            cls,
        )
