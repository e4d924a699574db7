"""A table: columns, and rows of plain values as the API has them. It is shown as HTML and sent as CSV, from the same rows.

Table(
    name="budgets",
    caption="Budgets",
    columns=[Column("Campaign", "id"), Column("Left", "points")],
    rows=[Row(["spring", 4_200], href="/console/campaigns/spring")],
    empty="No campaign has a budget yet.",
)
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, TypeAlias

import msgspec

from service.exports.spreadsheets import neutral
from service.pages.words import Words

Kind: TypeAlias = Literal["text", "id", "number", "points", "money", "date", "instant", "share", "left"]
Value: TypeAlias = str | int | float | date | datetime | None

_SHARES = frozenset({"share", "left"})
_FIGURES = _SHARES | {"number", "points", "money"}
NOTHING = "–"


class Column(msgspec.Struct, frozen=True):
    """A column. ``money`` is in minor units of ``currency``; a ``share`` is of one, and ``left`` is a share drawn as a bar;
    ``name`` is its header in CSV."""

    title: str
    kind: Kind = "text"
    name: str = ""
    currency: str = ""

    @property
    def is_figure(self) -> bool:
        """Whether its values are aligned to be added up."""
        return self.kind in _FIGURES

    @property
    def csv_name(self) -> str:
        """Its header in CSV."""
        return self.name or self.title.lower().replace(" ", "_")

    def written(self, value: Value, words: Words) -> str:
        """A value as people write it."""
        match value:
            case None | "":
                return NOTHING
            case datetime():
                return f"{value:%Y-%m-%d %H:%M}"
            case date():
                return value.isoformat()
            case int() if self.kind == "money":
                return _signed(value, words.money(abs(value), self.currency))
            case int() if self.is_figure and self.kind not in _SHARES:
                return _signed(value, words.number(abs(value)))
            case int() | float() if self.kind in _SHARES:
                return f"{value:.1%}"
            case _:
                return str(value)


class Row(msgspec.Struct, frozen=True):
    """A row: a value for each column, where the row leads to, and how its state is to be seen, as in ``"bad"``;
    ``links``: where single values lead to, by the name of their column in CSV."""

    values: Sequence[Value]
    href: str = ""
    tone: Literal["", "good", "bad"] = ""
    links: Mapping[str, str] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a page, which no other table of the page is named like. ``empty`` says what to do while there is no row;
    ``following`` leads to the next page."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    totals: Row | None = None
    empty: str = "There is nothing here yet."
    following: str = ""

    def csv(self) -> str:
        """The rows of this page, without the totals: a header, and values as the API has them."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([column.csv_name for column in self.columns])
        writer.writerows([[_plain(value) for value in row.values] for row in self.rows])
        return out.getvalue()


def _signed(value: int, written: str) -> str:
    # A minus sign is as wide as a figure; a hyphen is not, and may be broken at.
    return f"\u2212{written}" if value < 0 else written


def _plain(value: Value) -> Value:
    match value:
        case str():
            return neutral(value)
        case date():
            return value.isoformat()
        case _:
            return value
