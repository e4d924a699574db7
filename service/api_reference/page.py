"""``/docs``: the API's description as a page that needs nothing from outside, and as ``/openapi.json``."""

from __future__ import annotations

import functools
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import HttpMethod, Request, Response, get, route
from litestar.params import FromPath

from service.http.injection import Injected
from service.http.problems import CODES, not_found

if TYPE_CHECKING:
    from service.services import Services

_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}
_FILES = {file.name: file for folder in ("swagger-ui", "docs") for file in (_STATIC / folder).iterdir()}
"""All there are, so that no name that is asked for is ever looked up on the disk."""
_read = functools.cache(Path.read_bytes)
"""One copy for all who read it slowly, from when somebody first asks for it."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rewards API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/static/start.js"></script>
</body>
</html>
"""


@get("/docs", include_in_schema=False, sync_to_thread=False)
def read_docs() -> Response[str]:
    """Return the page that shows the API's description."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


_ERRORS = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors of the Rewards API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/errors.css">
</head>
<body>
<h1>Errors</h1>
<p>Every refusal is a problem (RFC 9457) with one of these codes.</p>
<dl>
$entries
</dl>
</body>
</html>
""")


@get("/docs/errors", include_in_schema=False, sync_to_thread=False)
def read_errors() -> Response[str]:
    """Return the page that a problem's ``type`` leads to."""
    entries = "\n".join(
        f'<dt id="{code}"><code>{code}</code> <span>{spec.status}{", retry" if spec.retryable else ""}</span></dt>'
        f"<dd>{escape(spec.meaning)}</dd>"
        for code, spec in CODES.items()
    )
    page = _ERRORS.substitute(entries=entries)
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@get("/openapi.json", include_in_schema=False, sync_to_thread=True)
def read_openapi(services: Injected[Services]) -> Response[bytes]:
    """Return the API's description; the first call takes a moment to write it."""
    return Response(msgspec.json.encode(services.describe()), media_type="application/json")


@route("/docs/static/{name:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False, sync_to_thread=False)
def read_static(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return a file that the pages need."""
    file = _FILES.get(name)
    if file is None:
        raise not_found("file")
    media_type = _MEDIA_TYPES.get(file.suffix, "text/plain")
    return Response(b"" if request.method == "HEAD" else _read(file), media_type=media_type)


route_handlers: list[Any] = [read_docs, read_errors, read_openapi, read_static]
