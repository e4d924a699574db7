"""``/``: a page for a browser, the same problem as ever for a program; nothing of ours on a brand's own host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from service.app import bind
from service.tokens.code import normal_code
from tests.api_fixtures import Api

if TYPE_CHECKING:
    from collections.abc import Mapping

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_a_browser_gets_a_page_that_leads_on(api: Api) -> None:
    client = api.client(None)
    answer = await client.get("/", headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["vary"] == "Accept"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    targets = [part.split('"')[0] for part in answer.text.split('<a href="')[1:]]
    assert {"/docs", "/docs/errors", "/openapi.json", "/health/ready", "/console", "/demo/wallet", "/demo/shop"} <= set(targets)
    for target in targets:
        if not target.startswith("/demo/"):
            # A process that has much to do says that it is not ready.
            expected = {200, 503} if target == "/health/ready" else {200}
            assert (await client.get(target, follow_redirects=True)).status_code in expected, target
    head = await client.request("HEAD", "/", headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "application/json"}])
async def test_a_program_is_told_as_ever_that_there_is_nothing(api: Api, headers: Mapping[str, str]) -> None:
    answer = await api.client(None).get("/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await api.client(None).post("/", headers=BROWSER)).status_code == 405


async def test_a_code_at_the_root_is_still_a_code(api: Api) -> None:
    code = "MZXW6YTBOI4GC2LT"
    assert normal_code(code) == code
    answer = await api.client(None).get(f"/{code}", headers=BROWSER)
    assert (answer.status_code, "Atomic Rewards" in answer.text) == (404, False)


@pytest.mark.one_process("gives this process other settings")
async def test_outside_a_demo_nothing_is_said_of_one(api: Api) -> None:
    bind(api.app, msgspec.structs.replace(api.services, settings=msgspec.structs.replace(api.settings, demo=False)))
    answer = await api.client(None).get("/", headers=BROWSER)
    assert (answer.status_code, "/demo/" in answer.text) == (200, False)
    for path in ("/demo/link", "/demo/wallet", "/demo/shop"):
        assert (await api.client(None).get(path)).status_code == 404
