"""Paths and queries on every route: an id means the same wherever it is written, and nothing that is asked is passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.app import describe
from service.auth.actions import create_key
from service.auth.scopes import Scope
from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "points": 5}],
}


@pytest.fixture
async def api(api: Api) -> Api:
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    return api


async def ask(api: Api, method: str, target: bytes, key: str | None = "admin", body: bytes = b"") -> tuple[int, Any]:
    """Send a target as it is, which no client's library would."""
    headers = [(b"host", b"rewards.test"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if key is not None:
        headers.append((b"authorization", f"Bearer {api.keys[key]}".encode()))
    path, _, query = target.partition(b"?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("rewards.test", 80),
    }
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await api.app(scope, receive, send)  # pyright: ignore[reportArgumentType]
    content = b"".join(message.get("body", b"") for message in messages)
    is_json = b"json" in dict(messages[0]["headers"]).get(b"content-type", b"")
    return messages[0]["status"], json.loads(content) if is_json and content else content


IDS = [
    "lead",
    "/lead",
    "lead/",
    "a/b",
    "a//b",
    "gid://shopify/Customer/1",
    "%",
    "%2F",
    "%252F",
    "50%",
    "?",
    "#",
    "a&b=c",
    "a+b",
    ".",
    "..",
    "../..",
    "a b",
    " ",
    "ü",
    "u\u0308",
    "Müller",
    "😀",
    "\ufffd",
    "\uffff",
    "{customer_id}",
    "batch",
    "lookup",
    "attention",
    "balance",
    "s",
    "v",
    "vbatch",
    "é" * 128,
]


async def test_any_id_that_can_earn_can_be_read_and_is_nobody_elses(api: Api) -> None:
    for n, customer in enumerate(IDS):
        for message in range(n + 1):
            report = {"campaign": "autumn", "message_id": f"m{message}", "customer": {"id": customer}, "action": "click"}
            answer = await api.client("messaging").post("/v1/grants", json={**report, "channel": "sms"})
            assert answer.status_code == 201, customer
    for n, customer in enumerate(IDS):
        path = b"/v1/customers/" + quote(customer, safe="").encode()
        for query in (b"", b"?&"):  # outside the framework where that takes it, and within it
            status, balance = await ask(api, "GET", path + b"/balance" + query)
            assert (status, balance["balance"], balance["customer"]) == (200, 5 * (n + 1), customer)
            status, statement = await ask(api, "GET", path + b"/statement" + query)
            assert (status, len(statement["items"])) == (200, n + 1)
        assert (await ask(api, "GET", path + b"/wallet"))[1]["balance"] == 5 * (n + 1)
        assert (await ask(api, "GET", path + b"/identities"))[0] == 200
        status, kept = await ask(api, "PUT", path, body=json.dumps({"email": f"someone{n}@mail.example"}).encode())
        assert (status, kept.get("id", customer)) == (200, customer)
        status, consent = await ask(api, "PUT", path + b"/consents/sms", body=b'{"status": "refused", "source": "call"}')
        assert status in {200, 201}, consent
    for customer in IDS:
        grants = await api.client("messaging").get("/v1/grants", params={"customer": customer})
        assert len(grants.json()["items"]) == IDS.index(customer) + 1


async def test_spellings_of_one_path_are_one_path(api: Api) -> None:
    for path in (b"/v1/customers/lead/balance", b"/v1/customers/%6Ce%61d/balance", b"/%761/customers/lead/%62alance"):
        status, balance = await ask(api, "GET", path)
        assert (status, balance["customer"]) == (200, "lead")


NO_PATHS: list[tuple[bytes, int, str]] = [
    (b"/v1/customers/M%FCller/balance", 400, "malformed_request"),
    (b"/v1/customers/M\xfcller/balance", 400, "malformed_request"),
    (b"//v1/customers/M%FCller/balance", 400, "malformed_request"),
    (b"/v1/customers/%C0%AFlead/balance", 400, "malformed_request"),
    (b"/v1/customers/%ED%A0%80/balance", 400, "malformed_request"),
    (b"/v1/customers/50%/balance", 400, "malformed_request"),
    (b"/v1/customers/%zz/balance", 400, "malformed_request"),
    (b"/%761/customers/M%FCller/balance", 404, "not_found"),
    (b"/v1/customers//lead/balance", 404, "not_found"),
    (b"/v1//customers/lead/balance", 404, "not_found"),
    (b"//v1/customers/lead/balance", 404, "not_found"),
    (b"/v1/customers/a%00b/balance", 404, "not_found"),
    (b"/v1/customers/%00slead/balance", 404, "not_found"),
    (b"/v1%2Fcustomers/lead/balance", 404, "not_found"),
    (b"/v1/customers/lead%2Fbalance", 405, "method_not_allowed"),
    (b"/v1/customers/%0A/balance", 422, "invalid_field"),
    (b"/v1/customers/" + b"x" * 257 + b"/balance", 422, "invalid_field"),
    (b"/v1/customers/" + b"x" * 100_000 + b"/balance", 422, "invalid_field"),
    (b"/v1/grants/" + b"x" * 100_000, 422, "invalid_field"),
    (b"/v1/link-revocations/" + b"9" * 10_000, 405, "method_not_allowed"),
    (b"/v1/link-revocations/" + b"9" * 30, 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("path", "status", "code"), NO_PATHS)
async def test_a_path_that_names_nothing_is_refused(api: Api, path: bytes, status: int, code: str) -> None:
    answered, problem = await ask(api, "GET", path)
    assert (answered, problem["code"]) == (status, code)
    assert len(json.dumps(problem)) < 1_000


async def test_a_number_in_a_path_that_is_none_names_nothing(api: Api) -> None:
    for number in (b"9" * 10_000, b"9" * 30, b"%2B1", b"-1", b"1%2F", "\u0663".encode(), b"1_0"):
        status, _ = await ask(api, "DELETE", b"/v1/link-revocations/" + number)
        assert status == 404, number


async def test_a_wrong_value_in_a_path_is_named(api: Api) -> None:
    _, problem = await ask(api, "PUT", b"/v1/customers/a%0Ab", body=b"{}")
    assert problem["errors"][0]["pointer"] == "{customer_id}"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in describe()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.fixture
async def with_keys(api: Api, owner: asyncpg.Connection[Any]) -> Api:
    """An API with a key for each operation, of its name, which holds what the operation needs and no more."""
    for _, _, operation in operations():
        needed = operation.get("description", "").rpartition("Needs the scope")[2].partition(" or ")[0]
        scopes = [word for word in re.findall("`(.+?)`", needed) if word in set(Scope)] or [Scope.CAMPAIGNS_READ]
        name = operation["operationId"]
        api.keys[name] = (await create_key(owner, "lumen", name, scopes, "A"))[0]
    return api


async def test_no_route_passes_over_a_parameter_that_it_does_not_know(with_keys: Api) -> None:
    seen = 0
    for method, path, operation in operations():
        parameters = operation.get("parameters", [])
        filled = path.format_map({each["name"]: "1" for each in parameters if each["in"] == "path"})
        wanted = [each for each in parameters if each["in"] == "query"]
        others = [f"{each['name']}=1" for each in wanted if each.get("required")]
        target = f"{filled}?{'&'.join([*others, 'orderref=X'])}"
        status, problem = await ask(with_keys, method, target.encode(), operation["operationId"])
        assert (status, problem.get("code")) == (422, "unknown_field"), f"{method} {target}: {problem}"
        assert [error["pointer"] for error in problem["errors"]] == ["?orderref"]
        for each in wanted:
            if '"array"' in json.dumps(each["schema"]):
                continue
            twice = f"{filled}?{each['name']}=1&{each['name']}=1"
            status, problem = await ask(with_keys, method, twice.encode(), operation["operationId"])
            assert (status, problem.get("code")) == (422, "invalid_field"), f"{method} {twice}: {problem}"
            assert {"pointer": f"?{each['name']}", "code": "invalid_field", "detail": "is given twice"} in problem["errors"]
        seen += 1
    assert seen > 60


QUERIES: list[tuple[bytes, int, str]] = [
    (b"customer=M%FCller", 422, "?"),
    (b"customer=M\xfcller", 422, "?"),
    (b"customer=50%", 422, "?"),
    (b"customer=a%00b", 422, "?customer"),
    (b"a%00b=1", 422, "?ab"),
    (b"&".join([b"limit=1"] * 101), 422, "?"),
    (b"x" * 10_000 + b"=1", 422, "?" + "x" * 100 + "…"),
]


@pytest.mark.parametrize(("query", "status", "pointer"), QUERIES)
async def test_a_query_that_cannot_be_read_is_refused(api: Api, query: bytes, status: int, pointer: str) -> None:
    answered, problem = await ask(api, "GET", b"/v1/grants?" + query, "messaging")
    assert (answered, problem["errors"][0]["pointer"]) == (status, pointer)


async def test_letters_may_be_sent_as_they_are(api: Api) -> None:
    report = {"campaign": "autumn", "message_id": "m", "customer": {"id": "Müller"}, "action": "click", "channel": "sms"}
    (await api.client("messaging").post("/v1/grants", json=report)).raise_for_status()
    for spelled in ("Müller".encode(), b"M%C3%BCller"):
        status, grants = await ask(api, "GET", b"/v1/grants?customer=" + spelled, "messaging")
        assert (status, len(grants["items"])) == (200, 1)
        assert (await ask(api, "GET", b"/v1/customers/" + spelled + b"/balance"))[1]["balance"] == 5


async def test_a_script_that_claims_without_a_key_declares_no_parameter_either(api: Api) -> None:
    status, problem = await ask(api, "POST", b"/v1/claims?x=1", None, b"{}")
    assert (status, problem["code"]) == (422, "unknown_field")


@pytest.mark.parametrize(
    "path", [b"/r/none", b"/wallet/none", b"/preferences/none", b"/docs", b"/docs/errors", b"/openapi.json"]
)
async def test_pages_pass_over_what_mail_programs_add(api: Api, path: bytes) -> None:
    plain, _ = await ask(api, "GET", path, None)
    for query in (b"?utm_source=mail&utm_source=twice&fbclid=x", b"?utm_campaign=M%FCller&x=%&%00=%00"):
        assert (await ask(api, "GET", path + query, None))[0] == plain


NO_PAGES = [
    b"/docs/static/" + b"a" * 300,
    b"/docs/static/" + b"a" * 100_000,
    b"/docs/static/..%2f..%2fapp.py",
    b"/docs/static/../app.py",
    b"/docs/static/%00",
    b"/docs/static/%ff",
    b"/docs/static/",
    b"/docs/static",
    b"/docs/" + b"a" * 300,
    b"/r/" + b"a" * 100_000,
    b"/r/%ff",
    b"/r/%00",
    b"/r/a%2Fb",
    b"/r/done/%ff",
    b"/r/done/%ED%A0%80",
    b"/wallet/%ff%",
    b"/wallet/" + b"a" * 10_000,
    b"/preferences/a%2Fb",
    b"/o/%ff.gif",
    b"/live/%ff.png",
    b"/live/" + b"a" * 10_000 + b".png",
    b"/qr/%ff.svg",
    b"/qr/" + b"A" * 10_000 + b".svg",
    b"/%ff",
    b"/\xff\xfe",
    b"/\xed\xa0\x80",
    b"/.well-known/%ff",
]


@pytest.mark.parametrize("path", NO_PAGES)
async def test_a_page_that_is_not_there_is_not_found(api: Api, path: bytes) -> None:
    for method in ("GET", "HEAD"):
        status, _ = await ask(api, method, path, None)
        # A picture that nobody is known for is still a picture.
        assert status == 404 or (status == 200 and path.endswith((b".gif", b".png"))), method


async def test_what_the_reference_is_made_of_is_there(api: Api) -> None:
    for name, media_type in (
        ("reference.css", "text/css"),
        ("reference.js", "text/javascript"),
        ("rapidoc.js", "text/javascript"),
    ):
        answer = await api.client(None).get(f"/docs/static/{name}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, media_type)
        assert answer.content


PARTS = st.one_of(
    st.sampled_from(
        [b"v1", b"v1", b"customers", b"batch", b"grants", b"links", b"balance", b"r", b"done", b"wallet", b"docs", b"static",
         b"preferences", b"o", b"live", b"qr", b".well-known", b"health", b"", b".", b"..", b"%2F", b"%00", b"%ff", b"%",
         b"%ED%A0%80", b"\xff"]
    ),
    st.binary(max_size=12).map(lambda raw: raw.replace(b"/", b"").replace(b"?", b"")),
    st.text(max_size=12).map(lambda text: quote(text, safe="", errors="replace").encode()),
)  # fmt: skip


async def test_no_path_is_our_fault(api: Api) -> None:
    asked: list[tuple[str, bytes, str | None]] = []

    @settings(max_examples=300, deadline=None, database=None)
    @given(
        st.sampled_from([b"", b"/v1"]),
        st.lists(PARTS, min_size=1, max_size=6),
        st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
        st.binary(max_size=20),
        st.sampled_from([None, "admin", "messaging"]),
    )
    def collect(api_or_not: bytes, parts: list[bytes], method: str, query: bytes, key: str | None) -> None:
        asked.append((method, api_or_not + b"/" + b"/".join(parts) + b"?" + query, key))

    collect()
    statuses = {(await ask(api, method, target, key, b"{}"))[0]: target for method, target, key in asked}
    assert {400, 404} <= statuses.keys()
    assert max(statuses) < 500, statuses[max(statuses)]
