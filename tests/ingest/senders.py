"""Senders: what messaging providers send, signed as they sign it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api_fixtures import Api

Json = dict[str, Any]


class SendGrid:
    """SendGrid's Event Webhook, with a key pair of its own."""

    provider = "sendgrid"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def secrets(self) -> dict[str, list[str]]:
        """What a source holds."""
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {"verification_key": [base64.b64encode(public).decode()]}

    def signed(self, events: Sequence[Json], *, at: int | None = None) -> tuple[bytes, dict[str, str]]:
        """The body of a batch and its headers."""
        body = json.dumps(events).encode() + b"\r\n"
        timestamp = str(at or int(datetime.now(UTC).timestamp()))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        return body, {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }


class StandardWebhooks:
    """A sender that signs as Standard Webhooks says."""

    provider = "standard_webhooks"

    def __init__(self) -> None:
        self.key = secrets.token_bytes(24)

    @property
    def secrets(self) -> dict[str, list[str]]:
        """What a source holds."""
        return {"signing_secret": [f"whsec_{base64.b64encode(self.key).decode()}"]}

    def signed(self, event: Json, *, message_id: str = "msg_1", at: int | None = None) -> tuple[bytes, dict[str, str]]:
        """The body of an event and its headers."""
        body = json.dumps(event).encode()
        timestamp = str(at or int(datetime.now(UTC).timestamp()))
        mac = hmac.digest(self.key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
        return body, {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        }


async def send(api: Api, url: str, signed: tuple[bytes, Mapping[str, str]]) -> httpx.Response:
    """Send what a provider signed."""
    body, headers = signed
    return await api.client(None).post(url, content=body, headers=headers)


def click(email: str, message: str, *, at: int | None = None, **fields: Any) -> Json:
    """A click as SendGrid reports it; its id is another one each time."""
    return {
        "email": email,
        "timestamp": at or int(datetime.now(UTC).timestamp()),
        "event": "click",
        "url": "https://shop.example/spring",
        "useragent": "Mozilla/5.0",
        "ip": "203.0.113.9",
        "sg_event_id": secrets.token_urlsafe(12),
        "sg_message_id": f"{message}.recvd-1",
        **fields,
    }
