"""``/docs``: the API's description as a page that needs nothing from outside, and as ``/openapi.json``."""

from __future__ import annotations

import functools
import importlib.util
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

_STATIC = Path(__file__).parent / "static" / "docs"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript"}


def _files() -> dict[str, Path]:
    """What the pages need: our own files, and the reference's script, which a package brings (see decision 78)."""
    files = {file.name: file for file in _STATIC.iterdir()}
    # Found without being imported: none of its Python code runs here.
    package = importlib.util.find_spec("flask_openapi_rapidoc")
    for folder in (package.submodule_search_locations or []) if package else []:
        files["rapidoc.js"] = Path(folder) / "templates" / "rapidoc" / "js" / "rapidoc-min.js"
    return files


_FILES = _files()
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
<meta name="color-scheme" content="light dark">
<title>Rewards API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/reference.css">
</head>
<body>
<h1>Rewards API</h1>
<p id="missing" hidden>The reference's script is not installed here. <a href="/openapi.json">The API's description</a> is.</p>
<noscript><p>The reference needs JavaScript. <a href="/openapi.json">The API's description</a> does not.</p></noscript>
<rapi-doc spec-url="/openapi.json" render-style="focused" schema-style="table" theme="amber" color-scheme="system"
  load-fonts="false" show-header="false"
  allow-server-selection="false" show-method-in-nav-bar="as-colored-text" persist-auth="false"></rapi-doc>
<script type="module" src="/docs/static/reference.js"></script>
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
