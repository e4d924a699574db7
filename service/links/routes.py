"""Links over HTTP: minting, pages, claims, and the public keys that check a link."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.params import JSONBody, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND
from litestar.types import ASGIApp, Receive, Send

from service.admission.limits import BATCH_BYTES_MAX, FORM_BYTES_MAX
from service.api_reference.document import problems
from service.auth.guards import count_items, requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.code_batches import claims as code_claims
from service.code_batches import qr_codes
from service.customer_pages import access as own_pages
from service.customer_pages import live_images
from service.evidence import report as evidence_report
from service.evidence.report import EvidenceResponse
from service.grants.schemas import GrantAnswer
from service.http.bodies import decode_struct
from service.http.fast_path import read_body
from service.http.idempotency import REPLAYED
from service.http.injection import Injected
from service.http.problems import Problem, problem_of, send_problem
from service.http.request_target import API, refuse_parameters
from service.link_pages import app_links, handoffs, visits
from service.link_pages.lookup import Visitor
from service.link_pages.pages import Answer, Page, page_of_error, respond
from service.links import mint as actions
from service.links.schemas import ClaimConfirmation, LinkBatch, LinkResults, PageLinkBatch, PageLinkResults, ScriptAnswer
from service.observability import log
from service.tokens import link as link_tokens
from service.tokens.code import code_in

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_links(
    data: JSONBody[LinkBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> LinkResults:
    """Mint up to 10,000 reward links. Errors are per item.

    Sending the same item again returns the same link, with status 200 instead of 201.
    """
    await count_items(request, principal, len(data))
    minted = await actions.mint(services, principal, data, now=await services.clocks.now(principal.brand))
    return LinkResults.of(minted, request_id=request.scope["state"]["request_id"])


@post(
    "/v1/claims",
    guards=[requires(Scope.GRANTS_WRITE)],
    request_max_body_size=FORM_BYTES_MAX,
    tags=["links"],
    responses=problems("not_found", "claim_expired", "link_revoked", "claim_too_early", "overloaded", "database_unavailable"),
)
async def confirm_claim(
    data: JSONBody[ClaimConfirmation],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> Response[GrantAnswer]:
    """Confirm that a person arrived in the shop through a handoff link. The claim is paid once.

    Call it once you know a person is there: they signed in, or put something into the basket. A script on one of the brand's
    destination hosts calls the same path without an API key.
    """
    answer = await handoffs.confirm(
        services,
        data,
        principal=principal,
        origin=None,
        headers=request.headers,
        address="",
        now=datetime.now(UTC),
    )
    return Response(answer, status_code=answer.status, headers={REPLAYED: "true"} if answer.replayed else {})


Days = Annotated[int, QueryParameter(ge=1, le=366, description="The number of days to count, including today (UTC).")]


@get("/v1/links/evidence", guards=[requires(Scope.CAMPAIGNS_READ)], tags=["links"])
async def report_evidence(principal: Injected[Principal], services: Injected[Services], days: Days = 30) -> EvidenceResponse:
    """Report who followed the brand's links: how many were people, and what was not paid to machines."""
    return await evidence_report.report(services, principal.brand, days=days, now=datetime.now(UTC))


@get("/.well-known/jwks.json", cache_control=None, tags=["links"])
async def list_link_keys(services: Injected[Services]) -> Response[dict[str, list[dict[str, str]]]]:
    """Get the public keys of links as a JSON Web Key Set.

    It includes retired keys, which no longer sign but are still honoured.
    """
    return Response(link_tokens.jwks(services.link_host.keys), headers={"Cache-Control": "public, max-age=300"})


@post(
    "/v1/page-links",
    guards=[requires(Scope.LINKS_WRITE)],
    status_code=200,
    request_max_body_size=BATCH_BYTES_MAX,
    tags=["links"],
)
async def mint_page_links(
    data: JSONBody[PageLinkBatch],
    principal: Injected[Principal],
    services: Injected[Services],
    request: Request[Any, Any, Any],
) -> PageLinkResults:
    """Create links to customers' own pages: a wallet (15 minutes) or preferences (30 days). Errors are per item.

    Anyone who has such a link can open the page. A wallet, and a live picture (which shows a balance in a message), need
    `customers:read` too.
    """
    await count_items(request, principal, len(data))
    minted = await own_pages.mint(services, principal, await data.items(), now=datetime.now(UTC))
    return PageLinkResults.of(minted, request_id=request.scope["state"]["request_id"])


