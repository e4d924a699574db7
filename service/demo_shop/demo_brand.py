"""The demo brand of `rewards up`: a coffee shop with a point value and goals, its campaign, its keys, two customers who have
points, and a reward link to click.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec

from service.auth import actions as auth_actions
from service.auth.api_keys import hash_key
from service.auth.audit_trail import record_by_operator
from service.auth.roles import Role
from service.auth.scopes import DUTIES, Scope
from service.brands import actions as brand_actions
from service.brands.errors import BrandExists
from service.demo_shop.demo_file import CUSTOMER, SHOP_PATH
from service.demo_shop.goods import GOODS, POINT_VALUE
from service.egress.hosts import host_of, is_loopback, name_and_port
from service.persons import actions as persons
from service.storage import database

BRAND = "demo"
CAMPAIGN = "hello-again"
OTHER_CUSTOMER = "customer-2"
BUDGET = 50_000_000
SHOP_HOST = "shop.example"
"""A host that the examples of the API's description lead to. The demo's own links lead to this machine."""

# Who mints points neither raises budgets nor approves, so what an administrator may do takes four keys.
SCOPES: dict[str, frozenset[Scope]] = {
    "admin": frozenset(Scope) - DUTIES[0] - DUTIES[2] - DUTIES[3],
    "messaging": frozenset(
        {
            Scope.GRANTS_WRITE,
            Scope.GRANTS_READ,
            Scope.LINKS_WRITE,
            Scope.CAMPAIGNS_READ,
            Scope.CUSTOMERS_READ,
            Scope.CUSTOMERS_WRITE,
            Scope.EVENTS_READ,
            Scope.SOURCES_READ,
            Scope.SOURCES_WRITE,
        }
    ),
    # A customer who earned under an email redeems once the shop has said whose it is.
    "storefront": frozenset(
        {
            Scope.REDEMPTIONS_WRITE,
            Scope.REDEMPTIONS_READ,
            Scope.RETURNS_WRITE,
            Scope.CUSTOMERS_READ,
            Scope.CUSTOMERS_WRITE,
        }
    ),
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
    "care": frozenset({Scope.CORRECTIONS_WRITE, Scope.GRANTS_READ, Scope.REDEMPTIONS_READ, Scope.CUSTOMERS_READ}),
    "approver": frozenset({Scope.GRANTS_APPROVE, Scope.GRANTS_READ, Scope.CAMPAIGNS_READ, Scope.CUSTOMERS_READ}),
}


PEOPLE: dict[Role, str] = {
    Role.MARKETING: "Mara",
    Role.CARE: "Carlo",
    Role.FINANCE: "Farid",
    Role.APPROVER: "Ada",
    Role.AUDITOR: "Otto",
    Role.OPERATOR: "Olu",
    Role.ISSUER: "Ines",
    Role.REDEEMER: "Ren",
}
"""Who works for the brand, in the order in which a visitor meets them."""

_ENROL = "SELECT rewards.enrol_console_v1($1, $2, $3, NULL, NULL)"


class DemoRefused(Exception):
    """The service would not make a part of the demo. The message is its answer."""


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
                await auth_actions.revoke_key(owner, BRAND, outdated.api_key_id, also=())
            keys[name], _ = await auth_actions.create_key(owner, BRAND, label, scopes, max_evidence="A")
        return keys
    finally:
        await owner.close()


async def ensure_persons(owner_url: str) -> dict[str, int]:
    """A person for each role, as whom a visitor signs in to the console."""
    owner = await database.connect(owner_url)
    try:
        known = {
            each.roles[0]: each.person_id
            for each in await persons.list_for_operator(owner, BRAND)
            if each.disabled_at is None and each.name == PEOPLE.get(Role(each.roles[0]))
        }
        return {role: known.get(role) or await _enrol(owner, role, name) for role, name in PEOPLE.items()}
    finally:
        await owner.close()


async def _enrol(owner: asyncpg.Connection[Any], role: Role, name: str) -> int:
    # They have no password: nobody types one in a demo.
    invitation = await persons.invite(owner, BRAND, name, [role])
    key_hash = hash_key(secrets.token_hex(32))
    await owner.fetchval(_ENROL, hash_key(invitation.text), key_hash, role)
    return invitation.person.person_id


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
                destination_hosts=[SHOP_HOST],
            )
            await record_by_operator(owner, made.brand_id, "brand.create", made.code, after=made)


def furnish(base_url: str, keys: dict[str, str], *, shop: str) -> None:
    """Say what points are worth, what to save for and where the brand's home is, fund the campaign, and report two first acts.

    Again, it changes nothing; what was changed by hand stays.
    """
    with _client(base_url, keys["admin"]) as admin:
        _ensure_settings(admin, shop=shop)
        _ensure_campaign(admin)
    with _client(base_url, keys["messaging"]) as messaging:
        _report_first_acts(messaging)


def _ensure_settings(admin: httpx.Client, *, shop: str) -> None:
    brand: dict[str, Any] = _must(admin.get("/v1/brand")).json()
    wanted = brand | {
        "point_value": brand["point_value"] or msgspec.to_builtins(POINT_VALUE),
        "goals": brand["goals"] or [{"name": good.name, "points": good.points} for good in GOODS],
        # Where this service was at the start before need not be where it is now.
        "home_url": shop if (brand["home_url"] or shop).endswith(SHOP_PATH) else brand["home_url"],
        # This machine's loopback address goes without saying; another of its addresses does not.
        "destination_hosts": sorted({*brand["destination_hosts"], SHOP_HOST, *_hosts_to_name(shop)}),
    }
    if wanted != brand:
        _must(admin.put("/v1/brand", json=wanted))


def _hosts_to_name(shop: str) -> set[str]:
    return set() if is_loopback(name_and_port(host_of(shop))[0]) else {urlsplit(shop).netloc}


def _ensure_campaign(admin: httpx.Client) -> None:
    if admin.get(f"/v1/campaigns/{CAMPAIGN}").is_success:
        return
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
    _must(admin.post("/v1/campaigns", json=campaign))


def _report_first_acts(messaging: httpx.Client) -> None:
    acts = [
        {
            "campaign": CAMPAIGN,
            "message_id": "welcome",
            "customer": {"id": customer},
            "action": "reply",
            "channel": "whatsapp",
        }
        for customer in (CUSTOMER, OTHER_CUSTOMER)
    ]
    _must(messaging.post("/v1/grants/batch", json=acts))


class FreshLink(msgspec.Struct, frozen=True):
    """A reward link that nobody has clicked, and its short form."""

    url: str
    short_url: str


def fresh_link(base_url: str, messaging_key: str, *, destination: str) -> FreshLink:
    """A link as a message sent now would carry it."""
    link = {
        "campaign": CAMPAIGN,
        "message_id": f"welcome-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        "customer": {"id": CUSTOMER},
        "action": "click",
        "channel": "email",
        "destination": destination,
        "short": True,
    }
    with _client(base_url, messaging_key) as messaging:
        result = _must(messaging.post("/v1/links", json={"links": [link]})).json()["results"][0]
    if "url" not in result:
        raise DemoRefused(f"The demo's link was refused: {result}")
    return FreshLink(result["url"], result["short_url"])


def _client(base_url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)


def _must(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise DemoRefused(f"{response.request.url.path} answered {response.status_code}: {response.text}")
    return response
