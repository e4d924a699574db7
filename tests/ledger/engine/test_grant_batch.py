"""A batch as arguments: what is kept of the terms of earlier batches is never another's."""

from __future__ import annotations

from collections.abc import Sequence

from ledger import Book, CapUse, GrantOrder
from ledger.engine.grant_batch import POST_GRANTS, GrantBatch
from ledger.testing import NOON, order, terms

BOOK = Book(brand_id=1, book_id=1)

MORE_THAN_ARE_KEPT = 300


def paid(batch: GrantBatch) -> list[int]:
    """The points of each item, by the number of its kind."""
    return [batch.kinds.all[kind.number - 1].terms.points for kind in batch.item_kinds]


def said_of_kinds(orders: Sequence[GrantOrder]) -> list[tuple[bytes, ...]]:
    """What a batch says of budgets, limits and kinds."""
    batch = GrantBatch(orders)
    names = [name for name, _ in POST_GRANTS.parameters[1:]]
    values = dict(zip(names, POST_GRANTS.collect(batch), strict=True))
    return [tuple(values[name] for name in names if name.startswith(table)) for table in ("p_budget", "p_limit", "p_kind_")]


def test_terms_that_are_gone_leave_nothing_to_those_that_get_their_place_in_memory() -> None:
    for points in range(1, MORE_THAN_ARE_KEPT):
        alone = order(BOOK).on(points=points)
        assert paid(GrantBatch([alone])) == [points]


def test_the_same_terms_in_another_order_of_arrival_are_still_each_items_own() -> None:
    first, second = order(BOOK).on(points=1), order(BOOK, message_id="message-2").on(points=2, campaign_no=2)
    assert paid(GrantBatch([first, second])) == [1, 2]
    assert paid(GrantBatch([second, first, second])) == [2, 1, 2]


def test_what_is_kept_is_what_a_new_batch_says() -> None:
    capped = terms(BOOK, caps=(CapUse(0, NOON.date(), max_grants=3), CapUse(1, NOON.date(), max_points=9, shared=True)))
    again = order(BOOK).on(caps=capped.caps)
    same = order(BOOK).on(caps=capped.caps)
    assert again.terms is not same.terms
    assert said_of_kinds([again]) == said_of_kinds([again]) == said_of_kinds([same])
