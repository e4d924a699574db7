"""The images that a message carries: how they are sent, and the one by which its opening is seen, a transparent pixel."""

from __future__ import annotations

import base64

from service.pages.rendering import HEADERS_OF_NO_PAGE, Answer


def image_headers(media_type: str) -> dict[str, str]:
    """What an image is sent with: it is shown by pages of others, and is to be asked for each time."""
    return {
        "Content-Type": media_type,
        **HEADERS_OF_NO_PAGE,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": "no-cache, no-store, must-revalidate, max-age=0",
        # For proxies of before HTTP/1.1, of which mail has some.
        "Pragma": "no-cache",
        "Expires": "0",
    }


PIXEL = Answer(
    200,
    "",
    image_headers("image/gif"),
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
)
