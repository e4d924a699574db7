"""A customer's balance and statement without the framework, which would cost more than the answer: apps ask for them often.

Only the plain request is taken here: without a body and without a query, for an id that needs no decoding. Any other goes to
the framework's routes, ``routes.get_balance`` and ``routes.get_statement``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.auth.fast_path import fast_path
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers import balances
from service.http.fast_path import FastAnswer, PlainRequest

if TYPE_CHECKING:
    from service.services import Services

_PLAIN_ID = "[0-9A-Za-z._~@+-]{1,256}"


@fast_path(Scope.CUSTOMERS_READ, value=_PLAIN_ID)
async def balance(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer:
    """Show what a customer can spend, and what is held."""
    return FastAnswer(200, await balances.balance(services, principal.brand, request.value))


@fast_path(Scope.CUSTOMERS_READ, value=_PLAIN_ID)
async def statement(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer:
    """Show the newest lines of a customer's statement."""
    return FastAnswer(200, await balances.statement(services, principal.brand, request.value))