route_handlers: list[Any] = [mint_links, mint_page_links, confirm_claim, report_evidence, list_link_keys]


Visit = Callable[["Services", str, Visitor], Awaitable[Answer]]

_VISITS_OF_A_LINK: Mapping[str, Visit] = {"GET": visits.look, "HEAD": visits.look, "POST": visits.claim}
_VISITS_OF_A_PICTURE: Mapping[str, Visit] = {"GET": visits.show, "HEAD": visits.show}
_VISITS_OF_A_LIVE_PICTURE: Mapping[str, Visit] = {"GET": live_images.show, "HEAD": live_images.show}
_VISITS_OF_A_QR_CODE: Mapping[str, Visit] = {"GET": qr_codes.draw, "HEAD": qr_codes.draw}
_VISITS_OF_AN_ASSOCIATION: Mapping[str, Visit] = {"GET": app_links.associate, "HEAD": app_links.associate}
_VISITS_OF_A_RECEIPT: Mapping[str, Visit] = {"GET": visits.review, "HEAD": visits.review}


def link_pages(services: Services, general: ASGIApp) -> ASGIApp:
    """Put the pages of links in front of ``general``, the whole application, whose ``state`` they share.

    They are pages for people and no part of the API that is described. The framework's routing, requests and responses would
    cost a claim as much as all else but its signature.
    """

    async def served(scope: Any, receive: Receive, send: Send) -> None:
        parts = _parts_of(scope["path"]) if scope["type"] == "http" else []
        # A QR code may be in capitals throughout.
        match parts:
            case ["r", "done", receipt]:
                scope["path_template"] = "/r/done/{receipt}"
                await _serve(services, scope, send, receipt, _VISITS_OF_A_RECEIPT)
            case [typed] if (code := code_in(typed)) is not None:
                await _serve_code(services, scope, receive, send, code)
            case ["r" | "R", typed] if (code := code_in(typed)) is not None:
                await _serve_code(services, scope, receive, send, code)
            case ["r" | "R", token]:
                scope["path_template"] = "/r/{token}"
                await _serve(services, scope, send, token, _VISITS_OF_A_LINK)
            case ["qr", name]:
                scope["path_template"] = "/qr/{code}"
                await _serve(services, scope, send, name, _VISITS_OF_A_QR_CODE)
            case [".well-known", ("apple-app-site-association" | "assetlinks.json") as name]:
                scope["path_template"] = f"/.well-known/{name}"
                await _serve(services, scope, send, name, _VISITS_OF_AN_ASSOCIATION)
            case ["o", name] if name.endswith(".gif"):
                scope["path_template"] = "/o/{token}.gif"
                await _serve(services, scope, send, name.removesuffix(".gif"), _VISITS_OF_A_PICTURE)
            case ["live", name] if name.endswith(".png"):
                scope["path_template"] = "/live/{token}.png"
                await _serve(services, scope, send, name.removesuffix(".png"), _VISITS_OF_A_LIVE_PICTURE)
            case ["v1", "claims"] if scope["method"] == "POST" and not _has_key(scope):
                scope["path_template"] = "/v1/claims"
                await _confirm_for_script(services, scope, receive, send)
            case [("wallet" | "preferences") as page, token]:
                scope["path"] = f"/{page}/{token}"
                await general(scope, receive, send)
            case [first, *_] if first != API and scope["method"] in {"GET", "HEAD"} and _is_for_a_person(scope):
                await general(scope, receive, _saying_it_to_a_person(services, scope, send))
            case _:
                await general(scope, receive, send)

    return served


def _parts_of(path: str) -> list[str]:
    """The parts of a path, without those at its end that are nothing but signs: they stood behind a link in a message."""
    parts = [part for part in path.split("/") if part]
    while len(parts) > 1 and not any(map(str.isalnum, parts[-1])):
        parts.pop()
    return parts


