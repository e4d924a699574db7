"""The API's description (OpenAPI 3.1), made from the routes themselves. ``make openapi`` writes the committed file.

The framework describes paths, parameters and structs. What it leaves out or gets wrong is put right once, in ``document_of``:

    closed objects   ``additionalProperties: false`` for structs that refuse unknown fields
    numbers          bounds are written as integers, unions as ``anyOf``
    authentication   the bearer scheme, and the scope that each route's guard asks for
    problems         what every route can answer, beside what it declares with ``problems``
    examples         each struct's own ``example``
    fields           the text below each field (``field_texts``), what its type says of itself, and its limits
    parameters       what those of a path name, the same on every route
    batches          the NDJSON form, and the bounds on how many items
    code samples     in curl, Python and TypeScript (``code_samples``)
"""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.routes import HTTPRoute

from service.api_reference.code_samples import code_samples
from service.auth.guards import requires, scopes_in_words
from service.auth.routes import VERSION
from service.http.bodies import CSV, NDJSON, Batch, needs_body
from service.http.field_docs import field_texts
from service.http.idempotency import HEADER as IDEMPOTENCY_HEADER
from service.http.idempotency import REPLAYED
from service.http.problems import CODES, MEDIA_TYPE, ProblemDocument

JsonObject = dict[str, Any]

_ABOUT = """Points for what customers do with messages: granted exactly once, redeemed like payments, kept in auditable books.

Authenticate with `Authorization: Bearer rk_live_...` (or `rk_test_...`). Times are RFC 3339 in UTC. Every error is a problem
(RFC 9457) with a stable `code`. Lists take `after` and `limit`; `next` is the `after` of the next page, or null. Every response
carries `X-Request-Id`; send your own to correlate logs. For a key with a quota, `RateLimit` and `RateLimit-Policy` tell what is
left of it. Within v1, fields, codes and enum values are only added, never changed or removed."""


_TAGS = {
    "meta": "The calling API key.",
    "keys": "API keys, the persons they belong to, and the audit trail.",
    "approvals": "Requests that wait for another person, and the limits above which they do.",
    "brand": "Your brand: its name, colours and link host, and what its points are worth.",
    "campaigns": "What earns points: rules, budgets and caps.",
    "grants": "Points for what customers do: reports, quotes, approvals.",
    "links": "Reward links for messages, and codes for print.",
    "app receipts": "Devices on which your app runs, and what customers do there with push messages.",
    "sources": "Messaging providers that report what customers do, and what became of what they sent.",
    "customers": "Customers: names, balances, consent, preferences.",
    "corrections": "Taking back what should not have been granted, and adjusting what customers have.",
    "redemptions": "Spending points: authorize, capture, void, refund.",
    "events": "A feed of everything that happened, which consumers can resume.",
    "finance": "The books, now and at a cut, and exports of them.",
    "test": "The clock of a test brand.",
    "health": "Liveness and readiness, for load balancers.",
}


