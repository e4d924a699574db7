"""QR codes: the picture of a code's address, for print and for a display that a phone reads.

A picture follows from the code and the host that was asked for it alone, and where the code rotates from the time: nothing is
looked up, so it tells nobody whether there is such a code, and it is there while the database is away. The address is written
in capitals, which scheme and host are free to be (RFC 3986, 3.1 and 3.2.2): so it fits the alphanumeric mode (ISO/IEC 18004,
7.4.4), and the picture is small.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import segno

from service.http.problems import not_found
from service.link_pages.lookup import Visitor
from service.pages.rendering import Answer
from service.tokens import rotating_code
from service.tokens.code import normal_code

if TYPE_CHECKING:
    from service.services import Services

_UNSEEN = {"X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}
_HEADERS = {"Cache-Control": "private, max-age=86400", **_UNSEEN}
_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_PIXELS_A_MODULE = 10


async def draw(services: Services, name: str, visitor: Visitor) -> Answer:
    """The picture of a code, as ``name`` says: ``<code>.svg`` or ``<code>.png``; or of a rotating code as it is now."""
    text, kind = name[:-4], name[-4:]
    code = normal_code(text)
    rotating = rotating_code.unseal_name(text, services.token_keys.rotating_codes) if code is None else None
    key = services.token_keys.codes.get(rotating.kid) if rotating else None
    headers = _HEADERS
    if rotating is not None and key is not None:
        code = rotating_code.code_at(rotating, visitor.at, key)
        # A browser that shows nothing but the picture asks for the next when it is time.
        headers = {"Cache-Control": "no-store", "Refresh": str(rotating_code.shown_for_s(rotating, visitor.at)), **_UNSEEN}
    if code is None or kind not in _MEDIA_TYPES:
        raise not_found("QR code")
    symbol = qr_code(f"{services.link_hosts.base_url_at(visitor.headers)}/{code}")
    picture = io.BytesIO()
    if kind == ".svg":
        symbol.save(picture, kind="svg", scale=_PIXELS_A_MODULE, title=code, svgns=True, nl=False)
    else:
        symbol.save(picture, kind="png", scale=_PIXELS_A_MODULE)
    return Answer(200, "", {"Content-Type": _MEDIA_TYPES[kind], **headers}, picture.getvalue())


def qr_code(url: str) -> Any:
    """The QR code of an address without anything in it that capitals would change. A sixth of it may be dirty or torn."""
    return segno.make_qr(url.upper(), error="M")
