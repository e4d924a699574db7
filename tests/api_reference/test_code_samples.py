"""Every operation has samples that parse, and those of a set of operations run against the demo as they stand."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from service.api_reference.code_samples import code_samples
from service.app import describe
from tests.conftest import Database
from tests.demo_fixtures import Demo, serving_demo

DOCUMENT = describe()
OPERATIONS = [
    pytest.param(path, method, id=f"{method.upper()} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
]
RUN = [  # in this order, by these keys of the demo
    ("GET", "/health/ready", "storefront"),
    ("GET", "/v1/meta", "storefront"),
    ("GET", "/v1/brand", "admin"),
    ("PATCH", "/v1/brand", "admin"),
    ("POST", "/v1/grants", "messaging"),
    ("POST", "/v1/grants/batch", "messaging"),
    ("POST", "/v1/grants/quote", "messaging"),
    ("POST", "/v1/links", "messaging"),
    ("POST", "/v1/page-links", "messaging"),
    ("GET", "/v1/customers/{customer_id}/balance", "storefront"),
    ("POST", "/v1/customers/wallet", "storefront"),
    ("PUT", "/v1/customers/{customer_id}/consents/{channel}", "storefront"),
    ("POST", "/v1/redemptions/quote", "storefront"),
    ("POST", "/v1/redemptions", "storefront"),
    ("POST", "/v1/campaigns/{campaign_id}/fund", "finance"),
    ("POST", "/v1/cuts", "finance"),
    ("GET", "/v1/ledger/trial-balance", "finance"),
]


def samples(method: str, path: str) -> dict[str, str]:
    listed: list[dict[str, str]] = DOCUMENT["paths"][path][method.lower()]["x-codeSamples"]
    return {sample["label"]: sample["source"] for sample in listed}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_has_samples_that_name_its_address(path: str, method: str) -> None:
    told = samples(method, path)
    assert list(told) == ["curl", "Python", "TypeScript"]
    ast.parse(told["Python"])
    for sample in told.values():
        assert path.partition("{")[0] in sample
        assert "{" not in sample.partition("\n")[0].partition("/v1")[2].partition("'")[0].rstrip(", {")
    has_key = bool(DOCUMENT["paths"][path][method].get("security"))
    assert [("REWARDS_KEY" in sample) for sample in told.values()] == [has_key] * 3


def test_what_a_shell_or_a_language_would_take_for_its_own_is_written_so_that_it_does_not() -> None:
    body: dict[str, Any] = {"note": 'it\'s "so" $HOME \\n', "none": None, "yes": True, "of": [], "nothing": {}}
    operation: dict[str, Any] = {
        "responses": {"204": {}},
        "parameters": [{"in": "path", "name": "id", "example": "a b/c"}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
    }
    told = {
        each["label"]: each["source"] for each in code_samples("/v1/{id}", "put", operation, {"Body": {"examples": [body]}})
    }
    call = ast.parse(told["Python"]).body[2]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    assert ast.literal_eval(next(each.value for each in call.value.keywords if each.arg == "json")) == body
    shown = subprocess.run(
        ["bash", "-c", told["curl"].replace("curl -X PUT", "printf '%s\\n'")],
        env={"REWARDS_URL": "http://x"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    url, option, text = shown.split("\n", 2)
    assert (url, option, json.loads(text)) == ("http://x/v1/a%20b%2Fc", "--json", body)
    text = told["TypeScript"].partition("JSON.stringify(")[2].rpartition("),\n")[0]
    assert json.loads(text) == body


@pytest.fixture
async def demo(database: Database, tmp_path: Path) -> AsyncGenerator[Demo]:
    async with serving_demo(database, tmp_path) as served:
        yield served


@pytest.mark.parametrize("language", ["curl", "Python"])
async def test_samples_run_as_they_stand(demo: Demo, language: str) -> None:
    for method, path, key in RUN:
        source = samples(method, path)[language]
        command = (
            [sys.executable, "-c", source] if language == "Python" else ["bash", "-c", source.replace("curl ", "curl -sSf ", 1)]
        )
        environment = {"PATH": os.environ["PATH"], "REWARDS_URL": demo.base_url, "REWARDS_KEY": demo.keys[key]}
        done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (method, path, done.stdout, done.stderr)
        assert done.stdout.strip(), (method, path)
