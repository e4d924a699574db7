"""What the doctor says of one thing."""

from __future__ import annotations

import enum

import msgspec


class Verdict(enum.StrEnum):
    """How it stands."""

    OK = "ok"
    ADVICE = "advice"
    """It works, and could be faster or safer."""
    WRONG = "wrong"
    """The service does not start, is not ready, or could lose something."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; ``says`` is a line for the operator, which says what to do unless all is well."""

    name: str
    verdict: Verdict
    says: str


def ok(name: str, says: str) -> Finding:
    """All is well."""
    return Finding(name, Verdict.OK, says)


def advice(name: str, says: str) -> Finding:
    """It could be better."""
    return Finding(name, Verdict.ADVICE, says)


def wrong(name: str, says: str) -> Finding:
    """It must be put right."""
    return Finding(name, Verdict.WRONG, says)
