"""Confirmations of claims on the wire."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.grants.schemas import Outcome, Reason
from service.http.bodies import Body


class ClaimConfirmation(Body, frozen=True, omit_defaults=True):
    """Confirms that a person arrived in the shop through a handoff link."""

    claim: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    """The `rewards_claim` parameter that the link's redirect added."""
    evidence: Literal["A", "B", "C", "D", "X"] | None = None
    """How sure you are that a person acted, from `A` to `D`; `X` is a machine. It can lower the caller's grade, not raise
    it."""

    example: ClassVar[dict[str, Any]] = {"claim": "1B7nGYcBh4S0m0aEZgPUWpWoYmx1ZWJpcmTEFAAAAAc"}


class ScriptAnswer(msgspec.Struct, frozen=True):
    """The answer to a page's script: the decision, and nothing else about the customer."""

    outcome: Outcome
    reason: Reason | None
    points: int
