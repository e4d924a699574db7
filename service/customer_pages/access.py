"""A customer's own pages: how a short-lived token opens one, and what is said where it does not.

    open_page      who is shown what, or ``NotShown``
    address_of     where such a page is, with a token of its own
    answered       what a route of such a page answers, also when it cannot
    mint           links to such pages, for messages and apps

A page is for a person; a program that asks for JSON gets the same as JSON, and a problem where a person gets a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.concurrency.fairness import in_chunks
from service.customer_pages.schemas import MintedPage, PageLinkRequest
from service.customers import actions as customers
from service.customers.queries import Customer
from service.evidence.bot_detection import is_pressed_on_our_page
from service.http.problems import Problem, invalid_field
from service.link_pages.handoffs import is_of_shop
from service.link_pages.lookup import within_timeout
from service.link_pages.pages import Answer, Page, page_of_error, respond
from service.links import revocation_subjects
from service.links.queries import is_any_revoked
from service.storage.database import is_away
from service.tokens.customer import LIFE_S, LIFE_S_MAX, CustomerTokenClaims, CustomerTokenKind, PageClosed, sign, verify
from service.tokens.link import LinkRefusal, trimmed

if TYPE_CHECKING:
    from service.services import Services

Headers = Mapping[str, str]


class OwnPage(msgspec.Struct, frozen=True):
    """Whose page it is. ``now`` is by the brand's clock; ``message_id`` is where its link is.

    ``made_by`` is the API key that made the link, ``may_write`` whether that may write on a customer's behalf. ``closes_in_s``
    is how long the link goes on opening the page, by the world's clock.
    """

    brand: Brand
    known: Customer
    now: datetime
    message_id: str = ""
    made_by: int | None = None
    may_write: bool = False
    closes_in_s: int = 0


class NotShown(Exception):
    """This page is not shown; ``page`` says why to the customer of ``brand``."""

    def __init__(self, page: Page, brand: Brand | None = None) -> None:
        super().__init__(page.value)
        self.page = page
        self.brand = brand


async def open_page(services: Services, token: str, kind: CustomerTokenKind, headers: Headers, *, now: datetime) -> OwnPage:
    """Whose page a token of ``kind`` opens."""
    try:
        claims = verify(
            trimmed(token),
            services.token_keys.links,
            kind=kind,
            hosts=services.link_hosts.addressable(headers),
            now=int(now.timestamp()),
        )
    except PageClosed as closed:
        if closed.refusal is not LinkRefusal.EXPIRED or closed.brand is None:
            raise NotShown(Page.NOT_FOUND) from None
        raise NotShown(Page.PAGE_EXPIRED, services.last_known.brand(closed.brand)) from None
    try:
        with within_timeout(services):
            brand: Brand | None = await services.brands.by_code(claims.brand)
            if brand is None or not services.link_hosts.is_at_home(brand, headers):
                raise NotShown(Page.NOT_FOUND)
            if kind is CustomerTokenKind.PREFERENCES and not claims.may_write:
                raise NotShown(Page.NOT_FOUND)
            subjects = revocation_subjects.of_made(made_by=claims.made_by, message_id=claims.message_id)
            if subjects and await is_any_revoked(services.pool, brand.brand_id, subjects):
                raise NotShown(Page.REVOKED, brand)
            known = await customers.find_number(services, brand, claims.customer)
            if known is None:
                raise NotShown(Page.NOT_FOUND)
            if known.erased:
                raise NotShown(Page.REVOKED, brand)
            clocks = services.clocks
            at = await clocks.at(brand, now)
            closes_in_s = max(0, claims.expires_at - int(now.timestamp()))
            return OwnPage(brand, known, at, claims.message_id, claims.made_by, claims.may_write, closes_in_s)
    except Exception as error:
        if not is_away(error):
            raise
        raise NotShown(Page.BUSY, services.last_known.brand(claims.brand)) from None


def require_page_of_the_brand(headers: Mapping[str, str], page: OwnPage) -> None:
    """Refuse a form sent by another site's page; our page, the shop's and clients that are no browsers may send it."""
    if not is_pressed_on_our_page(headers) and not is_of_shop(headers.get("origin", ""), page.brand):
        raise Problem("origin_not_allowed", "This page is not on one of the brand's destination hosts.")


def address_of(services: Services, page: OwnPage, kind: CustomerTokenKind, *, now: datetime, life_s: int | None = None) -> str:
    """Where the customer's page of ``kind`` is, on the host of the current request."""
    issued_at = int(now.timestamp())
    claims = CustomerTokenClaims(
        kind=kind,
        brand=page.brand.code,
        host=services.link_hosts.host_of(page.brand),
        customer=page.known.named,
        issued_at=issued_at,
        expires_at=issued_at + (life_s or LIFE_S[kind]),
        message_id=page.message_id,
        made_by=page.made_by,
        may_write=page.may_write,
    )
    suffix = ".png" if kind is CustomerTokenKind.LIVE_IMAGE else ""
    return f"{services.link_hosts.base_url_of(page.brand)}/{kind}/{sign(claims, services.token_keys.links)}{suffix}"


