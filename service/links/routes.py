"""Links over HTTP: minting for the brand's systems, pages for her customers, keys for whoever checks a link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, asgi, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.params import JSONBody
from litestar.types import Receive, Send

from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.bodies import BATCH_BYTES_MAX
from service.links import actions, link_tokens, visits
from service.links.pages import Answer, respond_to_error
from service.links.schemas import LinkBatch, LinkResults


@post(
    "/v1/links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_links(
    data: JSONBody[LinkBatch], principal: NamedDependency[Principal], state: State, request: Request[Any, Any, Any]
) -> LinkResults:
    """Mint reward links.

    The same item again gives the same link, with status 200 instead of 201. What is wrong with one item concerns that item
    alone.
    """
    await count_items(request, principal, len(data))
    minted = await actions.mint(state, principal, await data.items(), now=await state.clocks.now(principal.brand))
    return LinkResults.of(minted, request_id=request.scope["state"]["request_id"])


@get("/.well-known/jwks.json", cache_control=None, tags=["links"])
async def list_link_keys(state: State) -> Response[dict[str, list[dict[str, str]]]]:
    """Give the public keys of links as a JSON Web Key Set.

    Retired keys, which no longer sign and are still honoured, are among them.
    """
    return Response(link_tokens.jwks(state.link_host.keys), headers={"Cache-Control": "public, max-age=300"})


@asgi("/r", is_mount=True, copy_scope=False, exception_handlers={Exception: respond_to_error})
async def pages(scope: Any, receive: Receive, send: Send) -> None:
    """The pages of links.

    They are sent without the framework's requests and responses, which would cost as much as all else but the signature. A
    mount, because it gives a plain ASGI route no parameters.
    """
    match [part for part in scope["path"].split("/") if part]:
        case ["done", receipt]:
            scope["path_template"] = "/r/done/{receipt}"
            await _send(scope, send, receipt, _VISITS_OF_A_RECEIPT)
        case [token]:
            scope["path_template"] = "/r/{token}"
            await _send(scope, send, token, _VISITS_OF_A_LINK)
        case _:
            raise NotFoundException


Visit = Callable[..., Awaitable[Answer]]

_VISITS_OF_A_LINK: Mapping[str, Visit] = {"GET": visits.look, "HEAD": visits.look, "POST": visits.claim}
_VISITS_OF_A_RECEIPT: Mapping[str, Visit] = {"GET": visits.review, "HEAD": visits.review}


async def _send(scope: Any, send: Send, subject: str, visits_by_method: Mapping[str, Visit]) -> None:
    visit = visits_by_method.get(scope["method"])
    if visit is not None:
        # Of several headers of one name the first counts.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        answer = await visit(scope["litestar_app"].state, subject, headers, now=datetime.now(UTC))
    else:
        allowed = ", ".join([*visits_by_method, "OPTIONS"])
        if scope["method"] != "OPTIONS":
            raise MethodNotAllowedException(headers={"allow": allowed})
        answer = Answer(204, "", {"Allow": allowed})
    body = answer.content.encode()
    sent = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    sent.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


route_handlers: list[Any] = [mint_links, list_link_keys, pages]
