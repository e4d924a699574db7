"""What is in a wallet, in three statements: the customer, the balance and a page of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.brands.brand import Brand
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef, StatementEntry
from service.http.pagination import Page, page
from service.wallet.schemas import WalletRequest, WalletResponse

if TYPE_CHECKING:
    from service.services import Services

HISTORY_LINES = 20


async def wallet_of(services: Services, brand: Brand, own_id: str, *, after: int | None) -> WalletResponse:
    """The wallet of a brand's own customer."""
    return await _wallet_of(
        services, brand, await customers.find(services, brand, CustomerRef(id=own_id), now=True), after=after
    )


async def wallet_by_name(services: Services, brand: Brand, wanted: WalletRequest) -> WalletResponse:
    """The wallet of the customer named in a body."""
    known = await customers.find(services, brand, wanted.customer, now=True, at="/customer")
    return await _wallet_of(services, brand, known, after=None if wanted.after is None else int(wanted.after))


async def _wallet_of(services: Services, brand: Brand, known: Customer | None, *, after: int | None) -> WalletResponse:
    if known is None:
        return WalletResponse.of(brand, None, None, Page(items=[], next=None))
    return await wallet(services, brand, known, after=after)


async def wallet(services: Services, brand: Brand, known: Customer, *, after: int | None) -> WalletResponse:
    """The wallet of a customer; ``after`` is the ``next`` of the previous page of the history."""
    ledger = services.ledger
    known, has = await customers.look(services, brand, known)
    entries = await ledger.statement(brand.book, known.customer, before=after, limit=HISTORY_LINES + 1)
    shown = [StatementEntry.of(entry, brand.book.book_id) for entry in entries]
    return WalletResponse.of(brand, known.customer, has, page(shown, limit=HISTORY_LINES, cursor=lambda entry: entry.seq))