_PATH_PARAMETERS = {
    "adjustment_id": ("The id of an adjustment: `cor_` and 24 hexadecimal digits.", "cor_000000010000000000000001"),
    "approval_id": ("The id of an approval: `apr_` and a number.", "apr_7"),
    "batch_id": ("The id of a batch of codes, as you chose it.", "spring-packs-1"),
    "campaign_id": ("The campaign's id, as you chose it.", "hello-again"),
    "channel": ("A channel: lower case, at most 32 characters. `rewards` stands for all channels.", "email"),
    "device": ("The id of an app device: `dev_` and 24 hexadecimal digits.", "dev_0123456789abcdef01234567"),
    "customer_id": (
        "Your id of the customer, percent-encoded (at most 256 bytes of UTF-8), or our number (`cus_`).",
        "customer-1",
    ),
    "delivery": ("The number of a delivery, from the list.", 1),
    "offer_group": ("Your id of an offer, percent-encoded.", "winback-1"),
    "replay": ("The number of a replay of the source, from the list.", 1),
    "message_id": ("The sender's id of a message, percent-encoded.", "welcome-77"),
    "erasure_id": ("The id of an erasure: `ers_` and digits.", "ers_1"),
    "export_id": ("The id of an export: `exp_` and 24 hexadecimal digits.", "exp_000000010000000000000001"),
    "grant_id": (
        "The id of a decision, from `POST /v1/grants`: `grt_` and 40 hexadecimal digits.",
        "grt_000000010123456789abcdef0123456789abcdef",
    ),
    "identity_id": ("The id of a customer's name: `idn_` and 24 hexadecimal digits.", "idn_000000010000000000000001"),
    "job_id": ("The id of a correction of many: `crj_` and a number.", "crj_7"),
    "key_id": ("The id of an API key: `key_` and a number.", "key_7"),
    "kid": ("The id of a minting key, from its registration.", "mk_1"),
    "name": ("The name of a file, as the export lists it.", "transfers.csv"),
    "page": (
        "A customer page: `claim`, `claimed`, `already_claimed`, `code`, `code_claimed`, `code_taken`, `held_back`, `over`,"
        " `expired`, `not_found`, `display`, `wallet`, `preferences` or `live_image`.",
        "wallet",
    ),
    "period": ("A period: a month, such as `2026-11`, or a day, such as `2026-11-30`.", "2026-11"),
    "person_id": ("The id of a person who works for the brand: `per_` and a number.", "per_3"),
    "reason": ("The code of a reason for adjustments, as you chose it.", "goodwill"),
    "redemption_id": (
        "The id of a redemption, from `POST /v1/redemptions`: `red_` and 24 hexadecimal digits.",
        "red_000000010000000000000001",
    ),
    "source_id": ("The id of a source: `src_` and a number.", "src_1"),
    "report": ("The report's name, such as `roll-forward`.", "roll-forward"),
    "view": ("The report's name: `rfm`, `responses` or `reward-cost`.", "rfm"),
    "revocation": ("The `id` of a revocation, from `POST /v1/link-revocations`.", 1),
}
"""What each parameter of a path names, the same on every route, and an example: what you chose is of the demo brand."""


@dataclass
class ProblemSpec(ResponseSpec):
    """What a route can refuse with, under one status."""

    codes: tuple[str, ...] = field(default=())


def problems(*codes: str) -> dict[int, ResponseSpec]:
    """Declare the refusals of a route: ``responses=problems("insufficient_balance")``.

    What every route of its kind can answer (a missing scope, a wrong field, a database that is away) goes without saying.
    """
    return {
        status: ProblemSpec(
            data_container=ProblemDocument,
            generate_examples=False,
            codes=tuple(code for code in codes if CODES[code].status == status),
        )
        for status in sorted({CODES[code].status for code in codes})
    }


def config() -> OpenAPIConfig:
    """Return what the framework needs to describe an application."""
    return OpenAPIConfig(
        title="Rewards API",
        version=VERSION,
        operation_id_creator=lambda handler, _method, _parts: handler.fn.__name__,
        render_plugins=[],
    )


