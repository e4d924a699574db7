"""Quotas hold over several processes, cost few round trips, and say how things stand; and it is known when a key was used."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import httpx
import pytest

from service.app import create_app
from service.auth.actions import create_key
from service.auth.key_use import KeyUse
from service.auth.quotas import LEASES_A_WINDOW, Quotas
from tests.api_fixtures import BASE_URL, Api

Owner: TypeAlias = "asyncpg.Connection[Any]"

numbers = itertools.count(1)


async def key_with(owner: Owner, quota: int, *scopes: str) -> tuple[str, int]:
    """A key with a quota: its text and its number."""
    key, record = await create_key(owner, "lumen", f"limited {next(numbers)}", scopes or ("ledger:read",), "C", None, quota)
    return key, record.api_key_id


async def within_a_minute(owner: Owner, attempt: Callable[[], Awaitable[None]]) -> None:
    """Run ``attempt``, which makes a key of its own; again if the database's minute ended meanwhile."""
    for _ in range(3):
        before = await owner.fetchval("SELECT date_trunc('minute', clock_timestamp())")
        failed = None
        try:
            await attempt()
        except AssertionError as error:
            failed = error
        if before == await owner.fetchval("SELECT date_trunc('minute', clock_timestamp())"):
            if failed is not None:
                raise failed
            return
    raise TimeoutError("it takes longer than a minute")


