"""Requests drawn from the description of the API, sent to a running service, and its answers held to the description."""

# pyright: reportUnknownVariableType=false
# schemathesis leaves the type of its cases open.

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

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

EXAMPLES = int(os.environ.get("REWARDS_TEST_EXAMPLES", "6"))
CHECKS: list[Any] = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# The key that may call, by the first part of the path.
KEYS = {"adjustments": "care", "corrections": "care", "grants": "messaging", "links": "messaging", "redemptions": "storefront"}


def try_share(share: int, shares: int, base_url: str, keys: dict[str, str]) -> None:
    """Try each operation that falls to one of the ``shares``."""
    # Through JSON, as a client would have it.
    schema: Any = schemathesis.openapi.from_dict(json.loads(json.dumps(describe())))
    operations = [result.ok() for result in schema.get_all_operations()][share::shares]
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