def document_of(app: Litestar) -> JsonObject:
    """Return the description of an application that was made with ``config``."""
    # Encoded and decoded: what follows works on plain JSON.
    document: JsonObject = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema(), enc_hook=str))
    for path, method, handler in _operations(app):
        operation = document["paths"][path][method.lower()]
        _describe_operation(operation, handler)
        _describe_parameters(operation)
        _describe_body(operation, handler)
        _describe_success(operation)
        _describe_problems(operation, handler)
    components = document["components"]
    _describe_structs(components["schemas"])
    components["securitySchemes"] = {
        "api_key": {"type": "http", "scheme": "bearer", "description": "An API key, made with `rewards key create`."}
    }
    document["info"] |= {"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    document["servers"] = [{"url": "/"}]
    document["tags"] = [{"name": name, "description": about} for name, about in _TAGS.items()]
    _mend(document)
    document = _with_short_names(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["x-codeSamples"] = code_samples(path, method, operation, document["components"]["schemas"])
    return document


def encode(document: JsonObject) -> bytes:
    """Return the document as it is committed."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def _operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema() and method != "OPTIONS":
                    yield route.path_format, method, handler


def _describe_operation(operation: JsonObject, handler: HTTPRouteHandler) -> None:
    text = inspect.getdoc(handler.fn) or ""
    first, _, rest = text.partition("\n")
    operation["summary"] = handler.summary or first.removesuffix(".")
    guard = _guard(handler)
    about = [text if handler.summary else rest.strip()]
    if guard is not None:
        operation["security"] = [{"api_key": []}]
        if guard.scopes:
            about.append(f"Needs {scopes_in_words(guard.scopes, guard.instead, '`')}.")
    operation["description"] = "\n\n".join(part for part in about if part)
    if not operation["description"]:
        del operation["description"]


def _describe_parameters(operation: JsonObject) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["name"] in _PATH_PARAMETERS:
            parameter["description"], parameter["example"] = _PATH_PARAMETERS[parameter["name"]]
        if "description" in parameter:
            parameter["description"] = _with_limits(parameter["description"], parameter["schema"])


def _describe_success(operation: JsonObject) -> None:
    for status, response in operation["responses"].items():
        # The framework quotes a table of status codes ("Request fulfilled, document follows").
        if int(status) < 400 and response.get("description") == HTTPStatus(int(status)).description:
            response["description"] = HTTPStatus(int(status)).phrase
    formats = {each for parameter in operation.get("parameters", []) for each in _formats(parameter)}
    if "csv" in formats:
        operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}


def _formats(parameter: JsonObject) -> list[str]:
    return parameter["schema"].get("enum", []) if parameter["name"] == "format" else []


def _guard(handler: HTTPRouteHandler) -> requires | None:
    guards = cast("list[object]", handler.resolve_guards())  # pyright: ignore[reportUnknownMemberType]
    return next((guard for guard in guards if isinstance(guard, requires)), None)


def _batch(handler: HTTPRouteHandler) -> type[Batch[Any]] | None:
    declared: Any = handler.parsed_data_field.annotation if handler.parsed_data_field else None
    return cast("type[Batch[Any]]", declared) if isinstance(declared, type) and issubclass(declared, Batch) else None


def _describe_body(operation: JsonObject, handler: HTTPRouteHandler) -> None:
    batch = _batch(handler)
    if batch is None:
        declared: Any = handler.parsed_data_field.annotation if handler.parsed_data_field else None
        if declared is not None and not needs_body(declared):
            operation["requestBody"]["required"] = False
        return
    content = operation["requestBody"]["content"]
    array = content["application/json"]["schema"] | {"minItems": 1, "maxItems": batch.items_max}
    if batch.member is None:
        content["application/json"]["schema"] = array
        content[NDJSON] = {"schema": {"type": "string", "description": "One item a line, as in the array."}}
        if batch.csv_columns:
            about = f"A header, and one item a row. Columns: {', '.join(f'`{name}`' for name in batch.csv_columns)}."
            content[CSV] = {"schema": {"type": "string", "description": about}}
    else:
        content["application/json"]["schema"] = {
            "type": "object",
            "properties": {batch.member: array | {"description": f"The items: 1 to {batch.items_max:,}."}},
            "required": [batch.member],
            "additionalProperties": False,
        }


def _describe_problems(operation: JsonObject, handler: HTTPRouteHandler) -> None:
    codes = [code for spec in (handler.responses or {}).values() if isinstance(spec, ProblemSpec) for code in spec.codes]
    parameters = operation.get("parameters", [])
    if _guard(handler) is not None:
        codes += ["unauthorized", "missing_scope", "quota_exceeded"]
    if any(parameter["in"] == "path" for parameter in parameters):
        codes.append("not_found")
    if any(parameter["in"] in {"path", "query"} for parameter in parameters):
        codes.append("invalid_field")
    codes.append("unknown_field")
    if "requestBody" in operation:
        codes += ["malformed_body", "too_large", "unsupported_media_type", "unknown_field", "invalid_field"]
    codes += ["malformed_request", "request_timeout", "url_too_long", "share_exceeded", "headers_too_large"]
    codes += ["internal_error", "overloaded", "database_unavailable"]
    responses = operation["responses"]
    new = next((status for status in ("201", "202") if status in responses), None)
    if new is not None and "200" not in responses and handler.parsed_fn_signature.return_type.is_subclass_of(Response):
        # A route that chooses its status answers 200 to what is not new.
        responses["200"] = responses[new] | {
            "description": "Nothing new: this was decided before and the answer is the same, or there is nothing to decide.",
            "headers": {REPLAYED: {"schema": {"const": "true", "type": "string"}, "description": "Present on a replay."}},
        }
    for parameter in parameters:
        if parameter["name"] == IDEMPOTENCY_HEADER:
            # A route that takes the header itself can do without.
            is_required = "key_header" not in handler.parsed_fn_signature.parameters
            parameter["required"] = is_required
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 255}
            parameter["example"] = f"{operation['operationId'].replace('_', '-')}-1"
            codes += ["idempotency_key_invalid", "idempotency_key_reused"]
            codes += ["idempotency_key_required"] if is_required else []
    for status in [status for status in responses if int(status) >= 400]:
        del responses[status]
    for status in sorted({CODES[code].status for code in codes}):
        told = sorted({code for code in codes if CODES[code].status == status})
        responses[str(status)] = {
            "description": "\n".join(f"- `{code}`: {CODES[code].meaning}" for code in told),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
    operation["responses"] = {status: responses[status] for status in sorted(responses)}


def _describe_structs(schemas: JsonObject) -> None:
    structs: defaultdict[str, list[type[msgspec.Struct]]] = defaultdict(list)
    for struct in _subclasses(msgspec.Struct):
        structs[struct.__name__].append(struct)
    for name, schema in schemas.items():
        named = structs[schema.get("title", name).partition("[")[0]]
        # Several may have the name, some of them not ours: the schema's has its fields.
        struct = next((each for each in named if set(schema.get("properties", {})) <= set(each.__struct_encode_fields__)), None)
        if struct is None or schema.get("type") != "object":
            continue
        _describe_fields(schema, struct)
        if about := inspect.getdoc(struct):
            schema.setdefault("description", about)
        if struct.__struct_config__.forbid_unknown_fields:
            schema["additionalProperties"] = False
        if example := getattr(struct, "example", None):
            schema["examples"] = [example]


def _describe_fields(schema: JsonObject, struct: type[msgspec.Struct]) -> None:
    """Say what a field is, what its type says of itself, and its limits."""
    texts = field_texts(struct)
    for name, described in schema.get("properties", {}).items():
        parts = (texts.get(name), described.get("description"))
        if about := " ".join(part for part in parts if part):
            described["description"] = _with_limits(about, described)


_UNBOUNDED = {2**31 - 1, 2**63 - 1}
"""Bounds of how a number is kept; no caller meets them."""


def _with_limits(about: str, described: JsonObject) -> str:
    """Name the limits of a value unless its text does."""
    match described:
        case {"maximum": most} if int(most) not in _UNBOUNDED:
            most, limits = f"{most:,.0f}", f"{described.get('minimum', 0):,.0f} to {most:,.0f}."
        case {"maxLength": most}:
            most, limits = f"{most:,}", f"At most {most:,} characters."
        case {"maxItems": most}:
            most, limits = f"{most:,}", f"At most {most:,} items."
        case _:
            return about
    return about if most in about else f"{about} {limits}"


def _subclasses(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for subclass in struct.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _with_short_names(document: JsonObject) -> JsonObject:
    """Name a page of transfers ``TransferResponsePage`` and the results of grants ``GrantResults``.

    The framework's names for them tell where their Python classes are.
    """
    text = msgspec.json.encode(document).decode()
    text = re.sub(r"\bPage_(?:\w+\.)*(\w+?)_(?=\")", r"\1Page", text)
    return msgspec.json.decode(re.sub(r"\bResults_(?:\w+\.)*(\w+?)_(?=\")", r"\1s", text))


_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})


def _mend(value: Any) -> None:
    """Write bounds as whole numbers, and unions as ``anyOf``: 1 is an integer and a number, which ``oneOf`` would refuse."""
    match value:
        case dict():
            members = cast("JsonObject", value)
            if "oneOf" in members:
                members["anyOf"] = members.pop("oneOf")
            for key, inner in members.items():
                if key in _BOUNDS and isinstance(inner, float) and inner.is_integer():
                    members[key] = int(inner)
                else:
                    _mend(inner)
        case list():
            for inner in cast("list[Any]", value):
                _mend(inner)
        case _:
            pass
