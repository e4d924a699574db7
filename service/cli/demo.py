"""The demo brand of `rewards up`: a coffee shop, its campaign, its keys, and a reward link to click."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from service import database
from service.auth import actions as auth_actions
from service.auth.audit_trail import record_by_operator
from service.auth.scopes import Scope
from service.brands import actions as brand_actions
from service.brands.errors import BrandExists
from service.settings import write_private

BRAND = "demo"
CAMPAIGN = "hello-again"
CUSTOMER = "customer-1"
BUDGET = 50_000_000

# Who mints points neither raises budgets nor approves, so what an administrator may do takes three keys.
SCOPES: dict[str, frozenset[Scope]] = {
    "admin": frozenset(Scope) - {Scope.GRANTS_WRITE, Scope.LINKS_WRITE, Scope.GRANTS_APPROVE},
    "messaging": frozenset(
        {
            Scope.GRANTS_WRITE,
            Scope.GRANTS_READ,
            Scope.LINKS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.CUSTOMERS_READ,
            Scope.CUSTOMERS_WRITE,
            Scope.EVENTS_READ,
        }
    ),
    "storefront": frozenset({Scope.REDEMPTIONS_WRITE, Scope.REDEMPTIONS_READ, Scope.CUSTOMERS_READ}),
    "finance": frozenset(
        {
            Scope.LEDGER_READ,
            Scope.EXPORTS_WRITE,
            Scope.FUNDS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.REDEMPTIONS_READ,
            Scope.GRANTS_READ,
            Scope.EVENTS_READ,
            Scope.CUSTOMERS_READ,
        }
    ),
    "approver": frozenset({Scope.GRANTS_APPROVE, Scope.GRANTS_READ, Scope.CAMPAIGNS_READ, Scope.CUSTOMERS_READ}),
}


class Demo(msgspec.Struct, frozen=True):
    """What is in ``demo.json``: all that a script needs to use the demo."""

    base_url: str
    brand: str
    campaign: str
    keys: dict[str, str]
    reward_link: str


class DemoRefused(Exception):
    """The service would not make the demo's campaign or link. The message is its answer."""


def read(path: Path) -> Demo | None:
    """What an earlier start wrote, if it can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Demo)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write(path: Path, demo: Demo) -> None:
    """Keep ``demo``, readable by its owner alone."""
    aside = path.with_name(f"{path.name}.new")
    write_private(aside, msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n")
    aside.replace(path)


async def ensure_keys(owner_url: str, known: dict[str, str]) -> dict[str, str]:
    """The keys by name, over a brand that exists; those of ``known`` that are still good stay."""
    owner = await database.connect(owner_url)
    try:
        await _ensure_brand(owner)
        records = [record for record in await auth_actions.list_keys(owner, BRAND) if record.revoked_at is None]
        keys: dict[str, str] = {}
        for name, scopes in SCOPES.items():
            label = f"demo {name}"
            current = [record for record in records if record.name == label]
            as_it_should_be = [record for record in current if set(record.scopes) == {str(scope) for scope in scopes}]
            if any(known.get(name, "").startswith(record.prefix) for record in as_it_should_be):
                keys[name] = known[name]
                continue
            for outdated in current:
                await auth_actions.revoke_key(owner, BRAND, outdated.api_key_id)
            keys[name], _ = await auth_actions.create_key(owner, BRAND, label, scopes, max_evidence="A")
        return keys
    finally:
        await owner.close()


async def _ensure_brand(owner: asyncpg.Connection[Any]) -> None:
    with contextlib.suppress(BrandExists):
        async with owner.transaction():
            made = await brand_actions.create_brand(
                owner,
                code=BRAND,
                name="Harbour Coffee",
                # A test brand's links may lead to this machine.
                mode="test",
                points_code="BEANS",
                points_name="Beans",
                currency="EUR",
                time_zone="Europe/Berlin",
                accent_color="#7a3e1d",
            )
            await record_by_operator(owner, made.brand_id, "brand.create", made.code, after=made)


def ensure_campaign(base_url: str, admin_key: str) -> None:
    """Create and fund the campaign; again, it changes nothing."""
    campaign = {
        "id": CAMPAIGN,
        "name": "Hello again",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2036-01-01T00:00:00Z",
        "budget": BUDGET,
        "rules": [
            {"action": "open", "points": 1, "min_evidence": "D"},
            {"action": "click", "points": 25, "min_evidence": "C"},
            {"action": "reply", "points": 100, "min_evidence": "A"},
        ],
        "caps": [{"per": "customer", "window": "day", "max_points": 500}],
    }
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {admin_key}"}, timeout=30) as client:
        _must(client.post("/v1/campaigns", json=campaign))


def fresh_link(base_url: str, messaging_key: str, *, destination: str) -> str:
    """A reward link that nobody has clicked, as a message sent now would carry it."""
    link = {
        "campaign": CAMPAIGN,
        "message_id": f"welcome-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        "customer": {"id": CUSTOMER},
        "action": "click",
        "channel": "email",
        "destination": destination,
    }
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {messaging_key}"}, timeout=30) as client:
        result = _must(client.post("/v1/links", json={"links": [link]})).json()["results"][0]
    if "url" not in result:
        raise DemoRefused(f"The demo's link was refused: {result}")
    return result["url"]


def _must(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise DemoRefused(f"{response.request.url.path} answered {response.status_code}: {response.text}")
    return response
