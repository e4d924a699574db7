"""What the cache of customers says is what it was told last; of what it was told it may forget some."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.customers import cache as cache_module
from service.customers.cache import CustomerCache
from service.customers.queries import Customer

AS_FAR_APART = 2**18
"""Two numbers that are so far apart have the same place."""


def plain(number: int, **known: Any) -> Customer:
    return Customer(number, known.pop("confirmed", False), (), number, **known)


def merged(number: int, into: int, *others: int) -> Customer:
    return Customer(into, True, tuple(sorted({number, *others} - {into})), number, generation=16)


def name(n: int, bucket: int = 0) -> bytes:
    return bucket.to_bytes(4, "big") + n.to_bytes(12, "big")


KINDS = [
    plain(7),
    plain(7, confirmed=True),
    plain(7, verified=True),
    plain(7, confirmed=True, verified=True),
    plain(2**61 + 3, confirmed=True),
    plain(7, refused=(("email", (5,)),)),
    merged(7, 9),
    Customer(7, True, (), 7, generation=17, past=(9,)),
]


@pytest.mark.parametrize("known", KINDS)
def test_a_customer_is_known_by_number_and_by_name(known: Customer) -> None:
    cache = CustomerCache()
    cache.keep_name(name(1), known.named)
    assert cache.by_name(name(1)) is None, "a name alone says nobody"
    cache.keep(known)
    assert cache.by_number(known.named) == known
    assert cache.by_name(name(1)) == known


@pytest.mark.parametrize("nobody", [0, 7, AS_FAR_APART])
def test_an_empty_cache_knows_nobody(nobody: int) -> None:
    cache = CustomerCache()
    assert cache.by_number(nobody) is None
    assert cache.by_name(bytes(16)) is None


def test_of_three_names_in_one_place_the_two_newest_are_known() -> None:
    cache = CustomerCache()
    for n in (1, 2, 2, 3):
        cache.keep_name(name(n), n)
        cache.keep(plain(n))
    assert [cache.by_name(name(n)) for n in (1, 2, 3)] == [None, plain(2), plain(3)]


def test_of_two_customers_in_one_place_the_newer_is_known() -> None:
    cache = CustomerCache()
    older, newer = plain(5, confirmed=True), plain(5 + AS_FAR_APART)
    for known in (older, newer):
        cache.keep_name(name(known.named), known.named)
        cache.keep(known)
    assert [cache.by_name(name(known.named)) for known in (older, newer)] == [None, newer]


@pytest.mark.parametrize("forgotten", [7, 8, 9])
def test_who_was_merged_is_forgotten_under_every_number(forgotten: int) -> None:
    cache = CustomerCache()
    for number in (7, 8, 9):
        cache.keep(merged(number, 9, 7, 8))
    cache.keep(plain(10))
    cache.forget([forgotten, 11])
    assert [cache.by_number(number) for number in (7, 8, 9, 10)] == [None, None, None, plain(10)]


@pytest.mark.parametrize("known", [merged(7, 9), plain(7, confirmed=True)])
def test_what_was_known_before_is_replaced(known: Customer) -> None:
    cache = CustomerCache()
    for before in KINDS:
        if before.named == known.named:
            cache.keep(before)
            cache.keep(known)
            assert cache.by_number(7) == known
    cache.forget([7])
    assert cache.by_number(7) is None


def test_all_are_forgotten() -> None:
    cache = CustomerCache()
    for known in (plain(7), merged(8, 9)):
        cache.keep_name(name(known.named), known.named)
        cache.keep(known)
    cache.forget_all()
    assert [cache.by_name(name(number)) for number in (7, 8)] == [None, None]


def test_of_those_there_is_more_to_know_of_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "OTHERS_MAX", 2)
    cache = CustomerCache()
    for number in (1, 2, 3):
        cache.keep(merged(number, 9))
    assert [cache.by_number(number) for number in (1, 2, 3)] == [None, merged(2, 9), merged(3, 9)]


_NUMBERS = st.sampled_from([1, 2, 1 + AS_FAR_APART, 2 + AS_FAR_APART])
_TOLD = st.builds(plain, _NUMBERS, confirmed=st.booleans(), generation=st.sampled_from([0, 16]))


@given(st.lists(_TOLD | _NUMBERS.map(lambda number: [number])))
def test_it_never_says_what_is_no_longer_so(told: list[Customer | list[int]]) -> None:
    cache, truth = CustomerCache(), dict[int, Customer]()
    for each in told:
        if isinstance(each, Customer):
            cache.keep_name(name(each.named), each.named)
            cache.keep(each)
            truth[each.named] = each
        else:
            cache.forget(each)
            truth.pop(each[0], None)
        for number in (1, 2, 1 + AS_FAR_APART, 2 + AS_FAR_APART):
            assert cache.by_number(number) in (None, truth.get(number))
            assert cache.by_name(name(number)) in (None, truth.get(number))
    if told and isinstance(told[-1], Customer):
        assert cache.by_name(name(told[-1].named)) == told[-1]
