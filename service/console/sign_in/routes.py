"""The pages on which people sign in, enrol and sign out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.admission.limits import FORM_BYTES_MAX
from service.console import forms, page
from service.console.guard import session_of, signed_in
from service.console.rooms import HOME
from service.console.sign_in import actions, demo, one_time, passkeys, provider, sessions
from service.console.sign_in.actions import Credentials, Invited, Refused
from service.http.injection import Injected
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

SIGN_IN = f"{HOME}/sign-in"

_templates = page.templates_of(Path(__file__).parent)
NOTHING = Credentials("", "", "", "")

_INSIDE = re.compile(r"/console(?:/[\w.~/-]*)?(?:\?[\w.~%&=+-]*)?")


async def only_where_it_is_safe(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Answer 404 where nobody can sign in, and refuse forms of other sites' pages."""
    if not sessions.is_offered(connection.app.state.services.settings):
        raise not_found("console: REWARDS_BASE_URL must begin with https://")
    if connection.scope["method"] == "POST":  # pyright: ignore[reportGeneralTypeIssues]
        forms.require_our_page(connection)  # pyright: ignore[reportArgumentType]


@get("/sign-in", guards=[only_where_it_is_safe])
async def show_sign_in(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show the form."""
    query = request.query_params
    typed = Credentials(query.get("brand", ""), "", "", "")
    return await sign_in_page(services, request, typed, inside(query.get("next", "")))


@post("/sign-in", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_sign_in(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign somebody in, and show them what they came for."""
    form = await forms.read(request)
    typed = _typed(form)
    onward = inside(form.text("next"))
    try:
        cookie = await actions.sign_in(services, request, typed)
    except Refused as refused:
        return await sign_in_page(services, request, typed, onward, wrong=str(refused))
    return page.back(request, onward, headers={"Set-Cookie": cookie})


@post("/passkey", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_passkey(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign somebody in by what their passkey has signed."""
    form = await forms.read(request)
    onward = inside(form.text("next"))
    try:
        cookie = await passkeys.sign_in(services, form.text("response"))
    except Refused as refused:
        return await sign_in_page(services, request, NOTHING, onward, wrong=str(refused))
    return page.back(request, onward, headers={"Set-Cookie": cookie})


@post("/demo", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_demo(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign in as one of the demo's people, with one click."""
    form = await forms.read(request)
    return page.back(
        request, inside(form.text("next")), headers={"Set-Cookie": await demo.sign_in(services, form.text("role"))}
    )


@get("/enrol", guards=[only_where_it_is_safe])
async def show_enrol(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Ask for an invitation."""
    return _enrol_page(request)


@post("/enrol", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_enrol(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Ask a person with an invitation how they will sign in; once they say, sign them in."""
    form = await forms.read(request)
    invitation, typed = form.text("invitation"), _typed(form)
    secret = form.text("secret")
    try:
        known = await actions.invited(services, invitation, request)
    except Refused as refused:
        return _enrol_page(request, wrong=str(refused))
    if not secret:
        return await _choose_page(services, request, known, invitation, typed, one_time.make_secret())
    try:
        cookie = await actions.enrol(services, known, invitation, typed, secret)
    except Refused as refused:
        return await _choose_page(services, request, known, invitation, typed, secret, wrong=str(refused))
    return page.back(request, HOME, headers={"Set-Cookie": cookie})


@post("/sign-out", guards=[signed_in()], request_max_body_size=FORM_BYTES_MAX)
async def post_sign_out(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign out, here or everywhere."""
    everywhere = (await forms.read(request)).text("everywhere") == "yes"
    cookie = await sessions.end(services, session_of(request), everywhere=everywhere)
    return page.back(request, f"{SIGN_IN}?out=yes", headers={"Set-Cookie": cookie})


def inside(path: str) -> str:
    """Where to go on: a page of the console, and no other."""
    return path if _INSIDE.fullmatch(path) else HOME


def _typed(form: forms.Form) -> Credentials:
    return Credentials(form.text("brand"), form.text("login"), form.secret("password"), form.text("code"))


async def sign_in_page(
    services: Services, request: Request[Any, Any, Any], typed: Credentials = NOTHING, onward: str = HOME, wrong: str = ""
) -> Response[bytes]:
    """The page to sign in, with what was typed and what is wrong with it."""
    return page.show(
        request,
        _templates,
        "sign_in.html",
        title="Sign in",
        status=422 if wrong else 200,
        typed=typed,
        onward=onward,
        wrong=wrong,
        is_out=request.query_params.get("out") == "yes",
        people=demo.people(services),
        passkey=passkeys.to_sign_in(services),
        provider=await _provider_link(services, typed.brand, onward),
    )


async def _provider_link(services: Services, brand_code: str, onward: str, *, enrols: bool = False) -> dict[str, str] | None:
    """The way to a brand's identity provider, if it has one: its name, and where to go."""
    brand = await services.brands.by_code(brand_code) if brand_code and "\0" not in brand_code else None
    try:
        found = None if brand is None else await provider.provider_of(services, brand.brand_id)
    except Refused:
        return None
    if found is None:
        return None
    asked = {"brand": brand_code, "next": onward} | ({"enrol": "yes"} if enrols else {})
    return {"name": urlsplit(found.issuer).netloc, "href": f"{HOME}/provider?{urlencode(asked)}"}


def _enrol_page(request: Request[Any, Any, Any], wrong: str = "") -> Response[bytes]:
    return page.show(request, _templates, "enrol.html", title="Enrol", status=422 if wrong else 200, wrong=wrong)


async def _choose_page(
    services: Services,
    request: Request[Any, Any, Any],
    known: Invited,
    invitation: str,
    typed: Credentials,
    secret: str,
    wrong: str = "",
) -> Response[bytes]:
    address = one_time.address_of(secret, issuer=known.brand.name, login=typed.login or known.name)
    link = await _provider_link(services, known.brand.code, HOME, enrols=True)
    shown = page.show(
        request,
        _templates,
        "choose.html",
        title=f"Welcome, {known.name}",
        status=422 if wrong else 200,
        known=known,
        invitation=invitation,
        typed=typed,
        secret=secret,
        qr=one_time.qr_code(address),
        provider=link,
        wrong=wrong,
    )
    if link is not None:
        shown.headers["Set-Cookie"] = provider.invitation_cookie(services, invitation)
    return shown


route_handlers: list[Any] = [show_sign_in, post_sign_in, post_passkey, post_demo, show_enrol, post_enrol, post_sign_out]
