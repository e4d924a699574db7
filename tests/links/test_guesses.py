"""Who guesses at codes is told nothing, and after a while not even that."""

from __future__ import annotations

import pytest

from service.links.codes import code_of
from service.links.guesses import MISSES_MAX, NETWORKS_MAX, WINDOW_S, Guesses
from tests.links.conftest import Links
from tests.links.test_visits import without_nonce


def test_misses_count_for_a_window_and_by_network() -> None:
    now = 1_000.0
    guesses = Guesses(clock=lambda: now)
    for _ in range(MISSES_MAX):
        assert not guesses.are_too_many("192.0.2.0/24")
        guesses.note("192.0.2.0/24")
    assert guesses.are_too_many("192.0.2.0/24")
    assert not guesses.are_too_many("198.51.100.0/24")
    now += WINDOW_S
    assert not guesses.are_too_many("192.0.2.0/24")
    guesses.note("192.0.2.0/24")
    assert not guesses.are_too_many("192.0.2.0/24")


def test_it_remembers_so_many_networks_and_no_more() -> None:
    guesses = Guesses()
    for n in range(NETWORKS_MAX + 10):
        for _ in range(MISSES_MAX if n == 0 else 1):
            guesses.note(str(n))
    assert not guesses.are_too_many("0")


@pytest.mark.one_process("each process counts for itself")
async def test_a_right_guess_among_too_many_wrong_ones_is_not_told(links: Links) -> None:
    [minted] = await links.mint(links.item(short=True))
    right = minted["short_url"].rpartition("/")[2]
    client = links.api.client(None)
    pages = {without_nonce(await client.get(f"/{code_of(b'%d' % n, bytes(32))}")): n for n in range(MISSES_MAX)}
    assert len(pages) == 1
    wrong, found = await client.get(f"/{code_of(b'x', bytes(32))}"), await client.get(f"/{right}")
    assert (wrong.status_code, found.status_code) == (503, 503)
    assert without_nonce(wrong) == without_nonce(found)
    # Links in messages are not guessed, so they go on.
    assert (await client.get(minted["url"].partition("rewards.test")[2])).status_code == 200
