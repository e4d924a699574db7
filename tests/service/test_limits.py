"""Every route is in the table of limits, takes what the table says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from service.app import create_app
from service.limits import BATCHES, Kind, kind_of
from service.settings import Secrets, Settings


def routes() -> Iterator[tuple[str, str, Any]]:
    app: Any = create_app(Settings(), Secrets(identity_keys=(), link_keys=()))
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods:
                yield str(method), re.sub(r"\{[^}]*\}", "x", route.path), handler


def test_the_framework_takes_of_every_body_what_the_table_says() -> None:
    taken = {
        (method, path): handler.resolve_request_max_body_size()
        for method, path, handler in routes()
        if method in {"POST", "PUT", "PATCH"}
    }
    assert len(taken) > 30
    assert taken == {(method, path): kind_of(method, path).body_bytes_max for method, path in taken}
    assert {path for (_, path), size in taken.items() if size == Kind.BATCH.body_bytes_max} == {f"/{each}" for each in BATCHES}


def test_what_takes_no_body_is_a_read() -> None:
    kinds = {kind_of(method, path) for method, path, _ in routes() if method not in {"POST", "PUT", "PATCH"}}
    assert kinds == {Kind.READ}


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("POST", "/v1/grants", Kind.SINGLE),
        ("POST", "/v1/grants/batch", Kind.BATCH),
        # The same path to the application, so to the table.
        ("POST", "//v1/grants//b%61tch/?dry_run=1", Kind.BATCH),
        ("POST", "https://rewards.example/v1/grants/batch?a=/b", Kind.BATCH),
        ("PUT", "/v1/grants/batch", Kind.SINGLE),
        ("POST", "/v1/claims", Kind.FORM),
        ("POST", "/r/eyJ", Kind.FORM),
        ("POST", "/AB12CD34", Kind.FORM),
        ("PUT", "/preferences/x", Kind.FORM),
        ("POST", "/nowhere/at/all", Kind.SINGLE),
        ("GET", "/v1/links", Kind.READ),
        ("DELETE", "/v1/keys/1", Kind.READ),
        ("BREW", "/v1/grants/batch", Kind.READ),
        ("POST", "", Kind.SINGLE),
    ],
)
def test_a_request_is_of_the_kind_that_the_application_takes_it_for(method: str, target: str, kind: Kind) -> None:
    assert kind_of(method, target) is kind
