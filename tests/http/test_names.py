"""From bytes to names: what is split, what is decoded, and what is no name."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.admission.limits import NAME_BYTES_MAX, PARAMETERS_MAX
from service.http.names import NotAName, pairs_of, refusal_of, segments_of
from tests.steps import steps


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_whatever_is_written_into_a_path_is_read_from_it(names: list[str]) -> None:
    assert segments_of("/".join(quote(name, safe="") for name in names).encode()) == names


SEGMENTS: list[tuple[bytes, list[str]]] = [
    (b"/v1/a", ["", "v1", "a"]),
    (b"/v1/%2Fa%2f", ["", "v1", "/a/"]),
    (b"/%252F/%25", ["", "%2F", "%"]),
    (b"/a+b/c%20d", ["", "a+b", "c d"]),
    (b"/./../%2E", ["", ".", "..", "."]),
    (b"/\xc3\xbc/%C3%BC/u%CC%88", ["", "ü", "ü", "u\u0308"]),
    (b"//a/", ["", "", "a", ""]),
]


@pytest.mark.parametrize(("path", "segments"), SEGMENTS)
def test_a_path_is_split_first_and_decoded_afterwards(path: bytes, segments: list[str]) -> None:
    assert segments_of(path) == segments


@pytest.mark.parametrize(
    "sent",
    [b"M%FCller", b"%ff", b"%C0%AF", b"%E0%80%AF", b"%ED%A0%80", b"%F4%90%80%80", b"\xff", b"%C3", b"%", b"50%", b"%zz", b"%2"],
)  # fmt: skip
def test_what_is_not_utf_8_or_not_escaped_is_no_name(sent: bytes) -> None:
    with pytest.raises(NotAName):
        segments_of(b"/v1/" + sent)
    with pytest.raises(NotAName):
        pairs_of(b"a=" + sent)
    with pytest.raises(NotAName):
        pairs_of(sent + b"=a")


PAIRS: list[tuple[bytes, list[tuple[str, str]]]] = [
    (b"", []),
    (b"&&", []),
    (b"a=1&b=&c&=d", [("a", "1"), ("b", ""), ("c", ""), ("", "d")]),
    (b"a=b+c%2Bd%3De=f", [("a", "b c+d=e=f")]),
    (b"n=M%C3%BCller&n=M\xc3\xbcller", [("n", "Müller"), ("n", "Müller")]),
]


@pytest.mark.parametrize(("query", "pairs"), PAIRS)
def test_a_query_is_names_and_values(query: bytes, pairs: list[tuple[str, str]]) -> None:
    assert pairs_of(query) == pairs


def test_a_query_has_so_many_parameters_and_no_more() -> None:
    assert len(pairs_of(b"&".join([b"a=1"] * PARAMETERS_MAX))) == PARAMETERS_MAX
    with pytest.raises(NotAName):
        pairs_of(b"&".join([b"a=1"] * (PARAMETERS_MAX + 1)))


REFUSED = [
    ("", "must not be empty"),
    ("a\nb", "must not contain control characters"),
    ("a\x9f", "must not contain control characters"),
    ("é" * (NAME_BYTES_MAX // 2 + 1), f"must be at most {NAME_BYTES_MAX} bytes of UTF-8"),
]


@pytest.mark.parametrize(("name", "detail"), REFUSED)
def test_what_a_brand_cannot_call_anything(name: str, detail: str) -> None:
    assert refusal_of(name) == detail


@pytest.mark.parametrize("name", ["/", "..", "%", "gid://shopify/Customer/1", "é" * (NAME_BYTES_MAX // 2), " ", "a b"])
def test_what_a_brand_can_call_something(name: str) -> None:
    assert refusal_of(name) is None


PARSERS: dict[str, Callable[[int], object]] = {
    "a path": lambda n: segments_of(b"/a%2F" * n),
    "one long part": lambda n: segments_of(b"/" + b"%2F" * n),
    "a query": lambda n: pairs_of(b"a=" + b"%2F" * n),
}


@pytest.mark.parametrize("parser", PARSERS)
def test_twice_the_address_is_at_most_twice_the_work(parser: str) -> None:
    assert steps(PARSERS[parser], 4_000) <= 2.1 * steps(PARSERS[parser], 2_000) + 100
