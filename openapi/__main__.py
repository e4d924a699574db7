"""``make openapi``: writes ``openapi.json`` from the code."""

from __future__ import annotations

import sys
from pathlib import Path

from service.api_reference.document import encode
from service.app import describe

COMMITTED = Path(__file__).parent / "openapi.json"

if __name__ == "__main__":
    COMMITTED.write_bytes(encode(describe()))
    sys.stdout.write(f"{COMMITTED.name} describes the API as it is now.\n")
