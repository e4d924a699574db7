"""How a page of the console is made and sent.

templates_of   where a room's templates are found, beside the layout and the macros
show           a page, or with ``?csv=NAME`` one of its tables
back           send the browser on, after a form
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response

from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.console import forms
from service.console.calls import Answer
from service.console.charts import burn_down
from service.console.guard import session_or_none
from service.console.rooms import room_at, rooms_of
from service.console.sign_in.sessions import Session
from service.console.table import Column, Table, Value
from service.http.problems import Problem, not_found
from service.pages import rendering
from service.pages.words import words_of

_HERE = Path(__file__).parent
STATIC = {path.name: path.read_bytes() for path in (_HERE / "static").iterdir()}
"""All there are, so that no name that is asked for is ever looked up on the disk."""
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

_words = words_of("en")

HEADERS = rendering.HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}
"""What every page is sent with: nothing runs but what is served from here."""


def templates_of(room: Path) -> Environment:
    """Where a room's templates are found: those in its own folder, and those that all share."""
    made = Environment(
        loader=FileSystemLoader([room / "templates", _HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Any = made.filters
    filters.update({"written": _written, "points": _points, "money": _money, "day": _day})
    names: Any = made.globals
    names.update({"static": static_address, "once": forms.new_name, "burn_down": burn_down})
    return made


def show(
    request: Request[Any, Any, Any],
    templates: Environment,
    name: str,
    *,
    title: str,
    status: int = 200,
    tables: Sequence[Table] | None = (),
    **content: Any,
) -> Response[bytes]:
    """Make a page of the template ``name``, which finds its tables by their names; or send one of them as CSV. ``None``: it has
    none to send, whatever is asked for.
    """
    wanted = request.query_params.get("csv")
    if wanted is not None and tables is not None:
        return _csv(tables, wanted)
    session = session_or_none(request)
    html = templates.get_template(name).render(
        title=title,
        tables={table.name: table for table in tables or ()},
        csv_of=functools.partial(_csv_of, request),
        **_frame(request, session),
        **content,
    )
    headers = HEADERS | {"Content-Type": "text/html; charset=utf-8", "Content-Language": "en"}
    return Response(html.encode(), status_code=status, headers=headers)


def back(
    request: Request[Any, Any, Any], path: str, *, done: str = "", headers: dict[str, str] | None = None
) -> Response[bytes]:
    """Send the browser on to a page of the console, which says what was done."""
    session = session_or_none(request)
    if done and session is not None:
        said = urlencode({"done": done, "mark": _mark(session, done)})
        path = f"{path}{'&' if '?' in path else '?'}{said}"
    return Response(b"", status_code=303, headers=HEADERS | {"Location": path} | (headers or {}))


def answered(request: Request[Any, Any, Any], path: str, answer: Answer, done: str) -> Response[bytes]:
    """Send the browser on, and say that it was done, or that it waits for another person."""
    waits = answer.waits
    if waits is not None:
        done = f"This exceeds a limit of the brand, so it waits for another person, as {waits.id}."
    return back(request, path, done=done)


def errors_of(problem: Problem | None) -> Mapping[str, str]:
    """What is wrong with each field by its JSON pointer, such as ``/points``; all that is of none is under ``""``."""
    if problem is None:
        return defaultdict(str)
    found = {error.pointer: error.detail for error in problem.errors}
    return defaultdict(str, found or {"": problem.detail})


def _mark(session: Session, done: str) -> str:
    """Only we can have a page say what was done: another site's link to it could not."""
    return hmac.digest(session.csrf.encode(), done.encode(), "sha256")[:8].hex()


def _done(request: Request[Any, Any, Any], session: Session | None) -> str:
    done = request.query_params.get("done", "")
    marked = session is not None and hmac.compare_digest(
        request.query_params.get("mark", "").encode(), _mark(session, done).encode()
    )
    return done if marked else ""


@functools.cache
def static_address(name: str) -> str:
    """Where a file is, under an address of its own for each version of it."""
    return f"/console/static/{name}?v={hashlib.sha256(STATIC[name]).hexdigest()[:12]}"


def _frame(request: Request[Any, Any, Any], session: Session | None) -> dict[str, Any]:
    """What the layout is made of."""
    brand: Brand | None = None if session is None else session.principal.brand
    scopes: frozenset[Scope] = frozenset() if session is None else session.principal.scopes
    path = request.url.path
    return {
        "brand": brand,
        "person": None if session is None else session.principal.name,
        "roles": () if session is None else session.roles,
        "csrf": "" if session is None else session.csrf,
        "rooms": rooms_of(scopes) if session else (),
        "here": room_at(path),
        "path": path,
        "accent": (brand.accent_color if brand else rendering.NEUTRAL_ACCENT).removeprefix("#"),
        "done": _done(request, session),
    }


def _csv_of(request: Request[Any, Any, Any], table: str) -> str:
    others = [(name, value) for name, value in request.query_params.multi_items() if name not in {"csv", "done", "mark"}]
    return f"?{urlencode([*others, ('csv', table)])}"


def _csv(tables: Sequence[Table], wanted: str) -> Response[bytes]:
    table = next((table for table in tables if table.name == wanted), None)
    if table is None:
        raise not_found("table")
    file = re.sub(r"[^\w.-]+", "-", table.name)
    headers = HEADERS | {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{quote(file)}.csv"',
    }
    return Response(table.csv().encode(), headers=headers)


def _written(value: Value, column: Column) -> str:
    return column.written(value, _words)


def _points(value: int) -> str:
    return Column("", "points").written(value, _words)


def _money(value: int | None, currency: str) -> str:
    return Column("", "money", currency=currency).written(value, _words)


def _day(value: Any) -> str:
    return Column("", "date").written(value, _words)
