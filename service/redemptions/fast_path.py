"""What a POS waits for, to authorize and to capture, without the framework, which would cost more than all the rest.

Only the plain request is taken here: JSON, of known length, not packed, without a query, with one ``Idempotency-Key``. Any
other goes to the framework's routes, ``routes.authorize_redemption`` and ``routes.capture_redemption``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger import RedemptionResult
from service.auth.fast_path import fast_path
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.http.bodies import decode_struct
from service.http.fast_path import FastAnswer, PlainRequest
from service.redemptions import actions
from service.redemptions.schemas import CaptureRequest, RedemptionRequest, RedemptionResponse

if TYPE_CHECKING:
    from service.services import Services


@fast_path(Scope.REDEMPTIONS_WRITE, takes_body=True, takes_key=True)
async def authorize(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer:
    """Set points aside for a purchase, or spend them at once."""
    asked = decode_struct(request.body, RedemptionRequest)
    return _answer(principal.brand, await actions.authorize(services, principal.brand, asked, request.idempotency_key))


@fast_path(Scope.REDEMPTIONS_WRITE, takes_body=True, takes_key=True, value="red_[0-9a-f]{24}")
async def capture(services: Services, principal: Principal, request: PlainRequest) -> FastAnswer:
    """Spend what is held, or a part of it."""
    asked = decode_struct(request.body, CaptureRequest)
    result = await actions.capture(services, principal.brand, request.value, asked, request.idempotency_key)
    return _answer(principal.brand, result)


def _answer(brand: Brand, result: RedemptionResult) -> FastAnswer:
    assert result.redemption is not None
    shown = RedemptionResponse.of(result.redemption, brand.book.book_id)
    return FastAnswer(200 if result.replayed else 201, shown, result.replayed)
