"""Customers who agree again after they were erased. Whatever is cut off in the middle, nobody is paid for what was before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from service.customers.identities import named
from service.customers.schemas import CustomerRef
from tests.api_fixtures import Api
from tests.conftest import Database
from tests.erasure.conftest import ADA, BOB, Erase, Owner, erased, report
from tests.real_worker import waiting_for_a_lock

pytestmark = pytest.mark.usefixtures("campaign")

Agree: TypeAlias = Callable[[], Awaitable[httpx.Response]]

STEPS = {
    "lifting the tombstones": ("SELECT FROM rewards.tombstone FOR UPDATE", "rewards.tombstone"),
    "making the customer": ("LOCK TABLE rewards.customer IN SHARE MODE", "rewards.customer"),
    "giving back the names": ("LOCK TABLE rewards.identity IN SHARE MODE", "rewards.identity"),
    "writing the barrier": ("LOCK TABLE rewards.consent IN SHARE MODE", "rewards.consent"),
    "what follows from it": ("SELECT FROM rewards.brand FOR UPDATE", "rewards.brand"),
}


@pytest.fixture
async def agree(api: Api) -> Agree:
    said = {"source": "form", "status": "granted"}
    return lambda: api.client("admin").put(f"/v1/customers/{ADA.id}/consents/email", json=said)


@pytest.fixture
async def long_ago(api: Api, checker: httpx.AsyncClient, erase: Erase) -> str:
    """When somebody did something who was erased afterwards."""
    (await report(api, ADA, "mail-1")).raise_for_status()
    await erased(api, checker, erase, ADA)
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()


@pytest.fixture
async def holder(database: Database) -> AsyncGenerator[Owner]:
    connection = await asyncpg.connect(database.owner_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize(("lock", "table"), STEPS.values(), ids=STEPS)
async def test_who_is_cut_off_while_they_return_is_paid_for_nothing_of_before(
    api: Api, owner: Owner, holder: Owner, long_ago: str, agree: Agree, lock: str, table: str
) -> None:
    async with holder.transaction():
        await holder.execute(lock)
        returning = asyncio.ensure_future(agree())
        for pid in await waiting_for_a_lock(owner, table):
            await owner.execute("SELECT pg_terminate_backend($1, 10000)", pid)
    assert (await returning).status_code >= 500
    late = await report(api, ADA, "mail-2", occurred_at=long_ago)
    assert late.json()["code"] == "customer_erased"
    (await agree()).raise_for_status()
    late = await report(api, ADA, "mail-2", occurred_at=long_ago)
    assert (late.json()["outcome"], late.json()["reason"]) == ("ignored", "consent_refused")
    assert (await report(api, ADA, "mail-3")).json()["balance"] == 100
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 2


async def test_who_agrees_twice_at_once_returns_once(
    api: Api, owner: Owner, holder: Owner, long_ago: str, agree: Agree
) -> None:
    async with holder.transaction():
        await holder.execute("SELECT FROM rewards.tombstone FOR UPDATE")
        returning = asyncio.gather(agree(), agree())
        await waiting_for_a_lock(owner, "rewards.tombstone")
    assert [each.status_code for each in await returning] == [200, 200]
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 2
    barrier = "SELECT refused FROM rewards.consent WHERE channel = 'rewards' ORDER BY consent_no"
    assert [row["refused"] for row in await owner.fetch(barrier)] == [True, False]
    late = await report(api, ADA, "mail-2", occurred_at=long_ago)
    assert late.json()["reason"] == "consent_refused"


async def test_a_name_that_was_erased_since_they_agreed_stays_erased(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    for who in (ADA, BOB):
        (await report(api, who, "mail-1", customer={"id": who.id, "email": who.email})).raise_for_status()
    await erased(api, checker, erase, ADA)
    between = datetime.now(UTC).isoformat()
    await erased(api, checker, erase, BOB)
    said = {"customer": {"id": ADA.id, "email": BOB.email}, "channel": "email", "status": "granted", "source": "form"}
    answer = await api.client("admin").post("/v1/consents/batch", json=[said | {"at": between}])
    assert "problem" not in answer.json()["results"][0], answer.text
    assert (await report(api, ADA, "mail-2")).json()["outcome"] == "granted"
    assert (await report(api, BOB, "mail-2", customer={"email": BOB.email})).json()["code"] == "customer_erased"


async def test_nobody_gets_a_name_once_they_are_erased(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    """What is remembered of a customer attaches no name to them: it would name somebody erased for ever."""
    by_email: dict[str, Any] = {"customer": {"email": ADA.email}}
    (await report(api, ADA, "mail-1", **by_email)).raise_for_status()
    directory, brand = api.services.customers, api.brand
    names = named(CustomerRef(email=ADA.email, phone=ADA.phone), brand.brand_id, directory.keys)
    assert isinstance(names, list)
    (before,) = await directory.resolve(brand, [names[:1]])
    (await api.client("admin").put(f"/v1/customers/{ADA.id}", json={"email": ADA.email})).raise_for_status()
    await erased(api, checker, erase, ADA)
    assert (before.customer, before.erased) == (1, False)
    (resolved,) = await directory.resolve(brand, [names])
    assert resolved.erased
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity WHERE customer = 1") == 0
