"""A place has a name; whatever could be coordinates is none, in whatever notation, language or depth."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers.places import coordinates_in, exact_in, is_place

LATITUDES = st.floats(-90, 90, allow_nan=False)
LONGITUDES = st.floats(-180, 180, allow_nan=False)
NOTATIONS = [
    "{0:.5f},{1:.5f}", "{0:.6f} {1:.6f}", "({0:.4f}; {1:.4f})", "lat={0:.5f}&lon={1:.5f}", "lat: {0:.4f}, lng: {1:.4f}",
    "https://maps.example/@{0:.7f},{1:.7f},17z", "geo:{0:.3f},{1:.3f};u=35", "POINT({1:.5f} {0:.5f})",
    "POINT Z (  {1:.5f} {0:.5f} 3)", "SRID=4326;POLYGON(({1:.4f} {0:.4f}, 1 1))",
    '{{"type":"Point","coordinates":[{1:.5f},{0:.5f}]}}', "{0:.5f}°N, {1:.5f}°E", "we met at {0:.5f} / {1:.5f} today",
]  # fmt: skip
WRITTEN = [
    "52.52,13.405", "52,520008; 13,404954", "52°31'12\"N 13°24'18\"E", "9F4MGCC4+2V", "Ku'damm, 9f4mgcc4+2v",
    "///filled.count.soap", "999.123 52.520008 13.404954",
]  # fmt: skip
HARMLESS = [
    "19.99, 5.00", "12.5/3.25", "1.0.3",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.6099.129 Safari/537.36", "2026-11-30T12:00:00.123456Z",
    "https://www.shop.example/a.b.c", "1.234,567", "203.0.113.9", "21° and sunny", "point (see 3)", "", "+49 30 901820",
    "order-77812", "a+b", "3f8c1a9e-1111-4222-8333-444455556666",
]  # fmt: skip
NAMES = [
    "lat", "lng", "lon", "geoLat", "user.longitude", "deviceLatitudeE7", "LONGITUDE", "Breitengrad", "Längengrad",
    "Laengengrad", "coördinaten", "lengtegraad", "plusCode", "plus_code", "geo hash", "GPS", "LatLng", "lat_long", "l_a_t",
    "coordonnées", "latitudine", "coordenadas", "خط العرض", "إحداثيات", "широта", "经度",
]  # fmt: skip
OTHER_NAMES = [
    "flat",
    "platform",
    "long",
    "coordinator",
    "latency",
    "relation",
    "balloon",
    "late",
    "plus",
    "geography",
    "place_id",
]
PLACES = ["berlin-mitte", "store-117", "store_117_north", "terminal-a", "zz", "a" * 64]
NO_PLACES = [
    "", "a", "a" * 65, "Berlin", "köln", "berlin-mitte\n", " berlin", "berlin mitte", "52.52,13.405", "u33dc0cppj7d",
    "9f4mgcc4+2v", "store-52-13", "n52", "n52-e13", "store-12345", "8a1fb46622dffff", "33uuu89781988", "filled.count.soap",
    "berlin--mitte", "-a", "a-", "٣-a", "a-٣", "berlin/52", "3f8c1a9e-1111-4222-8333-444455556666",
]  # fmt: skip


@pytest.mark.parametrize("text", PLACES)
def test_a_place_is_a_name(text: str) -> None:
    assert is_place(text)


@pytest.mark.parametrize("text", [*NO_PLACES, *WRITTEN])
def test_what_could_be_coordinates_is_no_place(text: str) -> None:
    assert not is_place(text)


@given(LATITUDES, LONGITUDES, st.sampled_from(NOTATIONS))
def test_no_notation_of_a_position_is_a_place_or_passes_as_something_else(north: float, east: float, notation: str) -> None:
    written = notation.format(north, east)
    assert not is_place(written)
    assert coordinates_in({"note": written}) == "note"
    assert exact_in({"a": [{"b": written}]}) == "a.0.b"
    assert exact_in({written: 1}) == ""


@given(st.text())
def test_no_text_with_two_numbers_or_a_word_of_letters_and_digits_is_a_place(text: str) -> None:
    if is_place(text):
        words = text.replace("_", "-").split("-")
        assert all(word.isalpha() or word.isdecimal() for word in words)
        assert sum(word.isdecimal() for word in words) <= 1
        assert text.isascii()


@pytest.mark.parametrize("text", WRITTEN)
def test_notations_that_people_use_are_recognised(text: str) -> None:
    assert coordinates_in({"fine": 1, "note": text, "more": 2}) == "note"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_position_is_none(text: str) -> None:
    assert coordinates_in({"note": text}) is None


@pytest.mark.parametrize("name", NAMES)
def test_names_of_coordinates_are_recognised_whatever_they_hold(name: str) -> None:
    for value in (52.5, 52, "52", "far north", None):
        assert coordinates_in({name: value}) == name
        assert exact_in({"data": [0, {name: value}]}) == f"data.1.{name}"


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names_are_not(name: str) -> None:
    assert coordinates_in({name: 52}) is None


@given(LATITUDES.filter(lambda value: round(value, 2) != value))
def test_where_a_place_is_told_a_lone_fine_number_is_too_much(north: float) -> None:
    assert exact_in({"x": {"y": [north]}}) == "x.y.0"
    assert exact_in({"x": f"{north:.5f}"}) == "x"


DEEP: Any = functools.reduce(lambda inner, _: [inner], range(100_000), 1)
LARGE = [
    {str(n): "1.234 " * 10 for n in range(50_000)},
    {"x": "1.23" + " " * 1_000_000},
    {"x": "1.23 " * 1_000_000},
    {"x": "POINT" * 500_000},
    {"x" * 1_000_000: 1},
    DEEP,
]


@pytest.mark.parametrize("document", LARGE, ids=range(len(LARGE)))
def test_nothing_large_or_deep_takes_long_or_passes(document: Any) -> None:
    started = time.process_time()
    assert exact_in(document) is not None
    assert time.process_time() - started < 1


@given(st.text(alphabet="1.,° \tNS'lat=&:POINT(", max_size=2_000))
def test_no_metadata_takes_long(text: str) -> None:
    started = time.process_time()
    coordinates_in({"note": text * (2_000 // max(1, len(text)))})
    assert time.process_time() - started < 0.2