async def answered(
    request: Request[Any, Any, Any],
    show: Callable[[Headers, datetime], Awaitable[Answer | msgspec.Struct]],
    *,
    as_json: bool = False,
) -> Response[Any]:
    """What ``show`` makes of a request, as a page or as JSON; or why it makes nothing of it.

    ``as_json``: only programs make such a request.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        made = await show(headers, datetime.now(UTC))
    except NotShown as not_shown:
        if as_json or wants_json(headers):
            raise Problem(*_PROBLEMS[not_shown.page]) from None
        services = request.app.state.services
        brand = not_shown.brand or services.link_hosts.brand_at(headers)
        made = respond(not_shown.page, brand=brand, accept_language=headers.get("accept-language", ""))
    except Exception as error:
        if as_json or wants_json(headers) or isinstance(error, HTTPException):
            raise
        made = page_of_error(error)
    if not isinstance(made, Answer):
        return Response(made, headers={"Cache-Control": "no-store", "Vary": "Accept"})
    return sent(request, made)


def sent(request: Request[Any, Any, Any], page: Answer) -> Response[bytes]:
    """A page on its way, from an address where a program is answered something else."""
    return Response(
        b"" if request.method == "HEAD" else page.content.encode(),
        status_code=page.status_code,
        headers={**page.headers, "Vary": "Accept"},
    )


def wants_json(headers: Headers) -> bool:
    """Whether it is a program that asks."""
    accept = headers.get("accept", "")
    return "json" in accept and "html" not in accept


_NEEDED: Mapping[CustomerTokenKind, frozenset[Scope]] = {
    CustomerTokenKind.WALLET: frozenset({Scope.CUSTOMERS_READ}),
    CustomerTokenKind.LIVE_IMAGE: frozenset({Scope.CUSTOMERS_READ}),
    CustomerTokenKind.PREFERENCES: frozenset({Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE}),
}
"""What a page shows or takes down, the key that makes a link to it has to be allowed."""

_PROBLEMS: Mapping[Page, tuple[str, str]] = {
    Page.NOT_FOUND: ("not_found", "There is no such page."),
    Page.PAGE_EXPIRED: ("link_expired", "The page's link has expired."),
    Page.REVOKED: ("link_revoked", "The page's link was withdrawn."),
    Page.BUSY: ("database_unavailable", "The page could not be made; try again."),
}


async def mint(
    services: Services, principal: Principal, items: Sequence[PageLinkRequest | Problem], *, now: datetime
) -> list[MintedPage | Problem]:
    """Make a link to a page of a customer's own for each item, in order; what is wrong with one item is its own problem."""
    brand = principal.brand
    checked = [item if isinstance(item, Problem) else _checked(item, principal) for item in items]
    may_write = _NEEDED[CustomerTokenKind.PREFERENCES] <= principal.scopes
    # Such a link reads what the key may read, so it lives no longer than the key.
    key_life_s = None if principal.expires_at is None else int((principal.expires_at - now).total_seconds())
    refs = [item.customer for item in checked if isinstance(item, PageLinkRequest)]
    may_attach = Scope.CUSTOMERS_WRITE in principal.scopes
    people = iter(await customers.resolve(services, brand, refs, may_attach=may_attach) if refs else [])

    def made(item: PageLinkRequest | Problem) -> MintedPage | Problem:
        if isinstance(item, Problem):
            return item
        known = next(people)
        if isinstance(known, Problem):
            return known
        kind = CustomerTokenKind(item.kind)
        life_s = item.expires_in_s or LIFE_S[kind]
        life_s = life_s if key_life_s is None else max(1, min(life_s, key_life_s))
        page = OwnPage(brand, known, now, item.message_id or "", principal.api_key_id, may_write)
        url = address_of(services, page, kind, now=now, life_s=life_s)
        return MintedPage(url, datetime.fromtimestamp(int(now.timestamp()) + life_s, UTC))

    return await in_chunks(made, checked)


def _checked(item: PageLinkRequest, principal: Principal) -> PageLinkRequest | Problem:
    kind = CustomerTokenKind(item.kind)
    if missing := sorted(_NEEDED[kind] - principal.scopes):
        return Problem(
            "missing_scope", f"The link gives access to what the key may do, so the key also needs {' and '.join(missing)}."
        )
    if item.message_id is None and kind is CustomerTokenKind.LIVE_IMAGE:
        return invalid_field("/message_id", "is required: a live image belongs to a message")
    if item.expires_in_s is not None and item.expires_in_s > LIFE_S_MAX[kind]:
        return invalid_field("/expires_in_s", f"must be at most {LIFE_S_MAX[kind]}")
    return item
