"""Ids of accounts as Arrow's columns: whose they are, and what they are called.

An id is read as two numbers of eight bytes. The first has the owner's tag and most of the owner's number; the second has the
rest of it, and kind, class and last day. Of these a page has few different ones: each is described once, by `account_names`.
"""

# Arrow comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ledger import AccountName, OwnerTag, describe_account
from service.exports.account_names import class_of, kind_name, last_day_of
from service.exports.arrow import columns
from service.exports.arrow.columns import Column

_ID_BYTES = 16
_TAG_BITS = 56
_SORT_BITS = 40
_SORT_BYTES = _SORT_BITS // 8
_SORT = 2**_SORT_BITS - 1
_NUMBER_BITS = 24
"""How much of the owner's number is in the second half."""
_NUMBER = 2**_NUMBER_BITS - 1
_SAMPLE = 1_000
_REPEATED = 4
"""So many times each is named on average, and it pays to find those that are different."""


def names(raw: bytes, campaigns: Mapping[int, str]) -> Column:
    """What accounts of 16 bytes are called. ``campaigns`` are the campaigns' names."""
    ids = pa.Array.from_buffers(pa.binary(_ID_BYTES), len(raw) // _ID_BYTES, [None, pa.py_buffer(raw)])
    sample = ids.slice(0, _SAMPLE)
    if _REPEATED * len(pc.unique(sample)) > len(sample):
        return AccountIds(raw, campaigns).names()
    encoded = pc.dictionary_encode(ids)
    different = bytes(encoded.dictionary.buffers()[1])[: _ID_BYTES * len(encoded.dictionary)]
    return pc.take(AccountIds(different, campaigns).names(), encoded.indices)


class AccountIds:
    """Accounts of 16 bytes, taken apart."""

    def __init__(self, raw: bytes, campaigns: Mapping[int, str]) -> None:
        first, second = columns.halves(raw)
        self._campaigns = campaigns
        self._tags = pc.shift_right(first, _TAG_BITS)
        self._numbers = pc.bit_wise_or(
            pc.shift_left(pc.bit_wise_and(first, _SORT), _NUMBER_BITS),
            pc.bit_wise_and(pc.shift_right(second, _SORT_BITS), _NUMBER),
        )
        sorts = pc.dictionary_encode(pc.bit_wise_or(pc.shift_left(self._tags, _SORT_BITS), pc.bit_wise_and(second, _SORT)))
        self._sorts = [_described(sort) for sort in sorts.dictionary.to_pylist()]
        self._sort_of_each = sorts.indices

    def names(self) -> Column:
        """What the accounts are called."""
        return pc.binary_join_element_wise(self._told(_before_owner), self._owners(), self._told(_after_owner), "")

    def kinds(self) -> Column:
        """Their kinds."""
        return self._told(lambda name: kind_name(name.kind))

    def classes(self) -> Column:
        """Their classes, or none."""
        return self._told(class_of)

    def last_days(self) -> Column:
        """Their last days as texts, or none."""
        return self._told(last_day_of)

    def numbers_of(self, tag: OwnerTag) -> Column:
        """The numbers of owners of one sort."""
        return pc.if_else(pc.equal(self._tags, int(tag)), self._numbers, pa.scalar(None, pa.int64()))

    def _owners(self) -> Column:
        """Whose accounts they are, as names say it; nothing for the house."""
        owners, tags = self._numbers.cast(pa.string()), {name.owner for name in self._sorts}
        if OwnerTag.HOUSE in tags:
            owners = pc.if_else(pc.equal(self._tags, int(OwnerTag.HOUSE)), "", owners)
        if OwnerTag.CAMPAIGN in tags:
            owners = pc.coalesce(columns.campaigns(self.numbers_of(OwnerTag.CAMPAIGN), self._campaigns), owners)
        return owners

    def _told(self, tell: Callable[[AccountName], str | None]) -> Column:
        return pc.take(pa.array([tell(name) for name in self._sorts], pa.string()), self._sort_of_each)


def _described(sort: int) -> AccountName:
    tag, rest = divmod(sort, _SORT + 1)
    return describe_account(bytes((tag,)) + bytes(_ID_BYTES - 1 - _SORT_BYTES) + rest.to_bytes(_SORT_BYTES, "big"))


def _before_owner(name: AccountName) -> str:
    return kind_name(name.kind) + ("" if name.owner is OwnerTag.HOUSE else ":")


def _after_owner(name: AccountName) -> str:
    return "".join(f":{part}" for part in (class_of(name), last_day_of(name)) if part is not None)
