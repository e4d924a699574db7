"""What `rewards up` prints."""

from __future__ import annotations

import contextlib


def say(*lines: str) -> None:
    """Print lines at once. The terminal may be gone; what runs must still be stopped."""
    with contextlib.suppress(OSError):
        print("\n".join(lines), flush=True)
