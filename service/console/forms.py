"""What a form says, and whether it is one of ours.

Every form has two hidden fields: ``csrf``, which only a page of this session can know, and ``once``, a name of its own, under
which it takes effect once however often it is sent.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import Request

from service.admission.limits import PARAMETERS_MAX
from service.console.sign_in.sessions import Session
from service.evidence.bot_detection import is_pressed_on_our_page
from service.http.problems import Problem

CSRF = "csrf"
ONCE = "once"

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class Form(msgspec.Struct, frozen=True):
    """The fields of a form by name."""

    fields: Mapping[str, Sequence[str]]

    def text(self, name: str) -> str:
        """What is in a field, without spaces around it; empty if nothing is."""
        return self.fields.get(name, ("",))[0].strip()

    def texts(self, name: str) -> list[str]:
        """What is in all fields of this name, such as boxes that are ticked."""
        return [text.strip() for text in self.fields.get(name, ())]

    def secret(self, name: str) -> str:
        """What is in a field as it was typed."""
        return self.fields.get(name, ("",))[0]

    def number(self, name: str) -> Any:
        """A whole number. What is none is returned as it is: the API says what is wrong with it."""
        text = self.text(name).replace("\u202f", "").replace(" ", "")
        return int(text) if _WHOLE_NUMBER.fullmatch(text) else text or None

    @property
    def once(self) -> str:
        """The form's own name, for the API's Idempotency-Key."""
        return self.text(ONCE)


def new_name() -> str:
    """A name for a form."""
    return f"console-{secrets.token_urlsafe(16)}"


async def read(request: Request[Any, Any, Any]) -> Form:
    """Read a form. Raises a problem for what is none."""
    body = await request.body()
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=PARAMETERS_MAX, errors="strict")
    except ValueError:
        raise Problem("malformed_body", "This is no form of this page.") from None
    return Form(fields)


def headers_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """A request's headers by their names in lower case."""
    return {name.lower(): value for name, value in request.headers.items()}


class FormFromElsewhere(Exception):
    """Another site's page sent the form, or a page of a session that is over."""


def require_our_page(request: Request[Any, Any, Any]) -> None:
    """Refuse a form that another site's page sent."""
    if not is_pressed_on_our_page(headers_of(request)):
        raise FormFromElsewhere


async def require_own(request: Request[Any, Any, Any], session: Session) -> None:
    """Refuse a form that is not of a page that was shown in this session."""
    require_our_page(request)
    form = await read(request)
    if not hmac.compare_digest(form.text(CSRF).encode(), session.csrf.encode()):
        raise FormFromElsewhere
