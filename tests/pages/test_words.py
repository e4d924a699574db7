"""Texts in every language: all of them, with the same placeholders, written as people write."""

from __future__ import annotations

import re
from datetime import date
from string import Formatter

import pytest

from service.brands.brand import Language
from service.pages.words import LANGUAGES, best_language, words_of
from tests.steps import steps

ENGLISH = words_of("en")
OTHERS = [language for language in LANGUAGES if language != "en"]

# What is the same in both languages, or has no word of its own.
THE_SAME = {
    "common.test", "common.points", "channel.whatsapp", "channel.push", "channel.sms", "channel.mms", "channel.email",
    "channel.rcs", "channel.voice", "channel.post", "preferences.no", "display.second",
}  # fmt: skip


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_text_and_no_other(language: Language) -> None:
    assert words_of(language).texts.keys() == ENGLISH.texts.keys()
    assert len(words_of(language).months) == 12


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_takes_the_names_that_the_english_one_takes(language: Language) -> None:
    for key, text in words_of(language).texts.items():
        # The label of this one may name the points.
        allowed = {"unit"} if key == "common.skip" else set[str]()
        assert placeholders(text) - allowed == placeholders(ENGLISH.texts[key]), key


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_is_translated(language: Language) -> None:
    same = {key for key, text in words_of(language).texts.items() if text == ENGLISH.texts[key]}
    assert same <= THE_SAME


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_is_tidy(language: Language) -> None:
    for key, text in words_of(language).texts.items():
        assert text == text.strip(), key
        assert not re.search(r"  |<|>|&", text), key


@pytest.mark.parametrize(
    ("language", "small", "large"),
    [
        ("en", "1,234", "1,234,567"),
        ("de", "1.234", "1.234.567"),
        ("fr", "1\u202f234", "1\u202f234\u202f567"),
        ("es", "1234", "1.234.567"),
        ("ar", "1,234", "1,234,567"),
    ],
)
def test_numbers(language: Language, small: str, large: str) -> None:
    words = words_of(language)
    assert (words.number(999), words.number(1_234), words.number(1_234_567)) == ("999", small, large)


@pytest.mark.parametrize(
    ("language", "first", "last"),
    [
        ("en", "1 January 2027", "31 December 2026"),
        ("de", "1. Januar 2027", "31. Dezember 2026"),
        ("fr", "1er janvier 2027", "31 décembre 2026"),
        ("es", "1 de enero de 2027", "31 de diciembre de 2026"),
        ("ar", "1 يناير 2027", "31 ديسمبر 2026"),
    ],
)
def test_days(language: Language, first: str, last: str) -> None:
    words = words_of(language)
    assert (words.date(date(2027, 1, 1)), words.date(date(2026, 12, 31))) == (first, last)


@pytest.mark.parametrize(
    ("language", "currency", "written"),
    [
        ("en", "EUR", "€1,234.05"),
        ("en", "CHF", "CHF\u00a01,234.05"),
        ("en", "JPY", "¥123,405"),
        ("de", "EUR", "1.234,05\u00a0€"),
        ("fr", "KWD", "123,405\u00a0KWD"),
        ("nl", "EUR", "€\u00a01.234,05"),
    ],
)
def test_money(language: Language, currency: str, written: str) -> None:
    assert words_of(language).money(123_405, currency) == written


def test_a_name_that_runs_the_other_way_is_set_apart() -> None:
    arabic, english = words_of("ar"), words_of("en")
    assert "\u2068Bluebird\u2069" in arabic.say("waiting.text", brand="Bluebird", unit="نقاط")
    assert "\u2068" not in arabic.say("waiting.text", brand="طائر", unit="نقاط")
    assert "\u2068طائر\u2069" in english.say("waiting.text", brand="طائر", unit="points")
    assert "\u2068" not in english.say("waiting.text", brand="Bluebird", unit="Mu")


def test_a_name_is_no_template() -> None:
    assert "{unit}" in ENGLISH.say("waiting.text", brand="{unit}", unit="Mu")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("tlh,fr;q=0.3,nl;q=0.8", "nl"),
        ("en;q=0.1, AR-eg", "ar"),
        ("tlh", "en"),
        ("de;q=nan,es;q=0.1", "es"),
        (";;,,q=1", "en"),
        ("de;q=\u00b2,es;q=0.1", "es"),
        ("de;q=" + "9" * 5_000 + ",es;q=0.1", "es"),
    ],
)
def test_the_language_that_a_browser_likes_best(accepted: str, language: Language) -> None:
    assert best_language(accepted) == language


def test_twice_the_header_is_at_most_twice_the_work() -> None:
    assert steps(lambda n: best_language("de;q=0.5," * n), 8_000) <= 2.1 * steps(
        lambda n: best_language("de;q=0.5," * n), 4_000
    )
