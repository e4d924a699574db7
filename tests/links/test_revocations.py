"""What is revoked earns nothing any more, says so kindly, and keeps what it has earned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.links import revocation_subjects
from service.revocations.actions import SUBJECTS
from service.revocations.schemas import RevocationRequest
from tests.api_fixtures import Api, make_brand, make_keys
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline

SERVICE = Path(__file__).parents[2] / "service"
WITHDRAWN = (410, "This link was withdrawn")


async def revoke(api: Api, **named: Any) -> dict[str, Any]:
    answer = await api.client("messaging").post("/v1/link-revocations", json=named)
    return answer.raise_for_status().json()


async def status_of(links: Links, path: str) -> tuple[int, str]:
    page = await links.api.client(None).get(path)
    return page.status_code, headline(page)


@pytest.mark.parametrize("by", ["link", "message_id", "campaign", "key"])
async def test_links_are_revoked_one_by_one_or_by_message_campaign_and_key(links: Links, by: str) -> None:
    [minted] = await links.mint(links.item(short=True))
    token, code = (minted[name].partition("rewards.test")[2] for name in ("url", "short_url"))
    paid = await links.path("C-paid")
    await claim(links, paid)
    [another] = await links.mint(links.item(message_id="newsletter-0413"))
    other = another["url"].partition("rewards.test")[2]
    keys = (await links.api.client("admin").get("/v1/keys")).json()["items"]
    named = {
        "link": minted["link_id"],
        "message_id": "newsletter-0412",
        "campaign": "autumn",
        "key": next(key["id"] for key in keys if key["name"] == "messaging"),
    }[by]
    revoked = await revoke(links.api, **{by: named}, reason="went to the wrong list")
    assert (revoked["kind"], revoked["named"]) == (by.removesuffix("_id"), named)
    assert await revoke(links.api, **{by: named}) == revoked

    assert await status_of(links, token) == WITHDRAWN
    assert await status_of(links, code) == WITHDRAWN
    assert headline(await claim(links, token)) == WITHDRAWN[1]
    assert (await links.api.client(None).get(token, headers={"Accept": "application/json"})).json()["code"] == "link_revoked"
    assert await links.balance() == 0
    assert await links.balance("C-paid") == 25
    assert (await status_of(links, other) == WITHDRAWN) == (by in {"campaign", "key"})
    [again] = await links.mint(links.item())
    assert (again["status"], again["problem"]["code"]) == (410, "link_revoked")

    admin = links.api.client("admin")
    assert (await admin.get("/v1/link-revocations")).json()["items"] == [revoked]
    assert (await admin.delete(f"/v1/link-revocations/{revoked['id']}")).json() == revoked
    assert (await admin.delete(f"/v1/link-revocations/{revoked['id']}")).status_code == 404
    assert headline(await claim(links, token)) == "25 Lumens added"
    trail = (await admin.get("/v1/audit-trail")).json()["items"]
    assert [entry["act"] for entry in trail if entry["act"].startswith("links.")] == ["links.revoke", "links.restore"]


@pytest.mark.parametrize(
    ("named", "code", "pointer"),
    [
        ({}, "invalid_field", ""),
        ({"link": "lnk_1", "campaign": "autumn"}, "invalid_field", ""),
        ({"link": "lnk_1"}, "invalid_field", "/link"),
        ({"key": "1"}, "invalid_field", "/key"),
        ({"campaign": "spring"}, "unknown_campaign", "/campaign"),
    ],
)
async def test_what_is_to_be_revoked_is_named(links: Links, named: dict[str, str], code: str, pointer: str) -> None:
    answer = await links.api.client("messaging").post("/v1/link-revocations", json=named)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_nobody_revokes_another_brands_links_or_restores_without_being_an_administrator(
    links: Links, owner: asyncpg.Connection[Any]
) -> None:
    path = await links.path()
    other = await make_keys(owner, await make_brand(owner, "other"))
    stranger = links.api.client(key=other["admin"])
    (await stranger.post("/v1/link-revocations", json={"message_id": "newsletter-0412"})).raise_for_status()
    assert (await status_of(links, path))[0] == 200
    mine = await revoke(links.api, message_id="newsletter-0412")
    assert (await stranger.delete(f"/v1/link-revocations/{mine['id']}")).status_code == 404
    assert (await links.api.client("messaging").delete(f"/v1/link-revocations/{mine['id']}")).status_code == 403
    assert await status_of(links, path) == WITHDRAWN


def test_a_request_names_each_subject_in_a_field_of_its_own() -> None:
    assert [*SUBJECTS, "reason"] == list(RevocationRequest.__struct_fields__)


def test_statements_look_up_the_subjects_there_are() -> None:
    looking = [text for file in SERVICE.rglob("*.sql") if "link_revocation.subject" in (text := file.read_text())]
    kinds = re.findall(r"'(\w+) (?:code:)?' \|\|", "".join(looking))
    assert len(looking) == 8
    assert set(kinds) == set(revocation_subjects.KINDS)


async def test_a_number_that_no_revocation_has_is_not_found(api: Api) -> None:
    for number in (0, 999, 2**31, 2**73):
        assert (await api.client("admin").delete(f"/v1/link-revocations/{number}")).status_code == 404
