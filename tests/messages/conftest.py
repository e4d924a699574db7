"""Messages of the brand that `api` has."""

from __future__ import annotations

from typing import Any

from tests.api_fixtures import Api
from tests.ingest.conftest import agent_services, issuer, reader
from tests.links.conftest import links, wired

__all__ = ["agent_services", "issuer", "links", "reader", "wired"]

Json = dict[str, Any]


def message(message_id: str, customer: str = "C-1", **changed: Any) -> Json:
    """A message to register."""
    return {
        "message_id": message_id,
        "customer": {"id": customer},
        "campaign": "autumn",
        "channel": "sms",
        "provider": "standard_webhooks",
        **changed,
    }


async def register(api: Api, *messages: Json) -> list[Json]:
    """What became of each."""
    answer = await api.client("messaging").post("/v1/messages", json={"messages": messages})
    return answer.raise_for_status().json()["results"]
