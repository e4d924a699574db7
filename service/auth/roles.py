"""Roles: named bundles of scopes, for persons and for keys that are made by role.

What a bundle leaves out matters as much as what is in it: no role asks for something and approves of it, and none has two
halves of a payment. A test holds each to ``conflict``, and all of them to what they reach together with the calls of the API.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from service.auth.scopes import Scope


class Role(enum.StrEnum):
    """What somebody does for a brand."""

    ISSUER = "issuer"
    REDEEMER = "redeemer"
    CARE = "care"
    MARKETING = "marketing"
    FINANCE = "finance"
    APPROVER = "approver"
    AUDITOR = "auditor"
    OPERATOR = "operator"


SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.ISSUER: frozenset(
        {
            Scope.CAMPAIGNS_READ,
            Scope.GRANTS_READ,
            Scope.GRANTS_WRITE,
            Scope.LINKS_WRITE,
            Scope.SOURCES_READ,
            Scope.SOURCES_WRITE,
        }
    ),
    Role.REDEEMER: frozenset({Scope.REDEMPTIONS_WRITE, Scope.REDEMPTIONS_READ}),
    Role.CARE: frozenset(
        {
            Scope.APPROVALS_READ,
            Scope.CAMPAIGNS_READ,
            Scope.CORRECTIONS_WRITE,
            Scope.CUSTOMERS_READ,
            Scope.CUSTOMERS_WRITE,
            Scope.GRANTS_READ,
            Scope.REDEMPTIONS_READ,
            Scope.RETURNS_WRITE,
        }
    ),
    Role.MARKETING: frozenset({Scope.APPROVALS_READ, Scope.CAMPAIGNS_READ, Scope.CAMPAIGNS_WRITE, Scope.GRANTS_READ}),
    Role.FINANCE: frozenset(
        {Scope.APPROVALS_READ, Scope.CAMPAIGNS_READ, Scope.EXPORTS_WRITE, Scope.FUNDS_WRITE, Scope.LEDGER_READ}
    ),
    Role.APPROVER: frozenset(
        {
            Scope.APPROVALS_READ,
            Scope.APPROVALS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.GRANTS_APPROVE,
            Scope.GRANTS_READ,
            Scope.LEDGER_READ,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Scope.APPROVALS_READ,
            Scope.AUDIT_READ,
            Scope.CAMPAIGNS_READ,
            Scope.CUSTOMERS_READ,
            Scope.EVENTS_READ,
            Scope.GRANTS_READ,
            Scope.LEDGER_READ,
            Scope.REDEMPTIONS_READ,
            Scope.SOURCES_READ,
        }
    ),
    Role.OPERATOR: frozenset(
        {
            Scope.ADMIN,
            Scope.APPROVALS_READ,
            Scope.AUDIT_READ,
            Scope.CAMPAIGNS_READ,
            Scope.KEYS_WRITE,
            Scope.SOURCES_READ,
        }
    ),
}


def scopes_of(roles: Iterable[Role | str]) -> frozenset[Scope]:
    """All scopes of ``roles`` together."""
    return frozenset[Scope]().union(*(SCOPES[Role(role)] for role in roles))
