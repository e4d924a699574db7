"""Every route is in the table of limits, takes what the table says, and the documentation says the same."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from service.admission import limits
from service.admission.limits import BATCHES, Bounds, Kind, kind_of
from service.app import create_app
from service.http.problems import CODES
from service.server.admission_control import ONLY_HEALTH_CONNECTIONS
from service.server.open_files import FILES_FOR_OURSELVES, bounds_for_files, raise_file_limit
from service.settings import Secrets, Settings

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()


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


def test_the_documentation_says_every_limit() -> None:
    rows: dict[str, str] = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", DOCUMENTED, re.MULTILINE))
    constants = {name: f"{value:,}" for name, value in vars(limits).items() if name.endswith("_MAX")}
    bounds = {name: f"{value:,g}" if value != int(value) else f"{int(value):,}" for name, value in asdict(Bounds()).items()}
    kinds = {kind.title: f"{kind.body_bytes_max:,} bytes, {kind.body_within_s:g} s" for kind in Kind}
    assert rows == constants | bounds | kinds


def test_problems_say_the_limits_they_stand_for() -> None:
    assert f"{limits.URL_BYTES_MAX:,} bytes" in CODES["url_too_long"].meaning
    assert f"{limits.HEADERS_MAX} headers" in CODES["headers_too_large"].meaning
    assert f"{limits.HEAD_BYTES_MAX:,} bytes" in CODES["headers_too_large"].meaning
    assert f"for {ONLY_HEALTH_CONNECTIONS} connections more" in DOCUMENTED
    assert f"{FILES_FOR_OURSELVES} fewer" in DOCUMENTED


def test_connections_are_bounded_by_the_files_that_may_be_open() -> None:
    assert bounds_for_files(1_000_000) == Bounds()
    assert bounds_for_files(1_024).connections_max == 1_024 - FILES_FOR_OURSELVES
    assert bounds_for_files(100).connections_max > 0
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit() >= min(allowed, Bounds().connections_max)
