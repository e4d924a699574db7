"""Who guesses at codes is told nothing, and after a while not even that."""

from __future__ import annotations

import httpx
import pytest

from service.admission.failed_attempts import MISSES_MAX, NETWORKS_MAX, WINDOW_S, FailedAttemptLimiter
from service.tokens.code import code_of
from tests.api_fixtures import BASE_URL
from tests.links.code_batches.test_code_batches import codes_of, make_batch
from tests.links.conftest import Links
from tests.links.pages.test_visits import without_nonce


def test_misses_count_for_a_window_and_by_network() -> None:
    now = 1_000.0
    guesses = FailedAttemptLimiter(clock=lambda: now)
    for _ in range(MISSES_MAX):
        assert not guesses.exceeded("192.0.2.0/24")
        guesses.note("192.0.2.0/24")
    assert guesses.exceeded("192.0.2.0/24")
    assert not guesses.exceeded("198.51.100.0/24")
    now += WINDOW_S
    assert not guesses.exceeded("192.0.2.0/24")
    guesses.note("192.0.2.0/24")
    assert not guesses.exceeded("192.0.2.0/24")


def test_it_remembers_so_many_networks_and_no_more() -> None:
    guesses = FailedAttemptLimiter()
    for n in range(NETWORKS_MAX + 10):
        for _ in range(MISSES_MAX if n == 0 else 1):
            guesses.note(str(n))
    assert not guesses.exceeded("0")


@pytest.mark.one_process("each process counts for itself")
async def test_what_there_is_is_found_however_many_wrong_guesses_there_were(links: Links) -> None:
    [minted] = await links.mint(links.item(short=True))
    right = minted["short_url"].rpartition("/")[2]
    (await make_batch(links.api)).raise_for_status()
    printed = (await codes_of(links.api, "packs-1"))[0]
    client = links.api.client(None)
    pages = {without_nonce(await client.get(f"/{code_of(b'%d' % n, bytes(32))}")): n for n in range(MISSES_MAX)}
    assert len(pages) == 1
    wrong = code_of(b"x", bytes(32))
    for refused in (await client.get(f"/{wrong}"), await client.post(f"/{wrong}")):
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    as_json = await client.get(f"/{wrong}", headers={"Accept": "application/json"})
    assert (as_json.status_code, as_json.json()["code"]) == (429, "too_many_guesses")
    for path in (f"/{right}", f"/{printed}", minted["url"].partition("rewards.test")[2]):
        assert (await client.get(path)).status_code == 200, path
    assert (await client.get(f"/qr/{printed}.svg")).status_code == 200
    claimed = await client.post(f"/{right}", headers={"Sec-Fetch-Site": "same-origin"})
    assert claimed.status_code == 303


@pytest.mark.one_process("each process counts for itself")
async def test_misses_count_by_address_and_in_ipv6_by_household(links: Links) -> None:
    def client(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=links.api.app, client=(address, 1))  # pyright: ignore[reportArgumentType]
        return httpx.AsyncClient(transport=transport, base_url=BASE_URL)

    async with client("192.0.2.1") as guesser, client("192.0.2.2") as neighbour:
        for n in range(MISSES_MAX):
            await guesser.get(f"/{code_of(b'%d' % n, bytes(32))}")
        statuses = [(await each.get(f"/{code_of(b'x', bytes(32))}")).status_code for each in (guesser, neighbour)]
        assert statuses == [429, 404]
    async with client("2001:db8:1:1::1") as guesser, client("2001:db8:1:1::2") as same, client("2001:db8:1:2::1") as other:
        for n in range(MISSES_MAX):
            await guesser.get(f"/{code_of(b'%d' % n, bytes(32))}")
        statuses = [(await each.get(f"/{code_of(b'x', bytes(32))}")).status_code for each in (guesser, same, other)]
        assert statuses == [429, 429, 404]
