"""Confirmations of claims by a page's script, which has no key: what it may do depends on whose page it is."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import Receive, Send

from service.admission.limits import FORM_BYTES_MAX
from service.http.bodies import decode_struct, read_body
from service.http.problems import Problem, problem_of, send_problem
from service.http.request_target import refuse_parameters
from service.link_pages import handoffs
from service.link_pages.pages import Answer
from service.link_pages.schemas import ClaimConfirmation, ScriptAnswer
from service.link_pages.serving import address_of, headers_of, send_answer
from service.observability import log

if TYPE_CHECKING:
    from service.services import Services


def claim_without_key(services: Services, scope: Any, receive: Receive, send: Send, _: str) -> Awaitable[None] | None:
    """Take a claim that brings no API key: then it is a script's."""
    has_key = any(name == b"authorization" for name, _ in scope["headers"])
    return None if has_key else confirm_for_script(services, scope, receive, send)


async def confirm_for_script(services: Services, scope: Any, receive: Receive, send: Send) -> None:
    """Confirm a claim for a page, which has no key: what it may do depends on whose page it is.

    It sends JSON as plain text, which browsers let a page send elsewhere without asking first. The answer says nothing of the
    customer but what they have just earned.
    """
    headers = headers_of(scope)
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
            address=address_of(scope),
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
    await send_answer(scope, send, Answer(200, "", {"Content-Type": "application/json", **readable}, body))
