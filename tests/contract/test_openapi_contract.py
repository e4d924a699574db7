"""Whatever is sent, the service answers as its description says, and never with a 500.

Nearly all of the time goes into drawing examples. Ten as described and ten as not described for each operation are the suite's;
``REWARDS_TEST_EXAMPLES=100`` draws more. The operations are dealt to several tests, which workers run side by side.
"""

# pyright: reportUnknownVariableType=false
# schemathesis leaves the type of its cases open.

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import describe
from tests.demo_fixtures import serving_demo

if TYPE_CHECKING:
    from tests.conftest import Database

EXAMPLES = int(os.environ.get("REWARDS_TEST_EXAMPLES", "10"))
SHARES = 2
CHECKS: list[Any] = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# The key that may call, by the first part of the path.
KEYS = {"grants": "messaging", "links": "messaging", "redemptions": "storefront"}


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncGenerator[tuple[str, dict[str, str]]]:
    """A demo on a port, with a funded campaign and customers who have points: its URL and keys."""
    async with serving_demo(database, tmp_path) as demo:
        yield demo.base_url, demo.keys


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
async def test_no_input_gets_an_answer_that_is_not_described(served: tuple[str, dict[str, str]], share: int) -> None:
    base_url, keys = served
    await asyncio.to_thread(_try_share, share, base_url, keys)


def _try_share(share: int, base_url: str, keys: dict[str, str]) -> None:
    # Through JSON, as a client would have it.
    schema: Any = schemathesis.openapi.from_dict(json.loads(json.dumps(describe())))
    operations = [result.ok() for result in schema.get_all_operations()][share::SHARES]
    assert operations
    with requests.Session() as session:
        _try_all(operations, session, base_url, keys)


def _try_all(operations: Iterable[Any], session: requests.Session, base_url: str, keys: dict[str, str]) -> None:
    for operation in operations:
        key = keys[KEYS.get(operation.path.split("/")[2], "admin")]
        takes_input = bool(operation.body or operation.query or operation.path_parameters or operation.headers)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes_input else (GenerationMode.POSITIVE,):
            _try(operation.as_strategy(generation_mode=mode), session, base_url, key)


def _try(cases: Any, session: requests.Session, base_url: str, key: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=cases)
    def answers_as_described(case: Any) -> None:
        answer = case.call(session=session, base_url=base_url, headers={"Authorization": f"Bearer {key}"})
        case.validate_response(answer, checks=CHECKS)

    answers_as_described()
