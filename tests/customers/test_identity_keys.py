"""Identity keys are changed while everybody goes on: nobody becomes a stranger, and nobody is known twice."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import msgspec
import pytest

from service.app import create_app
from service.settings import IdentityKey
from tests.api_fixtures import Api
from tests.customers.calls import (
    authorize,
    balance,
    check,
    grant,
    identities_of,
    identity_of,
    merge,
    put,
    unverify,
    verify,
)

ADA = {"email": "ada@example.org"}

Process = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def process(funded: Api) -> Process:
    """Runs another process whose secrets have these keys; the last one is in use."""

    @contextlib.asynccontextmanager
    async def process(*keys: IdentityKey) -> AsyncGenerator[Api]:
        secrets = msgspec.structs.replace(funded.secrets, identity_keys=keys)
        app = create_app(funded.settings, secrets)
        async with app.lifespan():
            api = Api(app=app, brand=funded.brand, keys=funded.keys, settings=funded.settings, secrets=secrets)
            yield api
            await api.close()

    return process


@pytest.fixture
def old(funded: Api) -> IdentityKey:
    (key,) = funded.secrets.identity_keys
    return key


@pytest.fixture
def new() -> IdentityKey:
    return IdentityKey(key_no=2, key=random.token_bytes(32))


async def key_numbers(owner: asyncpg.Connection[Any]) -> list[int]:
    """The key that each identity is stored under."""
    return [row["key_no"] for row in await owner.fetch("SELECT key_no FROM rewards.identity ORDER BY key_no")]


async def test_who_is_seen_under_the_old_key_is_stored_under_the_new(
    funded: Api, process: Process, old: IdentityKey, new: IdentityKey, owner: asyncpg.Connection[Any]
) -> None:
    await grant(funded, ADA)
    await grant(funded, {"id": "c-2"})
    async with process(new, old) as first_step:
        # It knows the new key, and stores under the old one still: the others may not know the new one yet.
        assert (await grant(first_step, ADA)).json()["replayed"] is True
        await put(first_step, "c-3")
    assert await key_numbers(owner) == [1, 1, 1]
    async with process(old, new) as second_step:
        for _ in range(2):
            assert (await grant(second_step, ADA)).json()["replayed"] is True
        assert await key_numbers(owner) == [1, 1, 2]
        assert (await put(second_step, "c-1", **ADA)).json()["balance"] == 5
        assert (await balance(second_step, "c-2"))["balance"] == 5
    assert await key_numbers(owner) == [1, 2, 2, 2]
    async with process(new) as last_step:
        assert (await grant(last_step, ADA)).json()["replayed"] is True
        assert (await balance(last_step, "c-2"))["balance"] == 5
        # Nobody has seen her since: that is why the old key is kept for so long.
        assert (await balance(last_step, "c-3"))["known"] is False


async def test_processes_with_either_key_in_use_know_the_same_people(
    funded: Api, process: Process, old: IdentityKey, new: IdentityKey, owner: asyncpg.Connection[Any]
) -> None:
    await grant(funded, ADA)
    async with process(new, old) as behind, process(old, new) as ahead:
        for api in (ahead, behind, ahead):
            assert (await grant(api, ADA)).json()["replayed"] is True
        # What the one stores under the new key the other leaves there.
        assert await key_numbers(owner) == [2]
        await grant(ahead, {"id": "c-2"})
        assert (await grant(behind, {"id": "c-2"})).json()["replayed"] is True


async def test_many_processes_at_once_change_the_key_of_the_same_people(
    funded: Api,
    process: Process,
    old: IdentityKey,
    new: IdentityKey,
    owner: asyncpg.Connection[Any],
    reader_pool: asyncpg.Pool[Any],
) -> None:
    known = [{"id": f"c-{n}", "email": f"ada{n}@example.org"} for n in range(30)]
    for customer in known[:20]:
        await grant(funded, customer)
    async with process(new, old) as behind, process(old, new) as ahead, process(old, new) as third:
        batch = [
            {"campaign": "autumn", "message_id": "m-1", "customer": customer, "action": "click", "channel": "email"}
            for customer in known
        ]
        answers = await asyncio.gather(
            *(
                api.client("messaging").post("/v1/grants/batch", json=list(reversed(batch)) if n % 2 else batch)
                for n in range(4)
                for api in (behind, ahead, third)
            )
        )
    paid = [result for answer in answers for result in answer.raise_for_status().json()["results"] if not result["replayed"]]
    # Ten were new to everybody, also to those who came at the same time: each is one customer.
    assert len(paid) == 10
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == 30
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity") == 60
    await check(funded, reader_pool)


async def test_customers_are_merged_while_keys_change(
    funded: Api, process: Process, old: IdentityKey, new: IdentityKey, reader_pool: asyncpg.Pool[Any]
) -> None:
    for name in ({"id": "c-1"}, {"id": "c-2"}, ADA):
        await grant(funded, name)
    async with process(old, new) as ahead:
        assert (await merge(ahead, "c-1", id="c-2")).json()["balance"] == 10
        assert (await put(ahead, "c-2", **ADA)).json()["balance"] == 15
        for name in ({"id": "c-1"}, {"id": "c-2"}, ADA):
            assert (await grant(ahead, name)).json()["replayed"] is True
    await check(funded, reader_pool)


async def test_a_rehashed_name_is_the_same_identity_and_stays_proved(
    funded: Api, process: Process, old: IdentityKey, new: IdentityKey, owner: asyncpg.Connection[Any]
) -> None:
    await grant(funded, ADA)
    before = (await verify(funded, (await identity_of(funded, **ADA))["identity_id"])).json()
    await put(funded, "c-2", phone="+4930901820")
    of_c_2 = await identities_of(funded, "c-2")
    async with process(new, old) as behind, process(old, new) as ahead:
        # In a process with the new key in use she is found under the old one, and redeems at once.
        assert (await authorize(ahead, ADA, 1)).status_code == 201
        assert await key_numbers(owner) == [1, 1, 2]
        for api in (behind, ahead, behind):
            assert await identity_of(api, **ADA) == before
        assert (await authorize(behind, ADA, 1, "k-2")).status_code == 201
        # Her address is known for what it is under either key.
        for api in (behind, ahead):
            assert (await verify(api, before["identity_id"], proof=ADA["email"])).status_code == 422
        await put(ahead, "c-2", phone="+4930901820")
        assert await key_numbers(owner) == [2, 2, 2]
        assert await identities_of(behind, "c-2") == of_c_2
        assert (await unverify(ahead, before["identity_id"])).json()["state"] == "unverified"
        assert (await authorize(behind, ADA, 1, "k-3")).status_code == 409
    async with process(new) as last:
        assert (await identity_of(last, **ADA))["identity_id"] == before["identity_id"]
        assert (await authorize(last, ADA, 1, "k-4")).status_code == 409
        assert (await verify(last, before["identity_id"], proof="otp-1")).status_code == 409
        assert (await verify(last, before["identity_id"], proof="otp-2")).json()["since"] == before["since"]


async def test_names_are_proved_while_keys_change(
    funded: Api, process: Process, old: IdentityKey, new: IdentityKey, reader_pool: asyncpg.Pool[Any]
) -> None:
    names = [{"email": f"ada{n}@example.org"} for n in range(12)]
    for name in names:
        await grant(funded, name)
    known = [(await identity_of(funded, **name))["identity_id"] for name in names]
    async with process(new, old) as behind, process(old, new) as ahead:
        work = [verify(process, each) for process in (funded, behind, ahead) for each in known]
        work += [grant(process, name) for process in (ahead, behind) for name in names]
        answers = await asyncio.gather(*work)
        assert {answer.status_code for answer in answers} == {200}
        for process_, name, identity_id in zip((behind, ahead) * 6, names, known, strict=True):
            found = await identity_of(process_, **name)
            assert (found["identity_id"], found["state"]) == (identity_id, "verified")
            assert (await authorize(process_, name, 5, identity_id)).status_code == 201
    await check(funded, reader_pool)
