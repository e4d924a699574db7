"""QR codes: the picture of a code's address, for print and for a screen that another one reads.

A picture follows from the code and the host that was asked for it alone: nothing is looked up, so it tells nobody whether there
is such a code, and it is there while the database is away. The address is written in capitals, which scheme and host are free
to be (RFC 3986, 3.1 and 3.2.2): so it fits the alphanumeric mode (ISO/IEC 18004, 7.4.4), and the picture is small.
"""

from __future__ import annotations

import io
from typing import Any

import segno
from litestar.datastructures import State

from service.links.codes import normal_code
from service.links.finding import Visitor
from service.links.link_host import LinkHost
from service.pages.rendering import Answer
from service.problems import not_found

_HEADERS = {"Cache-Control": "private, max-age=86400", "X-Robots-Tag": "noindex"}
_PIXELS_A_MODULE = 10


async def draw(state: State, name: str, visitor: Visitor) -> Answer:
    """The picture of a code, as ``name`` says: ``<code>.svg`` or ``<code>.png``."""
    text, kind = name[:-4], name[-4:]
    code = normal_code(text)
    if code is None or kind not in {".svg", ".png"}:
        raise not_found("QR code")
    host: LinkHost = state.link_host
    symbol = qr_code(f"{host.base_url_at(visitor.headers)}/{code}")
    picture = io.BytesIO()
    if kind == ".svg":
        symbol.save(picture, kind="svg", scale=_PIXELS_A_MODULE, title=code, svgns=True, nl=False)
        return Answer(200, "", {"Content-Type": "image/svg+xml", **_HEADERS}, picture.getvalue())
    symbol.save(picture, kind="png", scale=_PIXELS_A_MODULE)
    return Answer(200, "", {"Content-Type": "image/png", **_HEADERS}, picture.getvalue())


def qr_code(url: str) -> Any:
    """The QR code of an address without anything in it that capitals would change. A sixth of it may be dirty or torn."""
    return segno.make_qr(url.upper(), error="M")
