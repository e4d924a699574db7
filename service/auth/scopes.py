"""What an API key may do."""

from __future__ import annotations

import enum


class Scope(enum.StrEnum):
    """One permission. ``admin`` is for what has no scope of its own; it does not include the others."""

    GRANTS_WRITE = "grants:write"
    GRANTS_READ = "grants:read"
    LINKS_WRITE = "links:write"
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
    KEYS_WRITE = "keys:write"
    ADMIN = "admin"


NEVER_TOGETHER = frozenset({Scope.FUNDS_WRITE, Scope.GRANTS_WRITE})
"""Who can raise a budget must not be able to hand it out."""
