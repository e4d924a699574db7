"""Phones: key pairs that are enrolled for a customer, and receipts that they sign as an app would."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api_fixtures import Api
from tests.links.campaigns import make_campaign

Json = dict[str, Any]
Owner: TypeAlias = "asyncpg.Connection[Any]"
RULES = [
    {"action": "click", "points": 25},
    {"action": "open", "points": 5},
    {"action": "read", "points": 2, "min_evidence": "D"},
]


class Phone:
    """A device with an app: it makes a key pair, and signs."""

    def __init__(self, api: Api, key: EllipticCurvePrivateKey | Ed25519PrivateKey | None = None) -> None:
        self.api, self.key = api, key or generate_private_key(SECP256R1())
        self.device = ""

    @property
    def public_key(self) -> str:
        """As the app exports it."""
        return base64.b64encode(self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    async def enrolled(self, customer: str = "C-1", **fields: Any) -> Phone:
        """The phone, once the brand's backend has enrolled it."""
        self.device = (await enrol(self.api, self.public_key, customer, **fields)).raise_for_status().json()["device"]
        return self

    def sign(self, signed: bytes) -> str:
        """A signature, in Base64."""
        if isinstance(self.key, Ed25519PrivateKey):
            return base64.b64encode(self.key.sign(signed)).decode()
        return base64.b64encode(self.key.sign(signed, ECDSA(SHA256()))).decode()

    def receipt(
        self, message: Json | str, action: str = "click", *, at_ms: int | None = None, nonce: str | None = None
    ) -> Json:
        """A signed receipt of a registered message, or of ``{"token": ...}``."""
        of = {"message_id": message} if isinstance(message, str) else message
        receipt: Json = {
            "nonce": nonce or secrets.token_urlsafe(12),
            "at_ms": at_ms if at_ms is not None else int(time.time() * 1_000),
            "action": action,
            **of,
        }
        lines: list[str] = ["atomic-rewards-receipt-v1", self.device, receipt["nonce"], str(receipt["at_ms"]), action]
        lines += [of.get("token", ""), of.get("message_id", "")]
        return receipt | {"signature": self.sign("\n".join(lines).encode())}

    async def send(self, *receipts: Json) -> list[Json]:
        """What became of each."""
        answer = await self.post(*receipts)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    async def post(self, *receipts: Json) -> httpx.Response:
        """The answer."""
        return await self.api.client(None).post("/v1/app-receipts", json={"device": self.device, "receipts": receipts})


async def enrol(api: Api, public_key: str, customer: str = "C-1", **fields: Any) -> httpx.Response:
    """Enrol a device."""
    body = {"customer": {"id": customer}, "public_key": public_key, **fields}
    return await api.client("messaging").post("/v1/app-devices", json=body)


async def sent(api: Api, *message_ids: str, customer: str = "C-1", **fields: Any) -> None:
    """Register push messages to a customer."""
    message: Json = {"customer": {"id": customer}, "campaign": "autumn", "channel": "push", "provider": "fcm", **fields}
    messages = [message | {"message_id": each} for each in message_ids]
    results = (await api.client("messaging").post("/v1/messages", json={"messages": messages})).json()["results"]
    assert {each["status"] for each in results} <= {200, 201}, results


def told(results: list[Json]) -> list[str]:
    """What became of each receipt, in a word."""
    return [each["problem"]["code"] if "problem" in each else each["outcome"] for each in results]


async def balance(api: Api, customer: str = "C-1") -> int:
    """What a customer has."""
    return (await api.client("storefront").get(f"/v1/customers/{customer}/balance")).raise_for_status().json()["balance"]


@pytest.fixture
async def push(api: Api) -> Api:
    """The API, with a campaign that pays for push messages."""
    await make_campaign(api.client("admin"), rules=RULES, starts_at="2026-01-01T00:00:00Z")
    return api
