"""The page on which people see how they sign in, add passkeys and remove them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get, post

from service.console import forms, page
from service.console.guard import session_of, signed_in
from service.console.rooms import HOME
from service.console.sign_in import passkeys
from service.console.sign_in.actions import Refused
from service.console.table import Column, Row, Table
from service.http.injection import Injected
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services

ACCOUNT = f"{HOME}/account"

_templates = page.templates_of(Path(__file__).parent)


@get("/account", guards=[signed_in()])
async def show_account(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show how the person who is signed in signs in."""
    return await _account_page(services, request)


@post("/account/passkeys", guards=[signed_in()])
async def post_passkey(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Add a passkey."""
    form = await forms.read(request)
    try:
        await passkeys.add(services, session_of(request), form.text("name"), form.text("response"))
    except Refused as refused:
        return await _account_page(services, request, wrong=str(refused))
    return page.back(request, ACCOUNT, done="You can sign in with this passkey now.")


@post("/account/passkeys/remove", guards=[signed_in()])
async def remove_passkey(services: Injected[Services], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Remove a passkey."""
    form = await forms.read(request)
    if not await passkeys.remove(services, session_of(request), form.text("passkey")):
        raise not_found("passkey")
    return page.back(request, ACCOUNT, done="The passkey is removed. Remove it from your device, too.")


async def _account_page(services: Services, request: Request[Any, Any, Any], wrong: str = "") -> Response[bytes]:
    session = session_of(request)
    found = await passkeys.passkeys_of(services, session)
    table = Table(
        name="passkeys",
        caption="Your passkeys",
        columns=[
            Column("Name"),
            Column("Added (UTC)", "instant", "added_at"),
            Column("Last used (UTC)", "instant", "last_used_at"),
        ],
        rows=[Row([each.name, each.added_at, each.last_used_at]) for each in found],
        empty="You have none. With a passkey your phone or computer signs you in, without a password or a code.",
    )
    return page.show(
        request,
        _templates,
        "account.html",
        title="How you sign in",
        status=422 if wrong else 200,
        tables=[table],
        found=found,
        wrong=wrong,
        wanted=await passkeys.to_add(services, session),
    )


route_handlers: list[Any] = [show_account, post_passkey, remove_passkey]
