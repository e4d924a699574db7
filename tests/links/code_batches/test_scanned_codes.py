"""Codes as scanners send them and people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.tokens import rotating_code
from service.tokens.code import LOOK_ALIKES_MAX, code_hash, code_of, look_alikes, normal_code, scanned_code
from tests.api_fixtures import BASE_URL
from tests.links.code_batches.test_code_batches import claim, codes_of, enter, make_batch
from tests.links.conftest import EMAIL, Links
from tests.links.pages.test_visits import headline

CODE = "MZXW6YTBOI4GC2LT"

SCANNED = [
    CODE,
    CODE.lower(),
    f"  {CODE}\r\n",
    f"{CODE}\t",
    "MZXW 6YTB-OI4G—C2LT",
    "MZXW\u00a06YTB\u200bOI4G\u2011C2LT",
    "ＭＺＸＷ６ＹＴＢＯＩ４ＧＣ２ＬＴ",
    f"https://r.shop.example/{CODE}",
    f"HTTPS://R.SHOP.EXAMPLE/{CODE}",
    f"https://r.shop.example/r/{CODE}",
    f"https://r.shop.example/{CODE}?utm_source=pack#top",
    f"https://r.shop.example/{CODE}/",
    f"r.shop.example/{CODE}",
    f"]Q1HTTPS://R.SHOP.EXAMPLE/{CODE}",
    f"]C1{CODE}",
    f"{CODE}.",
    f"({CODE})"[1:],
    f"({CODE})",
    f"*{CODE}*",
    f'"{CODE}"',
    f"\x02{CODE}\x03",
    f"Code: {CODE}",
    f"Code:{CODE[:4]}-{CODE[4:8]}-{CODE[8:12]}-{CODE[12:]}",
    f"{CODE} (my code)",
    f"URL:https://r.shop.example/{CODE}",
    f"MEBKM:TITLE:reward;URL:https\\://r.shop.example/{CODE};;",
    f"https://r.shop.example/{CODE}/)",
    f"https://r.shop.example/?code={CODE}",
    # On a Cyrillic, a Greek and an Arabic keyboard, and in small letters on a Turkish one.
    CODE.replace("M", "\u041c").replace("C", "\u0421").replace("T", "\u0442"),
    CODE.replace("Z", "\u0396").replace("O", "\u03bf"),
    CODE.replace("6", "\u0666").replace("4", "\u0664").replace("2", "\u0662"),
    CODE.lower().replace("i", "\u0131"),
]


@pytest.mark.parametrize("text", SCANNED)
def test_a_code_is_found_in_what_a_scanner_or_a_person_sends(text: str) -> None:
    assert scanned_code(text) == CODE


@pytest.mark.parametrize(
    "text", ["", " ", "/", "https://r.shop.example/", "MZXW", CODE + "A", "https://r.shop.example/é", "\0" * 20]
)
def test_what_holds_no_code_is_none(text: str) -> None:
    assert scanned_code(text) is None


def test_letters_that_look_alike_are_tried_nearest_first() -> None:
    assert look_alikes("AAAAAAAAAAAAAAAA") == ["AAAAAAAAAAAAAAAA"]
    assert look_alikes("0AAAAAAAAAAAAAAA") == ["0AAAAAAAAAAAAAAA", "OAAAAAAAAAAAAAAA"]
    assert look_alikes("8AAAAAAAAAAAAAA1")[1:] == ["BAAAAAAAAAAAAAAI", "BAAAAAAAAAAAAAAL"]
    assert look_alikes("9AAAAAAAAAAAAAAA")[1:] == ["GAAAAAAAAAAAAAAA", "QAAAAAAAAAAAAAAA"]
    assert look_alikes("SAAAAAAAAAAAAAAA")[1:] == ["5AAAAAAAAAAAAAAA"]
    assert look_alikes("IAAAAAAAAAAAAAAL")[1:] == ["IAAAAAAAAAAAAAAI", "LAAAAAAAAAAAAAAL", "LAAAAAAAAAAAAAAI"]


@pytest.mark.parametrize("code", ["I" * 16, "1" * 16, "0O1IL2Z5S6G8B0O1", "0" * 16])
def test_how_many_are_tried_is_bounded(code: str) -> None:
    assert len(look_alikes(code)) <= LOOK_ALIKES_MAX


def mistyped(code: str, *swapped: tuple[str, str]) -> str | None:
    """The code with one letter mistaken; ``None`` if it has none of these letters."""
    for right, wrong in swapped:
        if right in code:
            return code.replace(right, wrong, 1)
    return None


MISTAKES = [
    ("O", "0"),
    ("B", "8"),
    ("I", "1"),
    ("L", "1"),
    ("I", "L"),
    ("L", "I"),
    ("S", "5"),
    ("5", "S"),
    ("Z", "2"),
    ("2", "Z"),
    ("G", "6"),
    ("6", "G"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{wrong} for {right}" for right, wrong in MISTAKES])
async def test_a_code_with_a_letter_mistaken_is_the_one_it_looks_like(links: Links, mistake: tuple[str, str]) -> None:
    (await make_batch(links.api, codes=40)).raise_for_status()
    typed = next(
        (code, wrong)
        for code in await codes_of(links.api)
        if (wrong := mistyped(code, mistake)) is not None and len(look_alikes(wrong)) > 1 and code in look_alikes(wrong)
    )
    code, wrong = typed
    first = (await claim(links.api, wrong)).json()
    assert (first["outcome"], first["replayed"]) == ("granted", False)
    second = (await claim(links.api, code)).json()
    assert (second["grant_id"], second["replayed"]) == (first["grant_id"], True)
    page = await enter(links.api, wrong, EMAIL)
    assert headline(page) == "This code has been used"


async def test_the_page_of_a_code_with_a_letter_mistaken_pays_once(links: Links) -> None:
    (await make_batch(links.api, codes=20)).raise_for_status()
    code, wrong = next(
        (code, wrong)
        for code in await codes_of(links.api)
        if (wrong := mistyped(code, *MISTAKES)) is not None and code in look_alikes(wrong)
    )
    assert headline(await links.api.client(None).get(f"/{wrong}")) == headline(await links.api.client(None).get(f"/{code}"))
    assert headline(await enter(links.api, wrong, EMAIL)) == "25 Lumens added"
    assert headline(await enter(links.api, code, "another@mail.example")) == "This code has been used"


async def test_a_short_link_with_a_letter_mistaken_is_the_one_it_looks_like(links: Links) -> None:
    items = [links.item(short=True, message_id=f"sms-{n}") for n in range(20)]
    codes = [result["short_url"].rpartition("/")[2] for result in await links.mint(*items)]
    wrong = next(wrong for code in codes if (wrong := mistyped(code, *MISTAKES)) is not None and code in look_alikes(wrong))
    assert headline(await links.api.client(None).get(f"/{wrong}")) == "25 Lumens for you"


async def test_the_address_in_our_own_qr_code_is_taken(links: Links) -> None:
    (await make_batch(links.api)).raise_for_status()
    code, *_ = await codes_of(links.api)
    answer = (await claim(links.api, f"{BASE_URL}/{code}".upper())).json()
    assert answer["outcome"] == "granted"


@pytest.mark.parametrize("half", [slice(8), slice(8, None)], ids=["which screen", "which turn"])
async def test_a_code_on_a_screen_with_a_letter_mistaken_is_the_one_it_looks_like(links: Links, half: slice) -> None:
    services = links.api.services
    key = services.token_keys.codes[services.token_keys.links.kid]
    for n in range(20):
        made = await make_batch(links.api, id=f"screen-{n}", codes=1, pays="each", rotates_every_s=3_600)
        screen = rotating_code.unseal_name(
            made.json()["screen"].rpartition("/")[2].removesuffix(".svg"), services.token_keys.rotating_codes
        )
        assert screen is not None
        code = rotating_code.code_at(screen, datetime.now(UTC), key)
        part = mistyped(code[half], *MISTAKES)
        wrong = code if part is None else code.replace(code[half], part)
        if wrong != code and code in look_alikes(wrong):
            assert (await claim(links.api, wrong)).json()["outcome"] == "granted"
            assert headline(await enter(links.api, wrong, EMAIL)) == "25 Lumens added"
            return
    raise AssertionError("none of twenty codes has such a letter")


def test_two_codes_that_look_alike_are_nobodys_guess() -> None:
    assert normal_code("0" * 16) == "0" * 16
    assert code_hash(code_of(b"x", bytes(32))) != code_hash("0" * 16)
