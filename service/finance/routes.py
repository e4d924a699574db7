"""Finance over HTTP: trial balance, account balances, the log, and cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get, post
from litestar.params import JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from ledger import Book, Transfer
from service.api_reference.document import problems
from service.auth import looks
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.customers.schemas import CustomerFilter
from service.finance import actions, lists, queries
from service.finance.lists import TransferQuery
from service.finance.schemas import (
    NAME_OR_SEQ,
    AccountBalance,
    BalancesResponse,
    CutRequest,
    CutResponse,
    TransferResponse,
    TransfersResponse,
    TrialBalanceResponse,
)
from service.http.filters import MetadataFilter, PrincipalFilter
from service.http.injection import Injected
from service.http.pagination import LIMIT_DEFAULT, AfterSeq, Limit, page

if TYPE_CHECKING:
    from service.services import Services

AtCut = Annotated[
    str | None,
    QueryParameter(pattern=NAME_OR_SEQ, description="A cut's name, or a `seq`. Without it: the book as it stands now."),
]

AsOfInstant = Annotated[
    str | None,
    QueryParameter(
        description="An instant (RFC 3339): the book with all that fell due by then, whenever it was posted. Instead of `cut`."
    ),
]


@get("/v1/ledger/trial-balance", guards=[requires(Scope.LEDGER_READ)], tags=["finance"], responses=problems("not_found"))
async def get_trial_balance(
    services: Injected[Services],
    principal: Injected[Principal],
    cut: AtCut = None,
    as_of: AsOfInstant = None,
) -> TrialBalanceResponse:
    """Get debits and credits by kind of account, at a cut or as of an instant. In a sound book they are equal."""
    book = principal.brand.book
    at = await queries.find_instant(services.ledger, book, cut, as_of)
    trial_balance = await services.ledger.trial_balance(book, at)
    return TrialBalanceResponse.of(trial_balance, at, await queries.campaign_ids(services.engine, book.brand_id))


AfterAccount = Annotated[
    str | None, QueryParameter(pattern="^[0-9a-f]{32}$(?!\\n)", description="The `next` of the page before.")
]


@get("/v1/ledger/balances", guards=[requires(Scope.LEDGER_READ)], tags=["finance"], responses=problems("not_found"))
async def list_balances(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterAccount = None,
    limit: Limit = LIMIT_DEFAULT,
    cut: AtCut = None,
    as_of: AsOfInstant = None,
) -> BalancesResponse:
    """List every account with its debits and credits, at a cut or as of an instant.

    To read several pages of one instant, send `as_of` with each, name a cut, or send the first page's `cut.seq` as `cut`.
    """
    book = principal.brand.book
    at = await queries.find_instant(services.ledger, book, cut, as_of)
    found = await services.ledger.account_balances(
        book, at, after=None if after is None else bytes.fromhex(after), limit=limit + 1
    )
    campaigns = await queries.campaign_ids(services.engine, book.brand_id)
    shown = page(found, limit=limit, cursor=lambda row: row[0].hex())
    items = [AccountBalance.of(*row, book, campaigns) for row in shown.items]
    looks.see(*(item.customer for item in items if item.customer is not None))
    return BalancesResponse(CutResponse.of(at), items, shown.next)


Verbs = Annotated[
    str | None, QueryParameter(description="Transfers of these types alone, separated by commas, such as `capture,refund`.")
]
OfCampaign = Annotated[str | None, QueryParameter(description="Transfers of this campaign alone.")]
OfClass = Annotated[
    str | None,
    QueryParameter(name="class", description="Points of this accounting class alone: `engagement`, `purchase`, `third_party`."),
]
OfChannel = Annotated[str | None, QueryParameter(description="Transfers of events on this channel alone.")]
OfAction = Annotated[str | None, QueryParameter(description="Transfers of events of this action alone.")]
OfGrade = Annotated[str | None, QueryParameter(pattern="^[ABCD]$", description="Transfers of events of this grade alone.")]
Since = Annotated[str | None, QueryParameter(name="from", description="The first accounting date to list.")]
OccurredSince = Annotated[
    str | None, QueryParameter(name="occurred_from", description="The first day on which what is listed occurred.")
]
OccurredUntil = Annotated[
    str | None, QueryParameter(name="occurred_to", description="The last day on which what is listed occurred.")
]
Until = Annotated[str | None, QueryParameter(name="to", description="The last accounting date to list.")]
OfRedemption = Annotated[str | None, QueryParameter(description="Transfers of this redemption (`red_`) alone.")]
OfOrder = Annotated[
    str | None, QueryParameter(description="Transfers of redemptions with this `order_ref` alone; of at most 100 of them.")
]
OfMessage = Annotated[str | None, QueryParameter(description="Transfers of events on this message alone.")]
AtStore = Annotated[
    str | None,
    QueryParameter(description="Transfers of redemptions at this store: where they captured or refunded, or else began."),
]
AtTerminal = Annotated[str | None, QueryParameter(description="The same for a terminal.")]


@get(
    "/v1/ledger/transfers",
    guards=[requires(Scope.LEDGER_READ)],
    tags=["finance"],
    responses=problems("not_found", "unknown_campaign", "filter_too_broad"),
)
async def list_transfers(
    services: Injected[Services],
    principal: Injected[Principal],
    after: AfterSeq = None,
    limit: Limit = LIMIT_DEFAULT,
    cut: AtCut = None,
    as_of: AsOfInstant = None,
    verb: Verbs = None,
    campaign: OfCampaign = None,
    account_class: OfClass = None,
    since: Since = None,
    until: Until = None,
    channel: OfChannel = None,
    action: OfAction = None,
    grade: OfGrade = None,
    occurred_since: OccurredSince = None,
    occurred_until: OccurredUntil = None,
    customer: CustomerFilter = None,
    redemption: OfRedemption = None,
    order_ref: OfOrder = None,
    message_id: OfMessage = None,
    of_principal: PrincipalFilter = None,
    metadata: MetadataFilter = None,
    store_id: AtStore = None,
    terminal_id: AtTerminal = None,
) -> TransfersResponse:
    """List the transfers of the log, oldest first. The log is append-only: a page never changes.

    As of an instant, what fell due by then and was posted later comes at the end. With filters, a page may hold fewer than
    `limit` items, or none, and still have a `next`: follow it until it is null. Message, key, metadata, store and terminal
    can be searched for a customer, a redemption or an order, or for at most 31 days: send one of these, or `from` and `to`.
    """
    book = principal.brand.book
    at = await queries.find_instant(services.ledger, book, cut, as_of)
    campaigns = await queries.campaign_ids(services.engine, book.brand_id)
    asked = TransferQuery(
        verb=verb,
        campaign=campaign,
        account_class=account_class,
        since=since,
        until=until,
        occurred_since=occurred_since,
        occurred_until=occurred_until,
        channel=channel,
        action=action,
        grade=grade,
        customer=customer,
        redemption=redemption,
        order_ref=order_ref,
        message_id=message_id,
        principal=of_principal,
        metadata=metadata,
        store_id=store_id,
        terminal_id=terminal_id,
    )
    wanted = await lists.transfer_filter(services, principal.brand, campaigns, asked)
    found, more = await lists.find_transfers(services.ledger, book, at, wanted, after=after or 0, limit=limit)
    items = await _shown(services, book, campaigns, found)
    return TransfersResponse(items, None if more is None else str(more), CutResponse.of(at))


async def _shown(
    services: Services, book: Book, campaigns: Mapping[int, str], found: Sequence[Transfer]
) -> list[TransferResponse]:
    corrections = await queries.corrections_of(services.engine, book.brand_id, found)
    items = [TransferResponse.of(transfer, book, campaigns, corrections) for transfer in found]
    looks.see(*(item.customer for item in items if item.customer is not None))
    return items


@post("/v1/cuts", guards=[requires(Scope.EXPORTS_WRITE)], tags=["finance"])
async def create_cut(
    data: JSONBody[CutRequest],
    services: Injected[Services],
    principal: Injected[Principal],
) -> Response[CutResponse]:
    """Name the book's current position. Sending the same name again answers 200 with the existing cut."""
    cut, made = await actions.take_cut(services.engine, services.ledger, principal, data.name)
    return Response(CutResponse.of(cut), status_code=HTTP_201_CREATED if made else HTTP_200_OK)


route_handlers: list[Any] = [get_trial_balance, list_balances, list_transfers, create_cut]
