"""Codes for packs and print: one code pays one person once, whoever comes first."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.app import bind
from tests.api_fixtures import BASE_URL, Api, make_brand, make_keys
from tests.links.conftest import EMAIL, Links
from tests.links.pages.test_visits import headline, without_nonce

TAKEN = "This code has been used"


async def make_batch(api: Api, **changed: Any) -> httpx.Response:
    batch = {"id": "packs-1", "campaign": "autumn", "action": "click", "channel": "email", "codes": 3, **changed}
    return await api.client("messaging").post("/v1/code-batches", json=batch)


async def codes_of(api: Api, batch_id: str = "packs-1") -> list[str]:
    file = await api.client("messaging").get(f"/v1/code-batches/{batch_id}/codes")
    return [line.split(",")[1] for line in file.raise_for_status().text.splitlines()[1:-1]]


async def claim(api: Api, code: str, customer: str | dict[str, str] = "C-1001") -> httpx.Response:
    ref = {"id": customer} if isinstance(customer, str) else customer
    return await api.client("messaging").post("/v1/code-claims", json={"code": code, "customer": ref})


async def enter(api: Api, code: str, email: str, **headers: str) -> httpx.Response:
    """Send the page of a code in."""
    sent = {"Sec-Fetch-Site": "same-origin", **headers}
    return await api.client(None).post(f"/{code}", data={"email": email}, headers=sent, follow_redirects=True)


@pytest.fixture
async def codes(links: Links) -> list[str]:
    """Three codes."""
    (await make_batch(links.api)).raise_for_status()
    return await codes_of(links.api)


async def test_ten_thousand_codes_are_as_many_as_their_file_says(links: Links, owner: asyncpg.Connection[Any]) -> None:
    made = await make_batch(links.api, codes=10_000)
    batch = made.json()
    assert (made.status_code, batch["codes"], batch["claimed"]) == (201, 10_000, 0)
    file = await links.api.client("messaging").get("/v1/code-batches/packs-1/codes")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    header, *lines, total = file.text.split("\r\n")[:-1]
    assert header == "serial,code,url"
    rows = [line.split(",") for line in lines]
    assert [int(serial) for serial, _, _ in rows] == list(range(1, 10_001))
    codes = [code for _, code, _ in rows]
    assert len(set(codes)) == 10_000
    assert {url for _, _, url in rows} == {f"{BASE_URL}/{code}" for code in codes}
    control_total = hashlib.sha256("".join(f"{code}\n" for code in codes).encode()).hexdigest()
    assert total == f"total,10000,{control_total}"
    assert batch["control_total"] == control_total

    stored = await owner.fetch("SELECT code_hash, serial FROM rewards.batch_code ORDER BY serial")
    assert [(row["code_hash"], row["serial"]) for row in stored] == [
        (hashlib.sha256(code.encode()).digest()[:16], serial) for serial, code in enumerate(codes, start=1)
    ]
    again = await make_batch(links.api, codes=10_000)
    assert (again.status_code, again.json()) == (200, batch)
    assert (await links.api.client("messaging").get("/v1/code-batches/packs-1/codes")).content == file.content
    assert (await links.api.client("messaging").get("/v1/code-batches")).json()["items"] == [batch]


@pytest.mark.one_process("takes a key from this process")
async def test_what_is_printed_outlives_the_key_it_was_made_with(links: Links, codes: list[str]) -> None:
    assert await codes_of(links.api) == codes
    services = links.api.services
    without_keys = msgspec.structs.replace(services.token_keys, codes={})
    bind(links.api.app, msgspec.structs.replace(services, token_keys=without_keys))
    file = await links.api.client("messaging").get("/v1/code-batches/packs-1/codes")
    assert (file.status_code, file.json()["code"]) == (404, "not_found")
    assert (await claim(links.api, codes[0])).json()["outcome"] == "granted"


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"campaign": "spring"}, 422, "unknown_campaign"),
    ({"action": "open"}, 422, "invalid_field"),
    ({"channel": "sms"}, 422, "invalid_field"),
    ({"codes": 0}, 422, "invalid_field"),
    ({"codes": 100_001}, 422, "invalid_field"),
    ({"id": "packs 1"}, 422, "invalid_field"),
    ({"destination": "https://evil.example/"}, 422, "invalid_field"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "invalid_field"),
]


@pytest.mark.parametrize(("changed", "status", "code"), WRONG)
async def test_what_is_wrong_with_a_batch_is_said(links: Links, changed: dict[str, Any], status: int, code: str) -> None:
    answer = await make_batch(links.api, **changed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_id_stands_for_one_batch(links: Links, codes: list[str]) -> None:
    answer = await make_batch(links.api, codes=4)
    assert (answer.status_code, answer.json()["code"]) == (409, "code_batch_exists")
    (await make_batch(links.api, id="packs-2")).raise_for_status()
    assert not set(codes) & set(await codes_of(links.api, "packs-2"))


@pytest.mark.parametrize("since", ["the campaign is over", "the host is no longer the brand's"])
async def test_the_same_batch_is_known_however_its_destination_is_written(links: Links, since: str) -> None:
    written = "https://Shop.example:443"
    made = await make_batch(links.api, destination=written)
    assert made.status_code == 201
    admin = links.api.client("admin")
    if since == "the campaign is over":
        began, ended = ((datetime.now(UTC) - timedelta(hours=hours)).isoformat() for hours in (2, 1))
        rules = [{"action": "reply", "points": 1}]
        over = {"name": "Autumn", "starts_at": began, "ends_at": ended, "rules": rules}
        (await admin.post("/v1/campaigns/autumn/versions", json=over)).raise_for_status()
    else:
        (await admin.patch("/v1/brand", json={"destination_hosts": ["elsewhere.example"]})).raise_for_status()
    for each in written, "https://shop.example", "https://shop.example/":
        again = await make_batch(links.api, destination=each)
        assert (again.status_code, again.json()) == (200, made.json())
    for other in "https://shop.example/autumn", "http://shop.example/", "nowhere":
        assert (await make_batch(links.api, destination=other)).status_code == 422


async def test_the_same_code_twice_is_one_grant(links: Links, codes: list[str]) -> None:
    first = (await claim(links.api, codes[0])).json()
    assert (first["outcome"], first["points"], first["replayed"]) == ("granted", 25, False)
    printed = f"{codes[0][:4]} {codes[0][4:8]}-{codes[0][8:]}".lower()
    second = (await claim(links.api, printed)).json()
    assert (second["grant_id"], second["replayed"]) == (first["grant_id"], True)
    other = await claim(links.api, codes[0], "C-2")
    assert (other.status_code, other.json()["code"]) == (409, "code_taken")
    assert (await claim(links.api, codes[1])).json()["outcome"] == "granted"
    assert await links.balance() == 50
    batch = (await links.api.client("messaging").get("/v1/code-batches/packs-1")).json()
    assert batch["claimed"] == 2


async def test_of_many_at_once_one_is_paid(links: Links, codes: list[str]) -> None:
    answers = await asyncio.gather(*(claim(links.api, codes[0], f"C-{n}") for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert sum([await links.balance(f"C-{n}") for n in range(20)]) == 25


async def test_an_address_with_letters_that_cannot_be_read_is_nobodys(links: Links, codes: list[str]) -> None:
    for content in (b"email=m%FCller@mail.example", b"email=m\xfcller@mail.example", b"&" * 200 + b"email=ada@mail.example"):
        headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await links.api.client(None).post(f"/{codes[0]}", content=content, headers=headers, follow_redirects=True)
        assert (answer.status_code, 'aria-invalid="true"' in answer.text) == (422, True)


async def test_whoever_has_the_pack_enters_her_email(links: Links, codes: list[str]) -> None:
    client = links.api.client(None)
    for path in (f"/{codes[0]}", f"/{codes[0].lower()}", f"/r/{codes[0]}"):
        page = await client.get(path)
        assert (page.status_code, headline(page)) == (200, "25 Lumens for you")
        assert 'name="email"' in page.text
    wrong = await enter(links.api, codes[0], "nobody")
    assert (wrong.status_code, 'aria-invalid="true"' in wrong.text) == (422, True)
    assert headline(await enter(links.api, codes[0], EMAIL, **{"Sec-Fetch-Site": "cross-site"})) == "25 Lumens for you"
    done = await enter(links.api, codes[0], EMAIL)
    assert headline(done) == "25 Lumens added"
    assert "/r/done/" in str(done.url)
    # An email that is typed in proves nothing: no balance, and not who used the code.
    assert "Your balance" not in done.text
    assert "give the same address when you pay or sign in" in done.text
    assert "A code pays each person once." in done.text
    assert "Each link earns once" not in done.text
    hers, anothers = await enter(links.api, codes[0], EMAIL), await enter(links.api, codes[0], "another@mail.example")
    assert headline(hers) == TAKEN
    assert without_nonce(hers) == without_nonce(anothers)
    assert headline(await client.get(f"/{codes[0]}")) == TAKEN
    looked_up = await links.api.client("messaging").post("/v1/customers/lookup", json={"customers": [{"email": EMAIL}]})
    assert looked_up.json()["results"][0]["balance"] == 25


async def test_her_code_stays_hers_when_she_gets_an_id(links: Links, codes: list[str]) -> None:
    await enter(links.api, codes[0], EMAIL)
    names = await links.api.client("messaging").put("/v1/customers/C-1001", json={"email": EMAIL})
    names.raise_for_status()
    assert (await claim(links.api, codes[0])).json()["replayed"]
    assert await links.balance() == 25


async def test_who_was_interrupted_tries_again_and_nobody_comes_in_between(
    links: Links, codes: list[str], owner: asyncpg.Connection[Any]
) -> None:
    """A process that is killed after it has taken a code for her leaves it so."""
    asked = {"customers": [{"email": EMAIL}]}
    numbers = (await links.api.client("messaging").post("/v1/link-numbers", json=asked)).json()
    took = "UPDATE rewards.batch_code SET customer = $1, claimed_at = now() WHERE serial = 1"
    await owner.execute(took, int(numbers["customers"][0]["sub"]))
    assert headline(await links.api.client(None).get(f"/{codes[0]}")) == "25 Lumens for you"
    assert headline(await enter(links.api, codes[0], "another@mail.example")) == TAKEN
    assert headline(await enter(links.api, codes[0], EMAIL)) == "25 Lumens added"
    assert headline(await links.api.client(None).get(f"/{codes[0]}")) == TAKEN


async def test_a_code_is_not_used_up_where_nothing_was_decided(links: Links, codes: list[str]) -> None:
    admin = links.api.client("admin")
    (await admin.post("/v1/campaigns/autumn/pause")).raise_for_status()
    await asyncio.sleep(1.1)
    assert headline(await links.api.client(None).get(f"/{codes[0]}")) == "A short break"
    assert (await claim(links.api, codes[0])).json()["reason"] == "campaign_paused"
    (await admin.post("/v1/campaigns/autumn/resume")).raise_for_status()
    await asyncio.sleep(1.1)
    assert (await claim(links.api, codes[0], "C-2")).json()["outcome"] == "granted"


async def test_a_revoked_batch_explains_itself_and_pays_nothing(links: Links, codes: list[str]) -> None:
    revoked = await links.api.client("messaging").post("/v1/link-revocations", json={"code_batch": "packs-1"})
    assert revoked.json()["kind"] == "code_batch"
    for page in (await links.api.client(None).get(f"/{codes[0]}"), await enter(links.api, codes[0], EMAIL)):
        assert (page.status_code, headline(page)) == (410, "This link was withdrawn")
        assert "Lumen has withdrawn this link" in page.text
    answer = await claim(links.api, codes[0])
    assert (answer.status_code, answer.json()["code"]) == (410, "link_revoked")
    assert (await links.api.client("messaging").get("/v1/code-batches/packs-1")).json()["revoked"]


async def test_a_code_has_a_last_day(links: Links, codes: list[str], owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "UPDATE rewards.code_batch SET made_at = now() - interval '9 days', expires_at = now() - interval '1 day'"
    )
    assert (await links.api.client(None).get(f"/{codes[0]}")).status_code == 410
    assert (await claim(links.api, codes[0])).json()["code"] == "link_expired"


async def test_another_brands_code_and_one_that_is_none_are_not_found(
    links: Links, codes: list[str], owner: asyncpg.Connection[Any]
) -> None:
    other = await make_keys(owner, await make_brand(owner, "other"))
    stranger = links.api.client(key=other["messaging"])
    for code in codes[0], "AAAAAAAAAAAAAAAA", "no code":
        answer = await stranger.post("/v1/code-claims", json={"code": code, "customer": {"id": "C-1"}})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await stranger.get("/v1/code-batches/packs-1/codes")).status_code == 404
