"""Purchases: an order earns once in a campaign, whatever message it came by, and where the rule says so by its amount.

What was bought is kept with the event, beside what the reporter wants to keep. Such an event neither proves a person on a
message nor is paid by such proof.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import POINTS_MAX
from service.brands.brand import Brand
from service.campaigns.rules import OF_NO_MESSAGE, Rule
from service.grants.schemas import METADATA_BYTES_MAX, GrantRequest, PurchaseResponse
from service.http.problems import Problem, invalid_field

QUALIFIER = "order"
"""The qualifier of purchases. Their message is the order's reference."""

_KEPT_AS = "purchase"
"""The member of an event's metadata that says what was bought. Others are plain values, so none is mistaken for it."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Purchase(msgspec.Struct, frozen=True, gc=False):
    """What a report of a purchase makes of its event; ``points`` are ``None`` where the rule says them."""

    metadata: str
    points: int | None


def purchase_of(item: GrantRequest, rule: Rule | None, brand: Brand) -> Purchase | Problem:
    """What was bought, and the points that it earns if ``rule`` pays by amount; or what is wrong with the report."""
    bought = item.purchase
    if bought is None:
        return invalid_field("/purchase", "is required: the campaign pays by amount")
    if item.action.startswith(OF_NO_MESSAGE):
        return invalid_field(
            "/purchase", f"must be left out: actions that begin with {' or '.join(OF_NO_MESSAGE)} are no purchases"
        )
    if bought.currency != brand.currency:
        return invalid_field("/purchase/currency", f"must be {brand.currency}, the brand's")
    kept = item.metadata or {}
    if _KEPT_AS in kept:
        return invalid_field(f"/metadata/{_KEPT_AS}", "must be left out: it is the name of what was bought")
    metadata = _encode({"message_id": item.message_id} | kept | {_KEPT_AS: bought}).decode()
    if len(metadata.encode()) > METADATA_BYTES_MAX:
        return invalid_field("/metadata", f"must be at most {METADATA_BYTES_MAX} bytes of JSON, with what was bought")
    points = None if rule is None else points_of(rule, metadata)
    if points is not None and points > POINTS_MAX:
        return invalid_field("/purchase/amount_minor", f"earns more than {POINTS_MAX} points")
    return Purchase(metadata, points)


def points_of(rule: Rule, metadata: str | None) -> int | None:
    """The points of a purchase of which ``metadata`` is kept; ``None``: what the rule says."""
    _, bought = told(metadata)
    return None if rule.points_per is None or bought is None else rule.points_per.earned(bought.amount_minor)


def told(metadata: str | None) -> tuple[dict[str, Any] | None, PurchaseResponse | None]:
    """What the reporter keeps with an event, and what was bought."""
    kept: dict[str, Any] | None = None if metadata is None else msgspec.json.decode(metadata)
    if kept is None or not isinstance(kept.get(_KEPT_AS), dict):
        return kept, None
    bought = msgspec.convert(kept.pop(_KEPT_AS), PurchaseResponse)
    return kept or None, bought


def message_of(action: str | None, message_id: str | None, metadata: str | None) -> tuple[str | None, str | None]:
    """The message that an event came by, and the order that it was for. What an event is deduplicated by is a purchase's order,
    and of no message where somebody told something or came to a place.
    """
    kept, bought = told(metadata)
    if bought is None and not (action or "").startswith(OF_NO_MESSAGE):
        return message_id, None
    return (kept or {}).get("message_id"), None if bought is None else bought.order_ref
