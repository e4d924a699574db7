"""What a till waits for, to authorize and to capture, without the framework, which would cost more than all the rest.

Only the plain request is taken here: JSON, of known length, not packed, without a query, with one ``Idempotency-Key``. Every
other one goes to the general routes (``routes.authorize_redemption``, ``routes.capture_redemption``), which are the ones that
are described and that say what is right: a test sends both the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from ledger import RedemptionResult
from service.admission.limits import SINGLE_BYTES_MAX
from service.auth.guards import admit
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.http.bodies import decode_struct
from service.http.fast_path import authorization_with_json, read_body, send_json
from service.http.idempotency import HEADER, REPLAYED, parse_key
from service.http.problems import Problem, send_problem
from service.redemptions import actions
from service.redemptions.schemas import CaptureRequest, RedemptionRequest, RedemptionResponse

if TYPE_CHECKING:
    from service.services import Services

_PATH = re.compile("/v1/redemptions(?:/(red_[0-9a-f]{24})/capture)?")

_HEADER = HEADER.lower().encode()
_REPLAYED = ((REPLAYED.lower().encode(), b"true"),)

_encode = msgspec.json.Encoder().encode


def thin_redemptions(services: Services, general: ASGIApp) -> ASGIApp:
    """Put the routes in front of ``general``, the whole application, whose ``state`` they share."""

    async def routed(scope: Any, receive: Receive, send: Send) -> None:
        asked = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        sent = None if asked is None else authorization_with_json(scope, bytes_max=SINGLE_BYTES_MAX)
        key = None if sent is None else _key_of(scope)
        if asked is None or sent is None or key is None:
            await general(scope, receive, send)
            return
        scope["path_template"] = "/v1/redemptions" if asked[1] is None else "/v1/redemptions/{redemption_id}/capture"
        try:
            principal = await admit(services, scope, sent, Scope.REDEMPTIONS_WRITE)
            result = await _post(services, principal.brand, asked[1], await read_body(receive), key)
            assert result.redemption is not None
            answer = _encode(RedemptionResponse.of(result.redemption, principal.brand.book.book_id))
        except Exception as error:
            await send_problem(scope, send, error)
            return
        await send_json(send, 200 if result.replayed else 201, answer, _REPLAYED if result.replayed else ())

    return routed


async def _post(services: Services, brand: Brand, redemption: str | None, body: bytes, key: str) -> RedemptionResult:
    if redemption is None:
        return await actions.authorize(services, brand, decode_struct(body, RedemptionRequest), key)
    return await actions.capture(services, brand, redemption, decode_struct(body, CaptureRequest), key)


def _key_of(scope: Any) -> str | None:
    """The idempotency key, if there is one and it is right. What is wrong with others the general route says."""
    sent = [value for name, value in scope["headers"] if name == _HEADER]
    if len(sent) != 1:
        return None
    try:
        return parse_key(sent[0].decode("latin-1"))
    except Problem:
        return None
