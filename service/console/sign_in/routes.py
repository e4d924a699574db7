"""The pages on which people sign in, enrol and sign out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.admission.limits import FORM_BYTES_MAX
from service.console import forms, page
from service.console.guard import session_of, signed_in
from service.console.rooms import HOME
from service.console.sign_in import actions, demo, one_time, passkeys, sessions
from service.console.sign_in.actions import Credentials, Invited, Refused
from service.http.injection import Injected
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

SIGN_IN = f"{HOME}/sign-in"

_templates = page.templates_of(Path(__file__).parent)
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
    return _sign_in_page(services, request, Credentials(query.get("brand", ""), "", "", ""), inside(query.get("next", "")))


@post("/sign-in", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_sign_in(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign somebody in, and show them what they came for."""
    form = await forms.read(request)
    typed = _typed(form)
    onward = inside(form.text("next"))
    try:
        cookie = await actions.sign_in(services, request, typed)
    except Refused as refused:
        return _sign_in_page(services, request, typed, onward, wrong=str(refused))
    return page.back(request, onward, headers={"Set-Cookie": cookie})


@post("/passkey", guards=[only_where_it_is_safe], request_max_body_size=FORM_BYTES_MAX)
async def post_passkey(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Sign somebody in by what their passkey has signed."""
    form = await forms.read(request)
    onward = inside(form.text("next"))
    try:
        cookie = await passkeys.sign_in(services, form.text("response"))
    except Refused as refused:
        return _sign_in_page(services, request, Credentials("", "", "", ""), onward, wrong=str(refused))
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
        return _choose_page(request, known, invitation, typed, one_time.make_secret())
    try:
        cookie = await actions.enrol(services, known, invitation, typed, secret)
    except Refused as refused:
        return _choose_page(request, known, invitation, typed, secret, wrong=str(refused))
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


def _sign_in_page(
    services: Services, request: Request[Any, Any, Any], typed: Credentials, onward: str, wrong: str = ""
) -> Response[bytes]:
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
    )


def _enrol_page(request: Request[Any, Any, Any], wrong: str = "") -> Response[bytes]:
    return page.show(request, _templates, "enrol.html", title="Enrol", status=422 if wrong else 200, wrong=wrong)


def _choose_page(
    request: Request[Any, Any, Any], known: Invited, invitation: str, typed: Credentials, secret: str, wrong: str = ""
) -> Response[bytes]:
    address = one_time.address_of(secret, issuer=known.brand.name, login=typed.login or known.name)
    return page.show(
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
        wrong=wrong,
    )


route_handlers: list[Any] = [show_sign_in, post_sign_in, post_passkey, post_demo, show_enrol, post_enrol, post_sign_out]
