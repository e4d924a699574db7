"""``/docs``: the API's description as a page that needs nothing from outside, and as ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.static_files import create_static_files_router  # pyright: ignore[reportUnknownVariableType]

_STATIC = Path(__file__).parent / "static" / "swagger-ui"

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


@get("/openapi.json", include_in_schema=False, sync_to_thread=True)
def read_openapi(describe: NamedDependency[Callable[[], dict[str, Any]]]) -> Response[bytes]:
    """Return the API's description; the first call takes a moment to write it."""
    return Response(msgspec.json.encode(describe()), media_type="application/json")


route_handlers: list[Any] = [
    read_docs,
    read_openapi,
    create_static_files_router(path="/docs/static", directories=[_STATIC], include_in_schema=False),
]
