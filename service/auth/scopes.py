"""What an API key may do."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence


class Scope(enum.StrEnum):
    """One permission. ``admin`` is for what has no scope of its own; it does not include the others."""

    GRANTS_WRITE = "grants:write"
    GRANTS_READ = "grants:read"
    GRANTS_APPROVE = "grants:approve"
    LINKS_WRITE = "links:write"
    SOURCES_READ = "sources:read"
    SOURCES_WRITE = "sources:write"
    CAMPAIGNS_READ = "campaigns:read"
    CAMPAIGNS_WRITE = "campaigns:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    REDEMPTIONS_WRITE = "redemptions:write"
    REDEMPTIONS_READ = "redemptions:read"
    EVENTS_READ = "events:read"
    LEDGER_READ = "ledger:read"
    EXPORTS_WRITE = "exports:write"
    FUNDS_WRITE = "funds:write"
    CORRECTIONS_WRITE = "corrections:write"
    RETURNS_WRITE = "returns:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_WRITE = "approvals:write"
    KEYS_WRITE = "keys:write"
    AUDIT_READ = "audit:read"
    ADMIN = "admin"


DUTIES: Sequence[frozenset[Scope]] = (
    frozenset({Scope.GRANTS_WRITE, Scope.LINKS_WRITE, Scope.SOURCES_WRITE}),
    frozenset({Scope.FUNDS_WRITE}),
    frozenset({Scope.GRANTS_APPROVE, Scope.APPROVALS_WRITE}),
    frozenset({Scope.CORRECTIONS_WRITE, Scope.RETURNS_WRITE}),
)
"""Reporting and minting; funding; approving; correcting. A key holds scopes of one of them: who fills a budget does not hand it
out, and who says what happened does not approve of it. Links, codes and minting keys all need ``links:write``. Who sets up a
source knows its secrets, so they can report by it whatever they like."""


def conflict(scopes: Collection[str]) -> tuple[Scope, Scope] | None:
    """Return two scopes of different duties, or None."""
    held = [sorted(duty.intersection(scopes)) for duty in DUTIES if not duty.isdisjoint(scopes)]
    return (held[0][0], held[1][0]) if len(held) > 1 else None
