"""``POST /v1/brand/previews/{page}``: a customer page with settings that are not saved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, get_args

from litestar import Response, post
from litestar.params import FromPath, JSONBody, QueryParameter

from service.api_reference.document import problems
from service.auth.guards import requires
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brand_settings.actions import drafted
from service.brand_settings.schemas import BrandPatch
from service.brands.queries import draw_brand
from service.http.injection import Injected
from service.http.problems import not_found
from service.page_previews.pages import Previewed, Theme, preview

if TYPE_CHECKING:
    from service.services import Services


@post(
    "/v1/brand/previews/{page:str}",
    guards=[requires(Scope.ADMIN)],
    status_code=200,
    media_type="text/html",
    tags=["brand"],
    responses=problems("not_found", "point_value_changed"),
)
async def preview_page(
    page: FromPath[str],
    data: JSONBody[BrandPatch],
    services: Injected[Services],
    principal: Injected[Principal],
    theme: Annotated[Theme | None, QueryParameter(description="Absent: as the browser prefers.")] = None,
) -> Response[str]:
    """Show a customer page as it would look with changed settings. Nothing is saved.

    The body is as for `PATCH /v1/brand`; `{}` shows the page as it is. The customer and the numbers on it are invented. It is
    checked as a change is, and answers the same problems.
    """
    if page not in _PAGES:
        raise not_found("page")
    brand = await draw_brand(services.engine, principal.brand.brand_id)
    if brand is None:
        raise not_found("brand")
    answer = await asyncio.to_thread(preview, drafted(brand, data, services.settings), _PAGES[page], theme)
    return Response(answer.content, status_code=answer.status_code, headers=answer.headers, media_type="text/html")


_PAGES: dict[str, Previewed] = {name: name for name in get_args(Previewed)}

route_handlers: list[Any] = [preview_page]
