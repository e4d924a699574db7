"""Which of the derived keys seals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.crypto.derived_keys import derived_key, derived_keys, key_in_use
from service.evidence.click_log import agent_key
from service.settings import LinkKey
from service.tokens.link import link_keys

OLD, IN_USE, RETIRED = (
    LinkKey(kid, bytes([number]) * 32, retired_at)
    for number, (kid, retired_at) in enumerate((("old", None), ("new", None), ("leaked", datetime(2026, 11, 30, tzinfo=UTC))))
)


@pytest.mark.parametrize(
    ("keys", "in_use", "order"),
    [
        ([OLD, IN_USE], IN_USE, [IN_USE, OLD]),
        ([OLD, IN_USE, RETIRED], IN_USE, [IN_USE, RETIRED, OLD]),
        ([RETIRED, OLD, IN_USE], IN_USE, [IN_USE, OLD, RETIRED]),
        ([OLD, RETIRED], OLD, [OLD, RETIRED]),
    ],
)
def test_what_goes_with_the_key_in_use_seals_and_all_open(keys: list[LinkKey], in_use: LinkKey, order: list[LinkKey]) -> None:
    assert key_in_use(keys) is in_use
    assert link_keys(keys).kid == in_use.kid
    assert derived_keys(keys, "handoff 1") == tuple(derived_key(key, "handoff 1") for key in order)
    assert agent_key(keys) == derived_key(in_use, "user agent 1")
