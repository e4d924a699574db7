"""Problems: one shape for every refusal, a registry that the documentation repeats, and nothing of ours in a 500."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from litestar import Litestar, get

from ledger import BookRefused, ClockSkew, DataRefused, LedgerUnavailable, Overloaded
from service.http import problems
from service.http.problems import CODES, Problem, problem_of
from tests.api_fixtures import Api

ROOT = Path(__file__).parents[2]


def test_the_documentation_lists_exactly_the_codes_there_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    documented = {code: (int(status), retry == "yes", meaning) for code, status, retry, meaning in rows}
    assert documented == {code: (spec.status, spec.retryable, spec.meaning) for code, spec in CODES.items()}


def test_every_code_in_the_registry_can_happen() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "service").rglob("*.py") if path.name != "openapi.py")
    # Each stands in the registry itself, and where it is raised.
    unused = [name for name in CODES if len(re.findall(rf'"{name}"', code)) < 2]
    assert unused == []


ERRORS: list[tuple[Exception, str, dict[str, str]]] = [
    (Overloaded(7), "overloaded", {"Retry-After": "7"}),
    (LedgerUnavailable(), "database_unavailable", {"Retry-After": "1"}),
    (ClockSkew(), "database_unavailable", {"Retry-After": "1"}),
    (BookRefused(), "not_found", {}),
    (DataRefused(), "invalid_field", {}),
    (ConnectionRefusedError(), "database_unavailable", {"Retry-After": "1"}),
    (asyncpg.CannotConnectNowError(), "database_unavailable", {"Retry-After": "1"}),
    (asyncpg.InterfaceError("connection is closed"), "database_unavailable", {"Retry-After": "1"}),
    (ValueError("ours"), "internal_error", {}),
    (FileNotFoundError("template"), "internal_error", {}),
]


@pytest.mark.parametrize(("error", "code", "headers"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_become_problems(error: Exception, code: str, headers: dict[str, str]) -> None:
    problem = problem_of(error)
    assert (problem.code, problem.headers) == (code, headers)


def test_a_wrapped_loss_of_the_connection_is_found() -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = asyncpg.ConnectionDoesNotExistError()
    assert problem_of(error).code == "database_unavailable"


NOWHERE = [
    ("GET", "/nowhere", 404, "not_found"),
    ("GET", "/v1/meta/more", 404, "not_found"),
    ("GET", "/v1/meta%00", 404, "not_found"),
    ("DELETE", "/v1/meta", 405, "method_not_allowed"),
    ("BREW", "/v1/meta", 405, "method_not_allowed"),
    ("GET", "/v1/meta", 401, "unauthorized"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), NOWHERE)
async def test_what_no_route_takes_is_a_problem_too(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = await api.client(None).request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body == {
        "type": f"/docs/errors#{code}",
        "title": CODES[code].title,
        "status": status,
        "code": code,
        "detail": body["detail"],
        "retryable": False,
        "request_id": answer.headers["x-request-id"],
        "errors": [],
    }
    if status == 405:
        assert "GET" in answer.headers["allow"]


async def test_a_nul_in_the_query_is_named(api: Api) -> None:
    answer = await api.client("finance").get("/v1/ledger/trial-balance?cut=a%00b")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "?cut"


@pytest.fixture
async def broken() -> AsyncGenerator[httpx.AsyncClient]:
    """An application whose only route fails with a secret in its message."""

    @get("/boom")
    async def boom() -> None:
        raise ValueError("the secret")

    app = Litestar([boom], exception_handlers=problems.exception_handlers, openapi_config=None, logging_config=None)
    transport: Any = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://rewards.test") as client:
        yield client


async def test_a_500_says_nothing_of_what_happened(broken: httpx.AsyncClient) -> None:
    answer = await broken.get("/boom")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["retryable"] is True
    assert "secret" not in answer.text
    assert "ValueError" not in answer.text


def test_a_problem_needs_a_registered_code() -> None:
    with pytest.raises(KeyError):
        Problem("made_up", "No.")
