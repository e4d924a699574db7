"""How old a process's knowledge of configuration may be: what other tests shorten to ``REMEMBERED_S``."""

from __future__ import annotations

from types import ModuleType

import pytest

from service.auth import queries as auth_queries
from service.brands import book_clocks
from service.brands import queries as brand_queries
from service.campaigns import queries as campaign_queries


@pytest.mark.parametrize(
    ("remembers", "seconds"), [(auth_queries, 1.0), (book_clocks, 1.0), (campaign_queries, 1.0), (brand_queries, 5.0)]
)
def test_a_change_is_known_everywhere_so_soon(remembers: ModuleType, seconds: float) -> None:
    assert seconds == remembers._TTL_S  # pyright: ignore[reportPrivateUsage]
