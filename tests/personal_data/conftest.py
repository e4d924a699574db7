"""The people of the tests of erasing, who have lived."""

from __future__ import annotations

from tests.erasure.conftest import campaign, checker, erase

__all__ = ["campaign", "checker", "erase"]
