"""Asking the DNS about names that others chose.

    Resolver.texts   the text records of a name
    Resolver.pin     the addresses of a host, each of them public, for a connection to be made to exactly those

Every question ends within ``LOOKUP_TIMEOUT_S``, asks for the name as it is (no search domains), follows at most ``ALIASES_MAX``
aliases and takes at most ``RECORDS_MAX`` records of at most ``BYTES_MAX`` bytes in all.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

import msgspec

from service.egress.addresses import Address, check
from service.egress.hosts import is_address, read_host

LOOKUP_TIMEOUT_S = 5.0
ATTEMPT_TIMEOUT_S = 2.0
"""How long one server is waited for before the next is asked, or the same again."""
ALIASES_MAX = 8
RECORDS_MAX = 64
BYTES_MAX = 8_192
DNS_PORT = 53


class ResolvingFailed(Exception):
    """The name could not be resolved; the message tells its owner why."""


class NotThere(ResolvingFailed):
    """The DNS was asked and says that there is no such record."""


class Pinned(msgspec.Struct, frozen=True):
    """A host whose addresses were checked: connect to one of these and to nothing that is resolved again."""

    name: str
    port: int | None
    addresses: tuple[Address, ...]


class Resolver:
    """Asks the servers that the operator named, or the system's."""

    def __init__(self, servers: str = "", *, timeout_s: float = LOOKUP_TIMEOUT_S) -> None:
        """``servers`` are addresses with a port if need be, separated by commas; empty means the system's."""
        self._servers = servers
        self._timeout_s = timeout_s
        self._questioner: Any = None

    async def texts(self, name: str) -> list[str]:
        """Return the text records of a name, each put together of its parts. Raises ``ResolvingFailed``."""
        records = await self._records(name, "TXT")
        # A text that is not ASCII is none that anybody was asked to publish.
        return [b"".join(record.strings).decode("ascii", "replace") for record in records]

    async def pin(self, host: str) -> Pinned:
        """Resolve a host for a connection, once. Raises ``ResolvingFailed``, ``HostRefused`` or ``AddressRefused``.

        One address that is not public refuses them all: who gives us such a one wants us to choose it.
        """
        name, port = read_host(host)
        if is_address(name):
            return Pinned(name, port, (check(name.strip("[]")),))
        found: list[str] = []
        for kind in "A", "AAAA":
            try:
                found += [str(record.address) for record in await self._records(name, kind)]
            except NotThere:
                continue
        if not found:
            raise NotThere("has no address")
        return Pinned(name, port, tuple(check(address) for address in found))

    async def _records(self, name: str, kind: str) -> Sequence[Any]:
        if self._questioner is None:
            questions = await asyncio.to_thread(importlib.import_module, "service.egress.questions")
            self._questioner = questions.Questioner(self._servers, timeout_s=self._timeout_s)
        return await self._questioner.records(name, kind)
