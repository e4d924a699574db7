"""`rewards export` in a process that has loaded it already: what is timed then is the export, not the start of Python.

    python -m bench.exporting FILE OPTIONS

It makes FILE when it is ready, and exports when its standard input closes.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from service.cli.export import export


def main() -> None:
    """Wait, and export."""
    _, ready, *options = sys.argv
    importlib.import_module("service.exports.arrow.parquet" if "parquet" in options else "service.exports.arrow.csv_lines")
    Path(ready).touch()
    sys.stdin.read()
    export(options)


if __name__ == "__main__":
    main()
