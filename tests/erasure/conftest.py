"""Customers with everything a brand can have of them, two people who may erase them, and the eraser."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.auth.roles import Role
from service.customers.schemas import CustomerRef
from service.erasure import eraser
from service.messages.offer_life import Happened, note_life
from service.offers.life import Stage
from service.storage.database import WORKER_ROLE, create_engine
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.people import client_of

Owner: TypeAlias = "asyncpg.Connection[Any]"

CAMPAIGN = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2020-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "offers": True,
    "rules": [
        {"action": "click", "channel": "email", "points": 100},
        {"action": "open", "channel": "email", "points": 1},
        {"action": "reply", "points": 50, "hold_back_days": 7},
    ],
}


class Who(NamedTuple):
    """The names of a person."""

    name: str

    @property
    def id(self) -> str:
        return f"crm-{self.name}"

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"

    @property
    def phone(self) -> str:
        return "+493012345" + f"{sum(self.name.encode()) % 1000:03d}"

    @property
    def device(self) -> str:
        return f"phone-of-{self.name}"

    @property
    def names(self) -> dict[str, str]:
        return {"id": self.id, "email": self.email, "phone": self.phone, "device": self.device}

    def spellings(self) -> list[str]:
        """Every way in which the person is named somewhere."""
        return [self.name, self.name.title(), self.phone, self.phone.removeprefix("+"), self.phone.removeprefix("+49")]


ADA, BOB = Who("ada.lovelace"), Who("bob")

Erase: TypeAlias = Callable[[], Awaitable[int]]


@pytest.fixture
async def checker(api: Api, owner: Owner) -> httpx.AsyncClient:
    """Somebody who may approve of what others ask for, and enrolled before."""
    return await client_of(api, owner, Role.APPROVER, name="Cy")


@pytest.fixture
async def erase(api: Api, database: Database, worker_pool: asyncpg.Pool[Any]) -> Any:
    """Run the agent once."""
    engine = create_engine(database.application_url, WORKER_ROLE, size=1)
    yield lambda: eraser.run_once(api.settings, worker_pool, engine, api.services.ledger)
    await engine.dispose()


@pytest.fixture
async def campaign(api: Api) -> None:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()


async def report(api: Api, who: Who, message_id: str, action: str = "click", **more: Any) -> httpx.Response:
    body = {"campaign": "autumn", "message_id": message_id, "customer": {"id": who.id}, "action": action, "channel": "email"}
    return await api.client("messaging").post("/v1/grants", json=body | more)


async def redeem(api: Api, who: Who, points: int, key: str, **more: Any) -> dict[str, Any]:
    body = {"customer": {"id": who.id}, "points": points, "order_ref": f"order-{who.name}", **more}
    answer = await api.client("storefront").post("/v1/redemptions", json=body, headers={"Idempotency-Key": key})
    answer.raise_for_status()
    return answer.json()


async def live(api: Api, who: Who) -> dict[str, Any]:
    """A person's life with the brand, with their name wherever free text is taken. Returns what is worth keeping."""
    admin, messaging = api.client("admin"), api.client("messaging")
    names = {kind: name for kind, name in who.names.items() if kind != "id"}
    (await admin.put(f"/v1/customers/{who.id}", json=names)).raise_for_status()
    granted = await report(api, who, f"mail-{who.name}", metadata={"to": who.email})
    granted.raise_for_status()
    (await report(api, who, f"mail-{who.name}-2", "open", evidence="D")).raise_for_status()
    redemption = await redeem(api, who, 40, f"key-{who.name}", capture=True)
    step = {"points": 10, "ref": f"return of {who.name}"}
    path = f"/v1/redemptions/{redemption['redemption_id']}/refund"
    refunded = await api.client("storefront").post(path, json=step, headers={"Idempotency-Key": f"refund-{who.name}"})
    refunded.raise_for_status()
    why = {"reason": "paid_by_mistake", "points": 5, "reference": f"complaint of {who.name}"}
    grant = granted.json()["grant_id"]
    taken = await api.client("care").post(
        f"/v1/grants/{grant}/clawback", json=why, headers={"Idempotency-Key": f"clawback-{who.name}"}
    )
    taken.raise_for_status()
    said = {"status": "granted", "source": f"form of {who.name.title()}"}
    (await admin.put(f"/v1/customers/{who.id}/consents/email", json=said)).raise_for_status()
    identities = (await admin.get(f"/v1/customers/{who.id}/identities")).json()["items"]
    proof = {"method": "otp", "proof": f"ticket {who.name}"}
    (await admin.post(f"/v1/identities/{identities[0]['identity_id']}/verify", json=proof)).raise_for_status()
    link = {
        "campaign": "autumn",
        "message_id": f"mail-{who.name}-3",
        "customer": {"id": who.id},
        "action": "click",
        "link": f"hello {who.name}",
        "destination": "https://shop.example/",
    }
    minted = (await messaging.post("/v1/links", json={"links": [link]})).json()["results"][0]
    await api.client(None).get(minted["url"])
    sent = {
        "message_id": f"chat-{who.name}",
        "customer": {"id": who.id},
        "campaign": "autumn",
        "channel": "sms",
        "provider": "twilio",
        "provider_message_id": f"SM-{who.name}",
        "conversation": f"talk with {who.name}",
        "offer_group": f"offer to {who.name}",
    }
    (await messaging.post("/v1/messages", json={"messages": [sent]})).raise_for_status()
    customer = CustomerRef(id=who.id)
    bounced = Happened(sent["message_id"], "autumn", customer, "sms", Stage.FAILED, datetime.now(UTC))
    [noted] = (await note_life(api.services, api.brand, {who.id: bounced})).values()
    assert noted.is_new
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    device = {"customer": {"id": who.id}, "public_key": base64.b64encode(key).decode()}
    (await messaging.post("/v1/app-devices", json=device)).raise_for_status()
    page = {"customer": {"id": who.id}, "kind": "preferences"}
    own = (await messaging.post("/v1/page-links", json={"pages": [page]})).json()["results"][0]["url"]
    await api.services.click_log.write()
    return {"link": minted["url"], "page": own, "redemption": redemption["redemption_id"], "grant": grant}


async def ask(api: Api, who: Who, **query: Any) -> httpx.Response:
    return await api.client("messaging").delete(f"/v1/customers/{who.id}", params=query)


async def approve(checker: httpx.AsyncClient, waits: dict[str, Any]) -> dict[str, Any]:
    answer = await checker.post(f"/v1/approvals/{waits['id']}/approve", json={"digest": waits["digest"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def erased(api: Api, checker: httpx.AsyncClient, erase: Erase, who: Who) -> dict[str, Any]:
    """Have a person erased, points and all."""
    waits = await ask(api, who, forfeit_points="true")
    assert waits.status_code == 202, waits.text
    done = await approve(checker, waits.json())
    assert done["state"] == "executed", done
    assert await erase() == 1
    return (await api.client("admin").get(f"/v1/erasures/{done['result']['id']}")).json()
