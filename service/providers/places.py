"""Where customers come to, as a coarse place of the brand's own and never as coordinates.

    is_place         whether a text has the shape of a place
    coordinates_in   the first member that gives coordinates away, by its name or by its shape
    exact_in         the same of a whole document that is about a place, so that less is let through

A place is known by what it may look like, because there are too many ways to write coordinates. Other fields are not of one
shape; there the names and notations are looked for that people use.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

# Words, and one short number at most: it takes two numbers, or letters and digits in one word, to write a position.
_PLACE = re.compile(r"(?=.{2,64}\Z)[a-z]+(?:[-_][a-z]+)*(?:[-_]\d{1,4}(?:[-_][a-z]+)*)?", re.ASCII)
PLACE_RULE = (
    "must be a place by a name of yours, never coordinates: lower-case words and at most one number of up to 4 digits, "
    "joined by -, such as berlin-mitte or store-117"
)
NO_COORDINATES = "must be left out: it gives coordinates away. Name the place instead"

MEMBERS_MAX = 5_000
CHARACTERS_MAX = 65_536
"""What is said of a place is short; what is longer is not looked through, and so not taken."""

_WORDS = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])")
# Latin, in the languages of the pages; of other scripts, parts of words.
_NAMES = frozenset({
    "lat", "lng", "lon", "latlng", "latlon", "latlong", "lnglat", "lonlat", "longlat",
    "latitude", "latitudes", "latitud", "latitudine", "longitude", "longitudes", "longitud", "longitudine",
    "coord", "coords", "coordinate", "coordinates", "coordinata", "coordenada", "coordenadas", "coordonnee", "coordonnees",
    "coordinaat", "coordinaten", "koordinate", "koordinaten",
    "breitengrad", "langengrad", "laengengrad", "breedtegraad", "lengtegraad",
    "gps", "geohash", "geopoint", "geolocation", "geoposition", "geojson", "geouri", "pluscode", "mgrs", "maidenhead", "wkt",
})  # fmt: skip
_PAIRS_OF_WORDS = frozenset(
    {("plus", "code"), ("geo", "hash"), ("geo", "point"), ("geo", "location"), ("geo", "uri"), ("lat", "long")}
)
_PARTS = (
    "خط_العرض", "خط_الطول", "خطالعرض", "خطالطول", "دائرة_عرض", "احداثي",
    "широт", "долгот", "координат", "纬度", "经度", "緯度", "経度",
)  # fmt: skip

# White space is one blank by then: runs of it must not cost more than they are long.
_NUMBER = r"[-+]?\d{1,3}[.,]\d{2,15}"
_PAIR = re.compile(rf"(?<![\d.,])(?=({_NUMBER}) ?°? ?[NSns]? ?[,;:/|& ] ?[A-Za-z=:]{{0,12}} ?({_NUMBER})(?!\d))")
_WRITTEN = re.compile(
    r"geo:[-+]?\d"
    r"|\d ?° ?\d+(?:[.,]\d+)? ?['′’]"
    r"|\b(?:MULTI)?(?:POINT|LINESTRING|POLYGON) ?[ZM]{0,2} ?\({1,3} ?[-+]?\d"
    r"|[\"']coordinates[\"']"
    r"|(?<![0-9A-Z])[23456789CFGHJMPQRVWX]{4,8}0{0,4}\+[23456789CFGHJMPQRVWX]{2,7}(?![0-9A-Z])"
    r"|(?<!:)///[\w-]{2,20}\.[\w-]{2,20}\.[\w-]{2,20}\b",
    re.IGNORECASE,
)
_FINE = re.compile(r"[-+]?\d{1,3}[.,]\d{3,15}")
_MERIDIAN, _POLE = 180, 90


def is_place(text: object) -> bool:
    """Whether a text has the shape of a place."""
    return isinstance(text, str) and _PLACE.fullmatch(text) is not None


def coordinates_in(members: Mapping[str, object]) -> str | None:
    """The name of the first member that gives coordinates away; members are not looked into."""
    return next((name for name, value in members.items() if _is_named_so(name) or _looks_so(name) or _looks_so(value)), None)


def exact_in(value: Any) -> str | None:
    """The path of the first thing in a document that gives a position away, also a lone fine number. Of a name that is one
    itself, the path of what it is in.
    """
    waiting: list[tuple[str, Any]] = [("", value)]
    characters = 0
    for _ in range(MEMBERS_MAX):
        if not waiting:
            return None
        path, found = waiting.pop()
        members, text = _members(found), found if isinstance(found, str) else ""
        characters += sum(len(name) for name, _ in members) + len(text)
        if characters > CHARACTERS_MAX or len(members) > MEMBERS_MAX or any(_looks_so(name) for name, _ in members):
            return path
        named = next((name for name, _ in members if _is_named_so(name)), None)
        if named is not None:
            return _within(path, named)
        if _looks_so(text) or _is_exact(found):
            return path
        waiting += [(_within(path, name), inner) for name, inner in members]
    return waiting[-1][0] if waiting else None


def _members(found: Any) -> list[tuple[str, Any]]:
    """What is in an object, by name, or in a list, by position; in anything else is nothing."""
    if isinstance(found, dict):
        return list(cast("dict[str, Any]", found).items())
    items = cast("list[Any]", found) if isinstance(found, list) else []
    return [(str(n), inner) for n, inner in enumerate(items)]


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_named_so(name: str) -> bool:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    words = [word.lower() for word in _WORDS.findall(plain)]
    together = "".join(words)
    return (
        not _NAMES.isdisjoint((*words, together))
        or not _PAIRS_OF_WORDS.isdisjoint(itertools.pairwise(words))
        or any(part in plain.lower().replace(" ", "_") for part in _PARTS)
    )


def _looks_so(value: object) -> bool:
    if not isinstance(value, str):
        return False
    text = " ".join(value.split())
    return _WRITTEN.search(text) is not None or any(_is_position(*pair.groups()) for pair in _PAIR.finditer(text))


def _is_position(first: str, second: str) -> bool:
    """Whether two numbers can be a latitude and a longitude that are more than a guess: prices have two digits."""
    one, other = (abs(float(each.replace(",", "."))) for each in (first, second))
    digits = max(len(re.split("[.,]", each)[1]) for each in (first, second))
    return digits > 2 and min(one, other) <= _POLE and max(one, other) <= _MERIDIAN


def _is_exact(value: object) -> bool:
    if isinstance(value, float):
        return abs(value) <= _MERIDIAN and round(value, 2) != value
    return isinstance(value, str) and _FINE.fullmatch(value) is not None
