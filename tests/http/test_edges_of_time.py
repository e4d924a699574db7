"""The first and the last date there is, wherever a request takes one: refused or answered, and never a 500."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api_fixtures import Api, make_brand, make_keys
from tests.cli.test_demo import operations, prefilled

EDGES = ("0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z")
ZONES = ("Pacific/Kiritimati", "America/Los_Angeles")
DATED = {"from", "to", "day", "as_of", "occurred_from", "occurred_to", "since", "until", "period", "month"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?")


async def answer(clients: Iterable[httpx.AsyncClient], method: str, path: str, **sent: Any) -> httpx.Response:
    """What the first of these that may is told."""
    answered: list[httpx.Response] = []
    for client in clients:
        answered.append(await client.request(method, path, headers={"Idempotency-Key": "k"}, **sent))
        if answered[-1].status_code != 403:
            break
    return answered[-1]


def at_the_edges(body: Any) -> Iterator[Any]:
    """The body with one of its dates at an edge, for each of them."""
    for place in places(body):
        for edge in EDGES:
            changed = copy.deepcopy(body)
            inside = changed
            for step in place[:-1]:
                inside = inside[step]
            inside[place[-1]] = edge
            yield changed


def places(body: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(body, str) and _DATE.fullmatch(body) and above:
        yield above
    for step, inside in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        yield from places(inside, *above, step)


@pytest.mark.parametrize("zone", ZONES)
async def test_no_edge_of_time_is_an_error_of_ours(api: Api, owner: asyncpg.Connection[Any], zone: str) -> None:
    keys = await make_keys(owner, await make_brand(owner, "edge", time_zone=zone))
    clients = [api.client(key=key) for key in keys.values()]
    failed: list[tuple[str, Any, str]] = []
    tried = 0
    for address, method, operation in operations():
        parameters = operation.get("parameters", [])
        path = address.format(**{each["name"]: each["example"] for each in parameters if each["in"] == "path"})
        dated = [each["name"] for each in parameters if each["in"] == "query" and each["name"] in DATED]
        queries = [{"params": {name: edge}} for name in dated for edge in EDGES]
        for sent in [*queries, *({"json": body} for body in at_the_edges(prefilled(operation)))]:
            tried += 1
            answered = await answer(clients, method, path, **sent)
            if answered.status_code >= 500:
                failed.append((f"{method} {address}", sent, answered.text))
    assert failed == []
    assert tried > 100
