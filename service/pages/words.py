"""What pages say, in the brand's language: texts, numbers, dates and money.

    words_of       the words of a language
    best_language  which language suits a browser, where no brand says

Texts are in ``texts/<language>.toml``, one file a language, each with the same keys and the same placeholders: a test holds
them to that. A name that runs the other way than the text around it (a Latin brand in an Arabic sentence) is set apart by the
marks that Unicode has for it (UAX #9), so that the punctuation beside it stays where it belongs.
"""

from __future__ import annotations

import functools
import re
import tomllib
import typing
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from ledger import decimals_of
from service.brands.brand import Language

LANGUAGES: tuple[Language, ...] = typing.get_args(Language)
DEFAULT: Language = "en"
_BY_NAME: dict[str, Language] = {language: language for language in LANGUAGES}

_TEXTS = Path(__file__).parent / "texts"
_SYMBOLS: Mapping[str, str] = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF", "BRL": "R$"}
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"


class Words(msgspec.Struct, frozen=True):
    """The words of one language."""

    language: Language
    direction: Literal["ltr", "rtl"]
    texts: Mapping[str, str]
    months: tuple[str, ...]
    group: str
    decimal: str
    money_form: str
    date_form: str
    first_day: str = "1"
    grouped_from: int = 1_000

    def say(self, key: str, **names: str) -> str:
        """The text of ``key``, as in ``claim.headline``, with its placeholders filled in."""
        return self.texts[key].format_map({name: self._set_apart(text) for name, text in names.items()})

    def has(self, key: str) -> bool:
        """Whether there is a text of this key."""
        return key in self.texts

    def number(self, value: int) -> str:
        """A whole number as people write it."""
        return f"{value:,}".replace(",", self.group) if abs(value) >= self.grouped_from else str(value)

    def date(self, day: date) -> str:
        """A day, with its month in full."""
        written = self.first_day if day.day == 1 else str(day.day)
        return self.date_form.format(day=written, month=self.months[day.month - 1], year=day.year)

    def money(self, minor_units: int, currency: str) -> str:
        """An amount of money."""
        decimals = decimals_of(currency)
        whole, rest = divmod(minor_units, 10**decimals)
        amount = self.number(whole) + (f"{self.decimal}{rest:0{decimals}}" if decimals else "")
        symbol = _SYMBOLS.get(currency, currency)
        # A code is no symbol: it does not touch the number.
        form = self.money_form.replace("{symbol}{", "{symbol}\u00a0{") if symbol.isalpha() else self.money_form
        return form.format(amount=amount, symbol=symbol)

    def _set_apart(self, text: str) -> str:
        other_way = {"L"} if self.direction == "rtl" else {"R", "AL"}
        runs_the_other_way = any(unicodedata.bidirectional(character) in other_way for character in text)
        return f"{_ISOLATE}{text}{_END_OF_ISOLATE}" if runs_the_other_way else text


_WEIGHT = re.compile(r"[0-9](?:\.[0-9]{0,3})?")


@functools.cache
def words_of(language: Language) -> Words:
    """The words of ``language``."""
    read: dict[str, Any] = tomllib.loads((_TEXTS / f"{language}.toml").read_text("utf-8"))
    texts = {
        f"{section}.{name}": text
        for section, named in read.items()
        if isinstance(named, dict)
        for name, text in typing.cast("dict[str, str]", named).items()
    }
    return Words(
        language=language,
        direction=read["direction"],
        texts=texts,
        months=tuple(read["months"]),
        group=read["group"],
        decimal=read["decimal"],
        money_form=read["money"],
        date_form=read["date"],
        first_day=read.get("first_day", "1"),
        grouped_from=read.get("grouped_from", 1_000),
    )


def best_language(accepted: str) -> Language:
    """The language that a browser's ``Accept-Language`` likes best of those there are (RFC 9110, 12.5.4)."""
    liked: list[tuple[float, Language]] = []
    for entry in accepted.split(","):
        name, _, parameters = entry.strip().partition(";")
        language = _BY_NAME.get(name.lower().partition("-")[0])
        weight = parameters.strip().removeprefix("q=") if parameters else "1"
        if language is not None and _WEIGHT.fullmatch(weight):
            liked.append((-float(weight), language))
    return min(liked, key=lambda each: each[0])[1] if liked else DEFAULT
