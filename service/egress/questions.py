"""How questions go to the DNS: what `resolving` needs of the library, whose six megabytes a process takes only when it asks.

Questioner.records   the records of a name, of a type
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Literal

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from service.egress.hosts import read_host
from service.egress.resolving import ALIASES_MAX, ATTEMPT_TIMEOUT_S, BYTES_MAX, DNS_PORT, RECORDS_MAX, NotThere, ResolvingFailed

Kind = Literal["TXT", "A", "AAAA"]


class Questioner:
    """Asks the servers that the operator named, or the system's."""

    def __init__(self, servers: str, *, timeout_s: float) -> None:
        self._servers = servers
        self._timeout_s = timeout_s
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def records(self, name: str, kind: Kind) -> Sequence[Any]:
        """Return the records of a name. Raises ``ResolvingFailed``."""
        try:
            absolute = dns.name.from_text(name, origin=dns.name.root)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._opened().resolve(
                    absolute, dns.rdatatype.from_text(kind), search=False, lifetime=self._timeout_s
                )
            aliases = len(answer.chaining_result.cnames)
            records: list[Any] = list(answer.rrset or ())
        except (dns.exception.Timeout, TimeoutError):
            raise ResolvingFailed("the DNS did not answer in time") from None
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise NotThere("there is no such record") from None
        except dns.message.ChainTooLong:
            raise ResolvingFailed("the name leads through too many aliases") from None
        except dns.resolver.NoNameservers:
            raise ResolvingFailed("the DNS answered with an error") from None
        except dns.resolver.NoResolverConfiguration:
            raise ResolvingFailed("no DNS server is set up here") from None
        except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
            raise ResolvingFailed(f"the DNS could not be asked ({type(error).__name__})") from None
        if aliases > ALIASES_MAX:
            raise ResolvingFailed("the name leads through too many aliases")
        if len(records) > RECORDS_MAX or sum(len(record.to_wire() or b"") for record in records) > BYTES_MAX:
            raise ResolvingFailed("the answer is larger than is taken")
        return records

    def _opened(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                resolver.nameservers = [*servers_of(self._servers)]
            resolver.search = []
            resolver.timeout = ATTEMPT_TIMEOUT_S
            resolver.cache = None
            self._resolver = resolver
        return self._resolver


def servers_of(written: str) -> list[dns.nameserver.Do53Nameserver]:
    """The servers that the operator names, as in ``192.0.2.1,[2001:db8::1]:5353``."""
    hosts = [read_host(text.strip()) for text in written.split(",") if text.strip()]
    return [dns.nameserver.Do53Nameserver(str(ip_address(name.strip("[]"))), port or DNS_PORT) for name, port in hosts]
