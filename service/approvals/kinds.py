"""Kinds of request that can wait for approval.

A kind is declared by the capability whose request it is, and listed in ``service.services``:

    FUND = Kind("campaign.fund", FundRequest, execute=_fund)

    async def _fund(tools: Tools, maker: Principal, approved: Approved[FundRequest]) -> FundResponse: ...

Its route answers with ``within_limits`` (``actions``): at once, or with the approval that is waited for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import Ledger
from service.auth.principal import Principal
from service.http.idempotency import request_fingerprint
from service.http.problems import Problem
from service.settings import Settings

Body = TypeVar("Body", bound=msgspec.Struct)


class Tools(msgspec.Struct, frozen=True):
    """What an approved request is carried out with, in the API and in the worker: as the role of the application."""

    engine: AsyncEngine
    ledger: Ledger
    settings: Settings


class Approved(msgspec.Struct, Generic[Body], frozen=True):
    """A request that was approved, as it was made. ``key`` is the caller's Idempotency-Key, or one of the approval's own."""

    approval_no: int
    subject: str
    body: Body
    key: str


Execute = Callable[[Tools, Principal, Approved[Body]], Awaitable[msgspec.Struct]]


class Kind(msgspec.Struct, Generic[Body], frozen=True, kw_only=True):
    """What can wait for approval.

    ``execute`` carries the request out in the maker's name and returns what the maker is shown. It may be called again after a
    crash, and then does nothing twice: what posts does so under ``key``, what writes to tables of the service calls ``claim``
    (``actions``) in its transaction. It raises a ``Problem`` for what is refused for good.
    """

    name: str
    request: type[Body]
    execute: Execute[Body]
    counts_as: str = ""
    """The kind whose limits it has, if not its own: so nobody goes round a limit by asking in another way."""
    always: bool = False
    """Whether it waits whatever the limits are."""

    @property
    def limited_as(self) -> str:
        """Whose limits it has."""
        return self.counts_as or self.name


class Part(msgspec.Struct, frozen=True):
    """What of a request over many counts towards the limits of another kind, for one customer."""

    kind: str
    customer: int
    amount: int


class Wanted(msgspec.Struct, Generic[Body], frozen=True, kw_only=True):
    """A request that may have to wait.

    ``subject`` is what it is about, such as a campaign's id; ``amount`` what counts towards limits: 0 waits only if its kind
    always does; ``customer`` our number of the customer it is for. Without an Idempotency-Key (``key``) the request itself is
    its name: sent again it is the same. ``must_not_wait`` is raised instead of waiting, by a request that asks for other things
    as well; ``reused`` if its key was used with another request. ``parts`` are what a request over many is to each customer,
    once for each kind.
    """

    kind: Kind[Body]
    subject: str
    body: Body
    amount: int
    customer: int | None = None
    key: str = ""
    must_not_wait: Problem | None = None
    reused: Problem | None = None
    parts: Sequence[Part] = ()

    @property
    def kinds(self) -> list[str]:
        """The kinds whose limits it has."""
        return list(dict.fromkeys((self.kind.limited_as, *(part.kind for part in self.parts))))

    def counted(self, kind: str) -> tuple[int, Sequence[Part]]:
        """How much counts towards the limits of a kind, and what of it for whom."""
        if kind == self.kind.limited_as:
            return self.amount, () if self.customer is None else (Part(kind, self.customer, self.amount),)
        parts = [part for part in self.parts if part.kind == kind]
        return sum(part.amount for part in parts), parts

    @property
    def digest(self) -> bytes:
        """What an approval binds: kind, subject, amount, customer and the whole body."""
        return digest_of(self.kind.name, self.subject, self.amount, self.customer, self.body)


def digest_of(kind: str, subject: str, amount: int, customer: int | None, body: msgspec.Struct) -> bytes:
    """The SHA-256 of a request. Fields that have their defaults do not count, so later versions find the same."""
    return request_fingerprint("\0".join((kind, subject, str(amount), str(customer))), body)


AnyKind = Kind[Any]
