"""A code stands for a link: short, good for print, always the same, and nothing that can be guessed or read in the database."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from service.settings import LinkKey
from service.tokens.code import CODE_CHARACTERS, code_hash, code_key, code_of, normal_code
from tests.api_fixtures import BASE_URL, Api
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline, without_nonce

KEY = code_key(LinkKey(kid="1", private_key=bytes(range(32))))


async def short_path(links: Links, customer: str = "C-1001", **changed: Any) -> str:
    [result] = await links.mint(links.item(customer, short=True, **changed))
    assert result["status"] in {200, 201}, result
    return result["short_url"].removeprefix(BASE_URL)


def test_a_code_is_eighty_bits_in_capital_letters_and_digits() -> None:
    codes = {code_of(b"link %d" % n, KEY) for n in range(10_000)}
    assert len(codes) == 10_000
    assert all(re.fullmatch(r"[A-Z2-7]{16}", code) for code in codes)
    # Every character takes every value: 32 of them, in each of 16 places.
    assert {len({code[place] for code in codes}) for place in range(CODE_CHARACTERS)} == {32}
    assert code_of(b"link 1", KEY) == code_of(b"link 1", KEY) != code_of(b"link 1", KEY[::-1])


def test_a_code_may_be_typed_in_small_letters_and_with_what_stands_behind_it() -> None:
    code = code_of(b"link", KEY)
    assert normal_code(code.lower()) == normal_code(code) == code
    assert normal_code(code + "\n") == normal_code(code + "é") == code
    for other in (code[1:], code + "A", code[:-1] + "é", code[:-1] + "\n", "", "é" * 16, "." + code):
        assert normal_code(other) is None


async def test_a_short_link_is_honoured_like_the_long_one(links: Links) -> None:
    path = await short_path(links)
    assert re.fullmatch(r"/[A-Z2-7]{16}", path)
    client = links.api.client(None)
    for spelled in (path, path.lower(), f"/r{path}", f"{path}/"):
        page = await client.get(spelled)
        assert (page.status_code, headline(page)) == (200, "25 Lumens for you"), spelled
    assert headline(await claim(links, path)) == "25 Lumens added"
    assert headline(await claim(links, f"/r{path.lower()}")) == "You already have these"
    assert headline(await claim(links, await links.path())) == "You already have these"
    assert await links.balance() == 25


async def test_the_same_link_has_the_same_code_and_only_who_asks_gets_one(links: Links) -> None:
    plain, short, again = [(await links.mint(links.item(short=short)))[0] for short in (False, True, True)]
    assert "short_url" not in plain
    assert (short["url"], short["status"]) == (plain["url"], 200)
    assert again == short


async def test_the_database_knows_no_code(links: Links, owner: asyncpg.Connection[Any]) -> None:
    path = await short_path(links)
    [row] = await owner.fetch("SELECT * FROM rewards.link_code")
    assert (row["code_hash"], len(row["link_id"])) == (code_hash(path[1:]), 20)


async def test_a_code_that_is_not_ours_looks_like_any_link_that_is_not(api: Api) -> None:
    pages = [await api.client(None).get(path) for path in ("/AAAAAAAAAAAAAAAA", "/r/AAAAAAAAAAAAAAAA", "/r/hello")]
    assert {(page.status_code, without_nonce(page)) for page in pages} == {(404, without_nonce(pages[0]))}


async def test_a_code_of_a_link_that_is_past_its_life_says_so(links: Links, owner: asyncpg.Connection[Any]) -> None:
    path = await short_path(links)
    life = "minted_at = now() - interval '2 days', expires_at = now() - interval '1 day'"
    await owner.execute(f"UPDATE rewards.link SET {life}")
    page = await links.api.client(None).get(path)
    assert (page.status_code, headline(page)) == (410, "This link has expired")
