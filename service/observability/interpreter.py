"""How the Python that runs us was compiled. It decides a fifth of what one process can answer.

Also a program, for a Python that has nothing of ours installed. It exits with 1 if that Python was not compiled for speed.

    python3 -I service/observability/interpreter.py
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from typing import Any, NamedTuple

_FLAGS = ("PY_CFLAGS", "PY_CFLAGS_NODIST", "PY_CORE_LDFLAGS", "PY_LDFLAGS_NODIST")


class Build(NamedTuple):
    """What decides how fast a Python is."""

    has_profile: bool
    """Compiled with what a run of it had shown (PGO)."""
    has_lto: bool
    """Optimized once more as a whole when it was linked."""
    has_assertions: bool
    """Checks itself at every step: a build for people who work on Python, several times slower."""

    @property
    def is_fast(self) -> bool:
        """Whether it is one for production."""
        return self.has_profile and not self.has_assertions

    def __str__(self) -> str:
        parts = {"profile-guided optimization": self.has_profile, "LTO": self.has_lto}
        says = ", ".join(f"{'with' if has else 'without'} {what}" for what, has in parts.items())
        return f"compiled {says}{', with assertions' if self.has_assertions else ''}"


def build_of(variables: Mapping[str, Any]) -> Build:
    """What the variables of `sysconfig` say of a Python."""
    arguments = str(variables.get("CONFIG_ARGS") or "")
    flags = " ".join(str(variables.get(name) or "") for name in _FLAGS)
    # Debian compiles with both, and takes the flags out of what it records; upstream always records the one of the profile.
    is_debians = bool(variables.get("PGO_PROF_GEN_FLAG")) and not variables.get("PGO_PROF_USE_FLAG")
    return Build(
        has_profile=is_debians or "--enable-optimizations" in arguments or "-fprofile-" in flags,
        has_lto=is_debians or "--with-lto" in arguments or "-flto" in flags,
        has_assertions=bool(variables.get("Py_DEBUG")) or "-DNDEBUG" not in str(variables.get("PY_CFLAGS") or "-DNDEBUG"),
    )


def described() -> str:
    """The Python that runs this, in words."""
    return f"Python {sys.version.split()[0]} in {sys.base_prefix}, {build_of(sysconfig.get_config_vars())}"


if __name__ == "__main__":
    print(described())  # noqa: T201
    sys.exit(not build_of(sysconfig.get_config_vars()).is_fast)
