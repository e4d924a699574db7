"""The picture that a message carries so that its opening is seen: one transparent pixel."""

from __future__ import annotations

import base64

from service.pages.rendering import Answer, security_headers

PICTURE = Answer(
    200,
    "",
    {
        "Content-Type": "image/gif",
        **security_headers("none"),
        # It is shown by pages of others, and is to be asked for each time.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": "no-store, no-cache, must-revalidate, max-age=0",
    },
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
)
