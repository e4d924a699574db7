"""A clock that stands still, or a one-time code could be of another step than the test means."""

from __future__ import annotations

import pytest

from service.console.sign_in import actions


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are those of one moment."""
    moment = actions.now()
    monkeypatch.setattr(actions, "now", lambda: moment)
