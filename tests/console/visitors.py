"""People in front of the console: each has a browser of their own, which keeps its cookie."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, TypeAlias

import asyncpg
import httpx
import msgspec

from service.auth.roles import Role
from service.console.sign_in import actions, one_time
from tests.api_fixtures import BASE_URL, Api
from tests.people import invited

Owner: TypeAlias = "asyncpg.Connection[Any]"

PASSWORD = "four words of a song"
HERE = {"Origin": BASE_URL, "Sec-Fetch-Site": "same-origin"}
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


class Visitor(msgspec.Struct, frozen=True):
    """Somebody, how they sign in, and their browser."""

    browser: httpx.AsyncClient
    login: str = ""
    secret: str = ""

    async def get(self, path: str) -> httpx.Response:
        """Open a page."""
        return await self.browser.get(path)

    async def send(self, path: str, fields: dict[str, str], *, of: str = "/console", **headers: str) -> httpx.Response:
        """Send a form, with what the page it is on hides in it."""
        return await self.browser.post(path, data=hidden(await self.get(of)) | fields, headers=HERE | headers)

    async def sign_in(self, **changed: str) -> httpx.Response:
        """Sign in with a code that is good now."""
        typed = {"brand": "lumen", "login": self.login, "password": PASSWORD, "code": code_of(self.secret)}
        return await self.browser.post("/console/sign-in", data=typed | changed, headers=HERE)

    async def is_signed_in(self) -> bool:
        """Whether the overview opens."""
        answer = await self.get("/console")
        assert answer.status_code in {200, 303}, answer.text
        return answer.status_code == 200


def hidden(answer: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's forms, the last of each name."""
    return {name: unescape(value) for name, value in _HIDDEN.findall(answer.text)}


def code_of(secret: str, *, steps: int = 0) -> str:
    """The code that an authenticator app shows now, or so many steps later."""
    key = one_time.read_secret(secret)
    assert key is not None
    return one_time.code_at(key, actions.now() + steps * one_time.STEP_S)


def stranger(api: Api) -> Visitor:
    """Somebody who has just come."""
    transport = httpx.ASGITransport(app=api.served or api.app)  # pyright: ignore[reportArgumentType]
    return Visitor(httpx.AsyncClient(transport=transport, base_url=BASE_URL))


async def enrolling(api: Api, invitation: str, login: str, **changed: str) -> tuple[Visitor, httpx.Response]:
    """Somebody who has sent their invitation, and chosen a login and a password."""
    visitor = stranger(api)
    page = await visitor.browser.post("/console/enrol", data={"invitation": invitation}, headers=HERE)
    assert page.status_code == 200, page.text
    fields = hidden(page)
    chosen = {"login": login, "password": PASSWORD, "code": code_of(fields["secret"])}
    answer = await visitor.browser.post("/console/enrol", data=fields | chosen | changed, headers=HERE)
    return Visitor(visitor.browser, login, fields["secret"]), answer


async def visitor_as(api: Api, owner: Owner, *roles: Role, name: str = "Ada", login: str = "ada@lumen.example") -> Visitor:
    """Somebody with these roles, signed in."""
    visitor, answer = await enrolling(api, (await invited(owner, *roles, name=name)).text, login)
    assert answer.status_code == 303, answer.text
    return visitor
