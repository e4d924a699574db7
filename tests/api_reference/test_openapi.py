"""The API's description: committed as it is, closed where requests are, and with examples that work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import pytest

from openapi.__main__ import COMMITTED
from service.api_reference.document import encode
from service.app import describe
from service.http.bodies import Body
from service.http.field_docs import field_texts
from service.http.problems import CODES
from service.http.strict_json import decode_body
from tests.api_fixtures import Api
from tests.auth.test_auth import FOR_EVERYBODY


def test_the_committed_description_is_of_the_code_as_it_is() -> None:
    assert COMMITTED.read_bytes() == encode(describe()), "run `make openapi`"


def test_it_describes_ours_whatever_structs_of_the_same_names_others_have() -> None:
    others = [msgspec.defstruct(name, [("seq", int)], module="elsewhere") for name in describe()["components"]["schemas"]]
    assert others
    assert encode(describe.__wrapped__()) == COMMITTED.read_bytes()


def test_it_is_openapi_3_1_with_one_name_for_each_operation() -> None:
    assert describe()["openapi"].startswith("3.1.")
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for path, method, operation in operations():
        assert operation["summary"], f"{method} {path} has no docstring"
        assert {tag["name"] for tag in describe()["tags"]} >= set(operation["tags"]), f"{method} {path}"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in describe()["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


Struct = TypeVar("Struct", bound=msgspec.Struct)


def subclasses_of(struct: type[Struct]) -> list[type[Struct]]:
    found: list[type[Struct]] = []
    queue = [struct]
    while queue:
        queue += (subclasses := queue.pop().__subclasses__())
        found += [subclass for subclass in subclasses if subclass.__module__.startswith("service.")]
    return found


@pytest.mark.parametrize("struct", subclasses_of(Body), ids=lambda struct: struct.__name__)
def test_a_request_refuses_unknown_fields_and_its_example_is_taken(struct: type[Body]) -> None:
    schema = describe()["components"]["schemas"].get(struct.__name__)
    if schema is not None:
        assert schema["additionalProperties"] is False
    if struct.example:
        decode_body(json.dumps(struct.example).encode(), msgspec.json.Decoder(struct))


def test_every_body_has_an_example() -> None:
    for path, _, operation in operations():
        if body := operation.get("requestBody"):
            schema = body["content"]["application/json"]["schema"]
            while "$ref" not in schema:
                schema = schema["items"] if "items" in schema else next(iter(schema["properties"].values()))
            described = describe()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert described.get("examples") or not described["properties"], path


def described_values() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every field and parameter: where it is, what is said of it, and its schema."""

    def fields(where: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        for name, field in schema.get("properties", {}).items():
            yield f"{where}/{name}", field, field
            yield from fields(f"{where}/{name}", field)
        for key in ("items", "additionalProperties"):
            if isinstance(inner := schema.get(key), dict):
                yield from fields(f"{where}/{key}", cast("dict[str, Any]", inner))
        for inner in schema.get("anyOf", []):
            yield from fields(where, inner)

    for name, schema in describe()["components"]["schemas"].items():
        yield from fields(name, schema)
    for path, method, operation in operations():
        where = f"{method} {path}"
        for parameter in operation.get("parameters", []):
            yield f"{where} {parameter['name']}", parameter, parameter["schema"]
        for status, response in operation["responses"].items():
            for header, described in response.get("headers", {}).items():
                yield f"{where} {status} {header}", described, described["schema"]
            for content in response.get("content", {}).values():
                yield from fields(f"{where} {status}", content.get("schema", {}))
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            yield from fields(where, content["schema"])


def test_every_field_and_parameter_says_what_it_is() -> None:
    values = list(described_values())
    assert len(values) > 700
    assert [where for where, described, _ in values if not described.get("description")] == []


def test_every_field_says_more_than_its_type_does() -> None:
    """A shared type (``Slug``) knows its limits and not what it stands for here."""
    ours = [struct for struct in subclasses_of(msgspec.Struct) if not struct.__module__.startswith("service.console.")]
    structs = {struct.__name__: struct for struct in ours}
    of_their_own = {"CustomerRef", "CustomerRequest", "NamesRequest"}  # `Email` says that it is a customer's
    for name, schema in describe()["components"]["schemas"].items():
        struct = structs.get(schema.get("title", name).partition("[")[0])
        if struct is not None and struct.__name__ not in of_their_own:
            assert field_texts(struct).keys() >= schema["properties"].keys() - {"source"}, name


def test_limits_are_told_in_words() -> None:
    for where, described, schema in described_values():
        for bound in ("maximum", "maxLength", "maxItems"):
            if bound in schema and schema[bound] not in {2**31 - 1, 2**63 - 1}:
                assert f"{schema[bound]:,}" in described["description"], where


def test_v1_needs_a_key_and_says_which_scope() -> None:
    for path, method, operation in operations():
        if path.startswith("/v1/") and operation["operationId"] not in FOR_EVERYBODY:
            assert operation["security"] == [{"api_key": []}], f"{method} {path}"
            assert {"401", "403", "500", "503"} <= operation["responses"].keys()
    assert "`ledger:read`" in describe()["paths"]["/v1/ledger/trial-balance"]["get"]["description"]


def test_refusals_are_problems_of_registered_codes() -> None:
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
                for line in response["description"].splitlines():
                    assert CODES[line.split("`")[1]].status == int(status)


def test_bounds_are_whole_numbers() -> None:
    def floats(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from floats(list(cast("dict[str, Any]", value).values()))
        elif isinstance(value, list):
            for inner in cast("list[Any]", value):
                yield from floats(inner)
        elif isinstance(value, float):
            yield value

    assert list(floats(describe())) == []


async def test_the_description_is_served(api: Api) -> None:
    answer = await api.client(None).get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == describe()


async def test_the_documentation_asks_nothing_of_other_hosts(api: Api) -> None:
    client = api.client(None)
    for page in ("/docs", "/docs/errors"):
        answer = await client.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        assert "://" not in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        for name in answer.text.split('"'):
            if name.startswith("/docs/static/"):
                assert (await client.get(name)).status_code == 200, name
    assert "://" not in (await client.get("/docs/static/start.js")).text
    errors = await client.get("/docs/errors")
    assert all(f'id="{code}"' in errors.text for code in CODES)


@pytest.mark.parametrize("path", ["/docs/static/../../app.py", "/docs/static/%2e%2e/%2e%2e/app.py", "/docs/static//etc/passwd"])
async def test_only_the_documentations_files_are_served(api: Api, path: str) -> None:
    assert (await api.client(None).get(path)).status_code == 404


async def test_the_references_script_comes_with_its_licence_and_from_a_package(api: Api) -> None:
    script = (await api.client(None).get("/docs/static/rapidoc.js")).text
    assert "SPDX-License-Identifier: MIT" in script[:400]
    assert not list((Path(__file__).parents[2] / "service").rglob("rapidoc*"))
