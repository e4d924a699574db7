"""`make hostile MINUTES=10`: the hostile run, longer. Ends with 1 if anything happened that may not."""

from __future__ import annotations

import sys

from tests.conftest import reachable_directory
from tests.hostile.run import run, told

if __name__ == "__main__":
    with reachable_directory() as directory:
        report = run(directory, minutes=float(sys.argv[1]))
    sys.stdout.write("\n".join([*told(report), ""]))
    sys.exit(1 if report.wrong() else 0)
