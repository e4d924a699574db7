"""Links over HTTP: minting for the brand's systems, pages for her customers, keys for whoever checks a link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.params import JSONBody
from litestar.types import ASGIApp, Receive, Send

from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.bodies import BATCH_BYTES_MAX
from service.links import actions, link_tokens, visits
from service.links.codes import normal_code
from service.links.pages import Answer, page_of_error
from service.links.schemas import LinkBatch, LinkResults
from service.problems import Problem, send_problem


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


route_handlers: list[Any] = [mint_links, list_link_keys]


Visit = Callable[..., Awaitable[Answer]]

_VISITS_OF_A_LINK: Mapping[str, Visit] = {"GET": visits.look, "HEAD": visits.look, "POST": visits.claim}
_VISITS_OF_A_RECEIPT: Mapping[str, Visit] = {"GET": visits.review, "HEAD": visits.review}


def link_pages(state: State, general: ASGIApp) -> ASGIApp:
    """Put the pages of links in front of ``general``, the whole application, whose ``state`` they share.

    They are pages for people and no part of the API that is described. The framework's routing, requests and responses would
    cost a claim as much as all else but its signature.
    """

    async def served(scope: Any, receive: Receive, send: Send) -> None:
        parts = [part for part in scope["path"].split("/") if part] if scope["type"] == "http" else []
        match parts:
            case ["r", "done", receipt]:
                scope["path_template"] = "/r/done/{receipt}"
                await _serve(state, scope, send, receipt, _VISITS_OF_A_RECEIPT)
            case [code] if normal_code(code) is not None:
                scope["path_template"] = "/{code}"
                await _serve(state, scope, send, code, _VISITS_OF_A_LINK)
            case ["r", token]:
                scope["path_template"] = "/r/{token}"
                await _serve(state, scope, send, token, _VISITS_OF_A_LINK)
            case _:
                await general(scope, receive, send)

    return served


async def _serve(state: State, scope: Any, send: Send, subject: str, visits_by_method: Mapping[str, Visit]) -> None:
    visit = visits_by_method.get(scope["method"])
    try:
        if visit is not None:
            # Of several headers of one name the first counts.
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
            answer = await visit(state, subject, headers, now=datetime.now(UTC))
        else:
            answer = _say_what_is_taken(scope["method"], ", ".join([*visits_by_method, "OPTIONS"]))
    except (Problem, HTTPException) as error:
        await send_problem(scope, send, error)
        return
    except Exception as error:
        answer = page_of_error(error)
    body = answer.content.encode()
    sent = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    sent.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


def _say_what_is_taken(method: str, allowed: str) -> Answer:
    if method != "OPTIONS":
        raise MethodNotAllowedException(headers={"allow": allowed})
    return Answer(204, "", {"Allow": allowed})
