"""The way to a brand's own identity provider, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get

from service.console import page
from service.console.rooms import HOME
from service.console.sign_in import actions, provider
from service.console.sign_in.actions import Refused
from service.console.sign_in.provider import CALLBACK
from service.console.sign_in.routes import inside, only_where_it_is_safe, sign_in_page
from service.http.injection import Injected

if TYPE_CHECKING:
    from service.services import Services


@get("/provider", guards=[only_where_it_is_safe])
async def go_to_provider(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Send the browser to the brand's identity provider."""
    query = request.query_params
    brand = await services.brands.by_code(query.get("brand", ""))
    try:
        found = None if brand is None else await provider.provider_of(services, brand.brand_id)
        if found is None:
            raise Refused("This brand has no identity provider.")
        invitation = provider.invitation_in(services, request.cookies)
        address, cookie = await provider.begin(
            services, found, onward=inside(query.get("next", "")), invitation=invitation if "enrol" in query else ""
        )
    except Refused as refused:
        return await sign_in_page(services, request, wrong=str(refused))
    return page.back(request, address, headers={"Set-Cookie": cookie})


@get(CALLBACK.removeprefix(HOME), guards=[only_where_it_is_safe])
async def come_back(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign in the person who comes back from the provider, or enrol them if they went with an invitation."""
    try:
        claims = await provider.finish(services, request.cookies, dict(request.query_params))
        if claims.invitation:
            known = await actions.invited(services, claims.invitation, request)
            if known.brand.brand_id != claims.brand_id:
                raise Refused("This invitation is of another brand.")
            cookie = await actions.enrol_as(services, claims.invitation, claims.subject, claims.email)
        else:
            cookie = await actions.sign_in_as(services, claims.brand_id, claims.subject)
    except Refused as refused:
        return await sign_in_page(services, request, wrong=str(refused))
    return page.back(request, claims.onward, headers={"Set-Cookie": cookie})


route_handlers: list[Any] = [go_to_provider, come_back]
