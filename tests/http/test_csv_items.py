"""A batch as CSV: each row is the JSON that it stands for; what is wrong with a row is that row's."""

from __future__ import annotations

import pytest

from service.http.csv_items import CsvItems, items_of_csv
from service.http.problems import Problem

COLUMNS = ("id", "customer.email", "points")


def items(raw: bytes, items_max: int = 10) -> CsvItems:
    return items_of_csv(raw, COLUMNS, {"points"}, items_max=items_max)


ROWS = {
    b"a,,1": b'{"id":"a","points":1}',
    b",ada@example.org,-20": b'{"customer":{"email":"ada@example.org"},"points":-20}',
    b"a": b'{"id":"a"}',
    b"1,,1": b'{"id":"1","points":1}',
    b'"a,""b""",,': b'{"id":"a,\\"b\\""}',
    b"a,,1.5": b'{"id":"a","points":"1.5"}',
    "a,,\u0661".encode(): '{"id":"a","points":"\u0661"}'.encode(),
    b"a,," + b"9" * 30: b'{"id":"a","points":"' + b"9" * 30 + b'"}',
    b"a,,1,x": b'{"id":"a","points":1,"cell 4":"x"}',
}


@pytest.mark.parametrize(("row", "item"), ROWS.items())
def test_a_row_is_the_json_that_it_stands_for(row: bytes, item: bytes) -> None:
    assert list(items(b"id,customer.email,points\n" + row)) == [item]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_end_as_any_program_ends_them_and_empty_ones_are_skipped(end: bytes) -> None:
    read = items(end.join([b"\xef\xbb\xbfpoints,id", b"1,a", b"", b",", b"2,b", b""]))
    assert (len(read), read[1], read[:1]) == (2, b'{"points":2,"id":"b"}', [b'{"points":1,"id":"a"}'])


def test_one_more_than_is_taken_is_read() -> None:
    assert len(items(b"id\n" + b"a\n" * 9, items_max=3)) == 4


WRONG = {
    b"id,name\n": ("invalid_field", "'name'"),
    b"id,id\n": ("invalid_field", "id twice"),
    b"id\n\xff": ("malformed_body", "UTF-8"),
    b'id\n"a\nb\n': ("malformed_body", "line 3"),
    b'id\n"a"b\n': ("malformed_body", "line 2"),
}


@pytest.mark.parametrize(("raw", "problem"), WRONG.items())
def test_what_is_no_csv_of_these_columns_is_refused(raw: bytes, problem: tuple[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        items(raw)
    assert refused.value.code == problem[0]
    assert problem[1] in refused.value.detail
