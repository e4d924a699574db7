"""What the tests of customers ask of the API."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx

from ledger import audit
from tests.api_fixtures import Api

CLICK: dict[str, Any] = {"campaign": "autumn", "message_id": "m-1", "action": "click", "channel": "email"}


async def grant(api: Api, customer: dict[str, str], **changed: Any) -> httpx.Response:
    """Report a click, or what ``changed`` makes of it."""
    return await api.client("messaging").post("/v1/grants", json=CLICK | {"customer": customer} | changed)


async def put(api: Api, own_id: str, **names: str) -> httpx.Response:
    """Attach names to an id."""
    return await api.client("messaging").put(f"/v1/customers/{own_id}", json=names)


async def merge(api: Api, own_id: str, **name: str) -> httpx.Response:
    """Merge whoever has the name into the customer of the id."""
    return await api.client("messaging").post(f"/v1/customers/{own_id}/merge", json={"from": name})


async def balance(api: Api, own_id: str) -> dict[str, Any]:
    """What the customer of an id has."""
    return (await api.client("storefront").get(f"/v1/customers/{own_id}/balance")).raise_for_status().json()


async def authorize(api: Api, customer: dict[str, str], points: int | str, key: str = "k-1", **changed: Any) -> httpx.Response:
    """Set points aside."""
    body = {"customer": customer, "points": points, "order_ref": "o-1"} | changed
    return await api.client("storefront").post("/v1/redemptions", json=body, headers={"Idempotency-Key": key})


async def identity_of(api: Api, **name: str) -> dict[str, Any]:
    """The identity of a name that somebody has, as a look-up tells it."""
    looked = await api.client("storefront").post("/v1/customers/lookup", json={"customers": [name]})
    (identity,) = looked.raise_for_status().json()["results"][0]["identities"]
    return identity


async def identities_of(api: Api, own_id: str) -> list[dict[str, Any]]:
    """All that the customer of an id, or of a number of ours, is called."""
    return (await api.client("storefront").get(f"/v1/customers/{own_id}/identities")).raise_for_status().json()["items"]


async def verify(api: Api, identity_id: str, method: str = "otp", proof: str = "otp-1", **at: str) -> httpx.Response:
    """Say that a name was proved to be the customer's."""
    body = {"method": method, "proof": proof} | at
    return await api.client("messaging").post(f"/v1/identities/{identity_id}/verify", json=body)


async def unverify(api: Api, identity_id: str, reason: str = "somebody else's") -> httpx.Response:
    """Withdraw it."""
    return await api.client("messaging").post(f"/v1/identities/{identity_id}/unverify", json={"reason": reason})


async def check(api: Api, pool: asyncpg.Pool[Any]) -> None:
    """Fail unless the book passes its audit."""
    async with pool.acquire() as connection:
        findings = await audit(connection, api.brand.book)  # pyright: ignore[reportArgumentType]  a pool's connection is one
    assert [finding for finding in findings if finding.violations] == []


async def split(api: Api, own_id: str, **name: str) -> httpx.Response:
    """Take whoever has the name out of the customer of the id."""
    return await api.client("messaging").post(f"/v1/customers/{own_id}/split", json={"customer": name})
