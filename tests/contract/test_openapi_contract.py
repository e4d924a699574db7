"""Whatever is sent, the service answers as its description says, and never with a 500.

Nearly all of the time goes into drawing examples. Six as described and six as not described for each operation are the suite's;
``REWARDS_TEST_EXAMPLES=100`` draws more. The operations are dealt to several tests, which workers run side by side.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.demo_fixtures import serving_demo

if TYPE_CHECKING:
    from tests.conftest import Database

SHARES = 2


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncGenerator[tuple[str, dict[str, str]]]:
    """A demo on a port, with a funded campaign and customers who have points: its URL and keys."""
    async with serving_demo(database, tmp_path) as demo:
        yield demo.base_url, demo.keys


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
async def test_no_input_gets_an_answer_that_is_not_described(served: tuple[str, dict[str, str]], share: int) -> None:
    # What draws takes a second to load: it is loaded by the processes that draw.
    drawn_requests = importlib.import_module("tests.contract.drawn_requests")
    await asyncio.to_thread(drawn_requests.try_share, share, SHARES, *served)
