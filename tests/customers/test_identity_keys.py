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
from service.customers import identities
from service.customers.identities import IdentityKind
from service.settings import IdentityKey
from tests.api_fixtures import Api
from tests.customers.calls import balance, check, grant, merge, put

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


async def test_a_second_form_is_a_second_way_to_be_found(
    funded: Api, monkeypatch: pytest.MonkeyPatch, owner: asyncpg.Connection[Any]
) -> None:
    await grant(funded, {"email": "ada.lovelace@example.org"})

    def normal_form(kind: IdentityKind, name: str, form: int) -> str:
        return name.replace(".", "") if form == 2 else name

    monkeypatch.setattr(identities, "normal_form", normal_form)
    monkeypatch.setattr(identities, "FORMS", (1, 2))
    assert (await grant(funded, {"email": "ada.lovelace@example.org"})).json()["replayed"] is True
    assert await owner.fetchval("SELECT form FROM rewards.identity") == 1
    monkeypatch.setattr(identities, "FORM", 2)
    for email in ("ada.lovelace@example.org", "adalovelace@example.org"):
        assert (await grant(funded, {"email": email})).json()["replayed"] is True
    assert await owner.fetchval("SELECT form FROM rewards.identity") == 2