class Counted:
    """A pool that counts what is asked of it."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self.pool, self.questions = pool, 0

    async def fetchrow(self, *arguments: Any) -> Any:
        self.questions += 1
        return await self.pool.fetchrow(*arguments)


def quotas_on(pool: Any, **changed: Any) -> Quotas:
    return Quotas(pool, **changed)


async def test_processes_together_give_a_key_exactly_its_quota_in_few_round_trips(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        _, number = await key_with(owner, 200)
        pools = [Counted(api.services.pool) for _ in range(3)]
        processes = [quotas_on(pool) for pool in pools]
        taken = await asyncio.gather(*(process.take(number, 200, 1) for process in processes * 100))
        assert sum(taken) == 200
        # Each chunk costs one; each process then learns once that there is no more.
        assert sum(pool.questions for pool in pools) <= LEASES_A_WINDOW + len(pools)

    await within_a_minute(owner, attempt)


async def test_a_batch_is_taken_whole_or_not_at_all(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        _, number = await key_with(owner, 100)
        quotas = quotas_on(api.services.pool)
        assert await quotas.take(number, 100, 60)
        assert not await quotas.take(number, 100, 41)
        assert await quotas.take(number, 100, 40)
        assert not await quotas.take(number, 100, 1)

    await within_a_minute(owner, attempt)


async def test_a_new_minute_is_a_new_quota_and_nothing_is_carried_over(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        _, number = await key_with(owner, 40)
        now = 0.0
        quotas = quotas_on(api.services.pool, clock=lambda: now)
        assert await quotas.take(number, 40, 1)
        assert not await quotas.take(number, 40, 40)
        await owner.execute("UPDATE rewards.key_quota SET minute = minute - interval '1 minute' WHERE api_key_id = $1", number)
        now = 61.0
        assert await quotas.take(number, 40, 40)
        assert not await quotas.take(number, 40, 1)

    await within_a_minute(owner, attempt)


async def test_a_clock_that_is_set_back_gives_no_minute_twice(api: Api, owner: Owner) -> None:
    _, number = await key_with(owner, 10)
    await owner.execute(
        "INSERT INTO rewards.key_quota VALUES ($1, date_trunc('minute', clock_timestamp()) + interval '1 hour', 10)", number
    )
    assert not await quotas_on(api.services.pool).take(number, 10, 1)


async def test_each_answer_says_what_is_left_and_then_it_is_429(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        key, _ = await key_with(owner, 3)
        client = api.client(key=key)
        for left in (2, 1, 0):
            answer = await client.get("/v1/meta")
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"items";q=3;w=60'
            assert re.fullmatch(rf'"items";r={left};t=[1-6]?[0-9]', answer.headers["ratelimit"])
        refused = await client.get("/v1/meta")
        assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (429, "quota_exceeded", True)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"items";r=0;t=')

    await within_a_minute(owner, attempt)


async def test_a_key_without_a_quota_hears_nothing_of_it(api: Api) -> None:
    answer = await api.client("finance").get("/v1/meta")
    assert [name for name in answer.headers if name.startswith("ratelimit")] == []


async def test_a_batch_counts_its_items_and_one_that_never_fits_is_refused_for_good(api: Api, owner: Owner) -> None:
    def batch(size: int) -> list[dict[str, Any]]:
        item = {"campaign": "none", "customer": {"id": "c"}, "action": "click", "channel": "email"}
        return [item | {"message_id": f"m{n}"} for n in range(size)]

    async def attempt() -> None:
        key, _ = await key_with(owner, 10, "grants:write")
        client = api.client(key=key)
        too_large = await client.post("/v1/grants/batch", json=batch(11))
        assert (too_large.status_code, too_large.json()["code"]) == (413, "too_large")
        assert "smaller batches" in too_large.json()["detail"]
        # That request was one.
        sent = await client.post("/v1/grants/batch", json=batch(7))
        assert sent.status_code == 200
        assert sent.headers["ratelimit"].startswith('"items";r=2;')
        assert (await client.post("/v1/grants/batch", json=batch(3))).status_code == 429

    await within_a_minute(owner, attempt)


async def test_two_applications_share_a_keys_quota(api: Api, owner: Owner) -> None:
    async def attempt() -> None:
        key, _ = await key_with(owner, 20)
        second = create_app(api.settings, api.secrets)
        async with second.lifespan():
            transport: Any = httpx.ASGITransport(app=second)  # pyright: ignore[reportArgumentType]
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers) as other:
                answers = [await client.get("/v1/meta") for _ in range(15) for client in (other, api.client(key=key))]
        assert sorted(answer.status_code for answer in answers) == [200] * 20 + [429] * 10

    await within_a_minute(owner, attempt)


async def test_a_quota_that_is_taken_away_stops_nobody(api: Api, owner: Owner) -> None:
    _, number = await key_with(owner, 1)
    await owner.execute("UPDATE rewards.api_key SET quota_per_minute = NULL WHERE api_key_id = $1", number)
    quotas = quotas_on(api.services.pool)
    assert await quotas.take(number, 1, 1)


# ---- When a key was last used


async def last_used(owner: Owner, number: int) -> datetime | None:
    return await owner.fetchval("SELECT last_used_at FROM rewards.api_key WHERE api_key_id = $1", number)


@pytest.mark.one_process("looks at what one process has not written yet")
async def test_it_is_known_when_a_key_was_last_used_and_written_about_once_a_minute(api: Api, owner: Owner) -> None:
    key, number = await key_with(owner, 1000)
    key_use = api.services.key_use
    started = datetime.now(UTC)
    assert (await api.client(key=key).get("/v1/meta")).status_code == 200
    # Not on the way of the request.
    assert await last_used(owner, number) is None
    await key_use.write()
    first = await last_used(owner, number)
    assert first is not None
    assert started <= first <= datetime.now(UTC)
    shown = (await api.client("admin").get("/v1/keys")).json()["items"][-1]
    assert datetime.fromisoformat(shown["last_used_at"]) == first
    assert (await api.client(key=key).get("/v1/meta")).status_code == 200
    await key_use.write()
    assert await last_used(owner, number) == first
    await owner.execute(
        "UPDATE rewards.api_key SET last_used_at = $2 WHERE api_key_id = $1", number, first - timedelta(minutes=1)
    )
    assert (await api.client(key=key).get("/v1/meta")).status_code == 200
    await key_use.write()
    again = await last_used(owner, number)
    assert again is not None
    assert again > first


async def test_what_was_noted_is_written_when_a_process_stops(api: Api, owner: Owner) -> None:
    _, number = await key_with(owner, 1)
    async with KeyUse(api.services.pool) as key_use:
        key_use.note(number)
    assert await last_used(owner, number) is not None


async def test_a_key_that_is_refused_was_not_used(api: Api, owner: Owner) -> None:
    key, number = await key_with(owner, 1)
    await owner.execute("UPDATE rewards.api_key SET revoked_at = now() WHERE api_key_id = $1", number)
    assert (await api.client(key=key).get("/v1/meta")).status_code == 401
    await api.services.key_use.write()
    assert await last_used(owner, number) is None