async def _serve_code(services: Services, scope: Any, receive: Receive, send: Send, code: str) -> None:
    scope["path_template"] = "/{code}"
    claim = functools.partial(code_claims.claim_page, receive=receive)
    await _serve(services, scope, send, code, {"GET": code_claims.look, "HEAD": code_claims.look, "POST": claim})


def _is_for_a_person(scope: Any) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _saying_it_to_a_person(services: Services, scope: Any, send: Send) -> Send:
    """Send a page in place of the problem that there is nothing at a path. What else is answered stays as it is."""
    is_replaced = False

    async def said(message: Any) -> None:
        nonlocal is_replaced
        if message["type"] == "http.response.start" and message["status"] == HTTP_404_NOT_FOUND:
            is_replaced = (b"content-type", b"application/problem+json") in message["headers"]
            if is_replaced:
                headers = _headers_of(scope)
                brand = services.link_host.brand_at(headers)
                language = headers.get("accept-language", "")
                await _send(scope, send, respond(Page.NOT_FOUND, brand=brand, accept_language=language))
        if not is_replaced:
            await send(message)

    return said


async def _serve(services: Services, scope: Any, send: Send, subject: str, visits_by_method: Mapping[str, Visit]) -> None:
    visit = visits_by_method.get(scope["method"])
    try:
        if visit is not None:
            visitor = Visitor(scope["method"], _headers_of(scope), _address_of(scope), datetime.now(UTC))
            answer = await visit(services, subject, visitor)
        else:
            answer = _say_what_is_taken(scope["method"], ", ".join([*visits_by_method, "OPTIONS"]))
    except (Problem, HTTPException) as error:
        await send_problem(scope, send, error)
        return
    except Exception as error:
        answer = page_of_error(error)
    await _send(scope, send, answer)


async def _send(scope: Any, send: Send, answer: Answer) -> None:
    body = answer.content.encode() if answer.data is None else answer.data
    sent = [(_sent_name(name), value.encode()) for name, value in answer.headers.items()]
    sent.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": answer.status_code, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})


@functools.cache
def _sent_name(name: str) -> bytes:
    """A header's name as it is sent. Names are our own, so there are a few."""
    return name.lower().encode()


async def _confirm_for_script(services: Services, scope: Any, receive: Receive, send: Send) -> None:
    """Confirm a claim for a page, which has no key: what it may do depends on whose page it is.

    It sends JSON as plain text, which browsers let a page send elsewhere without asking first. The answer says nothing of the
    customer but what she has just earned.
    """
    headers = _headers_of(scope)
    readable: dict[str, str] = {"Vary": "Origin"}
    try:
        refuse_parameters(scope["query_string"])
        if "origin" not in headers:
            raise Problem("unauthorized", "Send the header Authorization: Bearer rk_..., or call from a page of the shop.")
        asked = decode_struct(await read_body(receive, bytes_max=FORM_BYTES_MAX), ClaimConfirmation)
        brand = await handoffs.brand_of(services, asked.claim)
        if brand is not None and handoffs.is_of_shop(headers["origin"], brand):
            readable["Access-Control-Allow-Origin"] = headers["origin"]
        answer = await handoffs.confirm(
            services,
            asked,
            principal=None,
            origin=headers["origin"],
            headers=headers,
            address=_address_of(scope),
            now=datetime.now(UTC),
        )
    except Exception as error:
        problem = problem_of(error)
        if problem.code == "internal_error":
            log.error_with_frames("claim_failed", error)
        problem.headers |= readable
        await send_problem(scope, send, problem)
        return
    body = msgspec.json.encode(ScriptAnswer(outcome=answer.outcome, reason=answer.reason, points=answer.points))
    await _send(scope, send, Answer(200, "", {"Content-Type": "application/json", **readable}, body))


def _has_key(scope: Any) -> bool:
    return any(name == b"authorization" for name, _ in scope["headers"])


def _headers_of(scope: Any) -> dict[str, str]:
    # Of several headers of one name the first counts.
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _address_of(scope: Any) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return "" if client is None else client[0]


def _say_what_is_taken(method: str, allowed: str) -> Answer:
    if method != "OPTIONS":
        raise MethodNotAllowedException(headers={"allow": allowed})
    return Answer(204, "", {"Allow": allowed})
