"""Messages over HTTP: registering them, and what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.admission.limits import BATCH_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.http.batch_results import Results, results_of
from service.http.injection import Injected
from service.messages import actions, trail
from service.messages.schemas import MessageBatch, MessageResult, message_result
from service.messages.trail_schemas import TrailResponse

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/messages",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def register_messages(
    data: JSONBody[MessageBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Results[MessageResult]:
    """Register up to 10,000 messages that you sent without a reward link. Errors are per item.

    What a provider then reports of such a message finds its campaign and its customer. Sending the same item again is answered
    the same, with status 200 instead of 201; another message under its id for the same customer is 409 `message_exists`.
    Messages for which links are minted need not be registered.
    """
    await count_items(request, principal, len(data))
    registered = await actions.register(services, principal, data, now=await services.clocks.now(principal.brand))
    return results_of(registered, message_result, request_id=request.scope["state"]["request_id"])


TrailCustomer = Annotated[
    str | None,
    QueryParameter(
        description="The customer, by your id or `cus_`. Required if the message is registered for several, or for none."
    ),
]
OfConversation = Annotated[
    str, QueryParameter(description="Your id of the conversation.", schema_extra={"examples": ["conversation-9"]})
]


@get(
    "/v1/messages/{message_id:str}/trail",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["links"],
    responses=problems("not_found", "customer_erased"),
)
async def get_message_trail(
    message_id: FromPath[str],
    principal: Injected[Principal],
    services: Injected[Services],
    customer: TrailCustomer = None,
) -> TrailResponse:
    """Get everything about a message to a customer: links, clicks, decisions with who reported them first, and postings."""
    return await trail.of_message(services, principal.brand, message_id, customer)


@get(
    "/v1/messages/trail",
    guards=[requires(Scope.GRANTS_READ)],
    tags=["links"],
    responses=problems("not_found", "customer_erased"),
)
async def get_conversation_trail(
    principal: Injected[Principal],
    services: Injected[Services],
    conversation: OfConversation,
    customer: TrailCustomer = None,
) -> TrailResponse:
    """Get the same about all messages of a conversation, on whatever channels: of the first 50."""
    return await trail.of_conversation(services, principal.brand, conversation, customer)


route_handlers: list[Any] = [register_messages, get_message_trail, get_conversation_trail]
