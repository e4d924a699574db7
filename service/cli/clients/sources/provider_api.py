"""Calls of a provider's API, by what a set-up says.

    ProviderApi.call   the answer; a refusal is `CommandRefused` with the provider's status and words
    ProviderApi.shown  the call as it is shown to people

Credentials go to the provider alone: wherever its words or ours are shown, they are taken out.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from service.cli.clients.installation import CommandRefused
from service.egress.calling import Answer, CallFailed, Request, call_at, pinned_to, target_of
from service.egress.hosts import is_loopback, read_host
from service.egress.resolving import Pinned, Resolver
from service.providers.connecting.setup import Body, Call, Setup, filled, url_of

SAID_CHARACTERS_MAX = 300
SECRET_CHARACTERS_MIN = 4
"""What is shorter is no secret, and would be taken out of the middle of words."""
_WITHHELD = "(withheld)"


class ProviderApi:
    """The API of one provider, with the credentials of the brand."""

    def __init__(self, title: str, setup: Setup, resolver: Resolver, elsewhere: str | None = None) -> None:
        """``elsewhere`` is another address of the API: of its other region, or on this machine."""
        self._title = title
        self._setup = setup
        self._resolver = resolver
        self._elsewhere = elsewhere.rstrip("/") if elsewhere else None
        self._withheld: set[str] = set()

    def withhold(self, *secrets: str) -> None:
        """Never show these."""
        self._withheld.update(secret for secret in secrets if len(secret) >= SECRET_CHARACTERS_MIN)

    async def call(self, call: Call, values: Mapping[str, Any], *, none: int | None = None) -> Any:
        """The answer to a call, decoded; None where the status says that there is nothing."""
        url = self._moved(url_of(call, values))
        what = f"{call.method} {url}"
        try:
            answer = await self._asked(url, self._request(call, url, values))
        except CallFailed as failed:
            raise CommandRefused(self._safe(f"{self._title} cannot be asked ({what}): {failed}")) from None
        if answer.status == none:
            return None
        if not 200 <= answer.status < 300:
            raise CommandRefused(f"{self._title} refuses {self._safe(what)} with {answer.status}: {self._said(answer)}")
        return _decoded(answer.body)

    def shown(self, call: Call, values: Mapping[str, Any]) -> str:
        """A call as it would be made."""
        body = "" if call.body is None else " " + msgspec.json.encode(filled(call.body, values)).decode()
        return self._safe(f"{call.method} {self._moved(url_of(call, values))}{body}")

    def _moved(self, url: str) -> str:
        parts = urlsplit(url)
        return url if self._elsewhere is None else self._elsewhere + url.removeprefix(f"{parts.scheme}://{parts.netloc}")

    def _request(self, call: Call, url: str, values: Mapping[str, Any]) -> Request:
        body = filled(call.body, values)
        headers: dict[str, str] = {"Accept": "application/json", "User-Agent": "atomic-rewards"}
        if call.body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded" if call.is_form else "application/json"
        headers |= filled(dict(self._setup.headers), values)
        if self._setup.basic is not None:
            shown = base64.b64encode(filled(self._setup.basic, values).encode()).decode()
            self.withhold(shown)
            headers["Authorization"] = f"Basic {shown}"
        return Request(call.method, target_of(url), headers, _encoded(call, body))

    async def _asked(self, url: str, request: Request) -> Answer:
        if url.startswith("https://"):
            return await call_at(await pinned_to(self._resolver, url), request, ssl.create_default_context())
        return await call_at(_this_machine(url), request, None)

    def _said(self, answer: Answer) -> str:
        """What the provider says, on one line. It may repeat what was sent, so nothing is cut before that is taken out."""
        return " ".join(self._safe(answer.body.decode(errors="replace")).split())[:SAID_CHARACTERS_MAX]

    def _safe(self, text: str) -> str:
        for secret in sorted(self._withheld, key=len, reverse=True):
            text = text.replace(secret, _WITHHELD)
        return "".join(character if character.isprintable() else " " for character in text)


def checked_address(elsewhere: str) -> str:
    """An address of an API that somebody gives. Raises `CommandRefused`."""
    parts = urlsplit(elsewhere)
    try:
        name, _ = read_host(parts.netloc)
    except ValueError as error:
        raise CommandRefused(f"{elsewhere} of --api-url is no address: {error}") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(name)):
        raise CommandRefused(f"{elsewhere} of --api-url must begin with https://: credentials are sent there")
    return elsewhere


def _this_machine(url: str) -> Pinned:
    name, port = read_host(urlsplit(url).netloc)
    address = "::1" if name.startswith("[") else "127.0.0.1"
    return Pinned(name, port, (ip_address(address),))


def _encoded(call: Call, body: Body) -> bytes:
    if call.body is None:
        return b""
    return urlencode(body, doseq=True).encode() if call.is_form else msgspec.json.encode(body)


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        raise CommandRefused("What the provider answered is not JSON") from None
