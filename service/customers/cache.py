"""Who was looked up lately: 260,000 names and as many customers in 8 MB.

A process that pays most of a brand's customers meets them again after as many others, and each it no longer knows costs a
round trip. So few bytes are spent on one: nearly everybody was never merged and has refused nothing, and of them there is no
more to know than a number and two bits. They lie in tables of fixed size, where a name's hash and a customer's number say. What
comes to a full place takes that of the one who came before. The others are kept as they are, each some 200 bytes.
"""

from __future__ import annotations

import struct
from array import array
from collections import OrderedDict
from collections.abc import Iterable

from service.customers.queries import Customer

_CUSTOMERS = 2**18
_BUCKETS = 2**17
"""Of names; each has room for two."""
OTHERS_MAX = 20_000
"""How many of those are kept who were merged or refused something."""

_CONFIRMED, _VERIFIED = 1, 2
_bucket = struct.Struct("16sQ16sQ")


class CustomerCache:
    """Customers by name and by number. It never knows all of them, and may be behind."""

    def __init__(self) -> None:
        self._names = bytearray(_BUCKETS * _bucket.size)
        self._plain = array("Q", bytes(8 * _CUSTOMERS))
        self._others: OrderedDict[int, Customer] = OrderedDict()

    def by_name(self, mac: bytes) -> Customer | None:
        """The customer whose name is stored as ``mac``."""
        newer, its_number, older, other_number = _bucket.unpack_from(self._names, _place(mac))
        if newer == mac:
            return self.by_number(its_number)
        return self.by_number(other_number) if older == mac else None

    def by_number(self, number: int) -> Customer | None:
        """The customer that a number belongs to."""
        kept = self._plain[number % _CUSTOMERS]
        if kept and kept >> 2 == number:
            return Customer(number, bool(kept & _CONFIRMED), (), number, verified=bool(kept & _VERIFIED))
        return self._others.get(number)

    def keep_name(self, mac: bytes, number: int) -> None:
        """Remember a name's number, which never changes."""
        place = _place(mac)
        newer, its_number, *_ = _bucket.unpack_from(self._names, place)
        if newer != mac:
            _bucket.pack_into(self._names, place, mac, number, newer, its_number)

    def keep(self, known: Customer) -> None:
        """Remember a customer under the number that they were looked up by."""
        self._drop(known.named)
        if known.erased:
            return
        if known.generation or known.refused:
            self._others[known.named] = known
            if len(self._others) > OTHERS_MAX:
                self._others.popitem(last=False)
        else:
            bits = known.confirmed * _CONFIRMED + known.verified * _VERIFIED
            self._plain[known.named % _CUSTOMERS] = known.named << 2 | bits

    def forget(self, numbers: Iterable[int]) -> None:
        """Forget the customers who are remembered under these numbers, under all that lead to them."""
        for number in numbers:
            known = self.by_number(number)
            if known is not None:
                for each in (number, known.customer, *known.former):
                    self._drop(each)

    def forget_all(self) -> None:
        """Forget all customers. Their names need not be: a name's number never changes."""
        self._plain = array("Q", bytes(8 * _CUSTOMERS))
        self._others.clear()

    def _drop(self, number: int) -> None:
        place = number % _CUSTOMERS
        if self._plain[place] >> 2 == number:
            self._plain[place] = 0
        self._others.pop(number, None)


def _place(mac: bytes) -> int:
    return int.from_bytes(mac[:4], "big") % _BUCKETS * _bucket.size
