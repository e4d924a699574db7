"""A link host is claimed, proved by a record in the DNS, looked at again, and lapses; meanwhile no link stops."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import dns.rcode
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.brand_settings import link_host_checker
from service.brand_settings.link_hosts import ASKED_EVERY, CHECKED_EVERY, GRACE
from service.egress.resolving import Resolver
from service.storage.database import WORKER_ROLE, create_engine
from tests.api_fixtures import BASE_URL, Api, have_link_host, make_brand, make_keys
from tests.conftest import Database
from tests.dns_server import Answer, aliases, fails, texts
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links

pytestmark = pytest.mark.one_process("asks at once what other processes learn within seconds")

HOST = "r.shop.example"
RECORD = f"_rewards-challenge.{HOST}"
OWN_HOSTS = frozenset({"rewards.test"})


@pytest.fixture
async def worker(database: Database) -> Any:
    """The worker's engine."""
    engine = create_engine(database.application_url, WORKER_ROLE, size=1)
    yield engine
    await engine.dispose()


async def claim(api: Api, host: str = HOST, key: str | None = None) -> dict[str, Any]:
    """Claim a host; what the brand's answer says of it."""
    answer = await admin_of(api, key).patch("/v1/brand", json={"link_base_url": f"https://{host}"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["link_base_url"] == f"https://{host}"
    return answer.json()["link_host"]


async def verify(api: Api, owner: asyncpg.Connection[Any], key: str | None = None) -> httpx.Response:
    """Have the host verified now, however short ago that was asked for last."""
    await owner.execute("UPDATE rewards.link_host SET checked_at = checked_at - interval '1 minute'")
    return await admin_of(api, key).post("/v1/brand/link-host/verify")


async def state(api: Api, key: str | None = None) -> tuple[str, str]:
    """How far the claim is, and what links begin with."""
    link_host = (await admin_of(api, key).get("/v1/brand/link-host")).json()
    return link_host["state"], link_host["links_begin_with"]


def admin_of(api: Api, key: str | None = None) -> httpx.AsyncClient:
    return api.client("admin") if key is None else api.client(key=key)


async def other_admin(owner: asyncpg.Connection[Any], code: str = "other") -> str:
    return (await make_keys(owner, await make_brand(owner, code)))["admin"]


async def check(api: Api, worker: AsyncEngine, at: datetime) -> int:
    return await link_host_checker.run_once(worker, Resolver(api.dns.address, timeout_s=1.0), OWN_HOSTS, at)


async def acts(api: Api) -> list[str]:
    items = (await api.client("admin").get("/v1/audit-trail", params={"limit": 1000})).json()["items"]
    return [entry["act"] for entry in items if entry["act"].startswith("link_host.")]


async def test_a_claim_says_what_to_publish_and_changes_no_link(links: Links) -> None:
    api = links.api
    link_host = await claim(api)
    assert link_host["state"] == "pending"
    assert link_host["links_begin_with"] == BASE_URL
    record = link_host["dns_record"]
    assert (record["name"], record["type"]) == (RECORD, "TXT")
    assert record["value"].startswith("rewards-host-verification=")
    assert (await links.mint(links.item()))[0]["url"].startswith(f"{BASE_URL}/r/")
    assert (await api.client("storefront").get("/v1/brand/link-host")).json() == link_host
    # Sending back what was read changes nothing, not even the record.
    brand = (await api.client("admin").get("/v1/brand")).json()
    assert (await api.client("admin").put("/v1/brand", json=brand)).json() == brand
    assert await acts(api) == ["link_host.claim"]
    association = await api.client(None).get("/.well-known/assetlinks.json", headers={"Host": HOST})
    assert association.status_code == 404


async def test_a_host_is_used_once_its_record_is_found(links: Links, owner: asyncpg.Connection[Any]) -> None:
    api = links.api
    record = (await claim(api))["dns_record"]
    assert (await verify(api, owner)).json()["state"] == "pending"
    api.dns.publish(RECORD, "v=spf1 -all", "rewards-host-verification=" + "0" * 40)
    answer = (await verify(api, owner)).json()
    assert (answer["state"], answer["last_error"]) == ("pending", "the record is not there, or has another value")
    before = await links.path("C-2")
    api.dns.publish(RECORD, "v=spf1 -all", record["value"])
    answer = (await verify(api, owner)).json()
    assert (answer["state"], answer["links_begin_with"], answer["last_error"]) == ("verified", f"https://{HOST}", None)
    assert (await links.mint(links.item()))[0]["url"].startswith(f"https://{HOST}/r/")
    for host in "rewards.test", HOST:
        assert (await api.client(None).get(before, headers={"Host": host})).status_code == 200
    assert await acts(api) == ["link_host.claim", "link_host.verify"]
    assert (await verify(api, owner)).json()["state"] == "verified"
    assert await acts(api) == ["link_host.claim", "link_host.verify"]


async def test_the_dns_is_not_asked_at_each_call(api: Api) -> None:
    await claim(api)
    for _ in range(3):
        assert (await api.client("admin").post("/v1/brand/link-host/verify")).status_code == 200
    assert [name for name, _ in api.dns.asked] == [RECORD]
    assert timedelta(0) < ASKED_EVERY < timedelta(minutes=1)


ERRORS: list[tuple[Answer, str]] = [
    (fails(dns.rcode.SERVFAIL), "the DNS answered with an error"),
    (aliases(3, loop=True), "the DNS answered with an error"),
    (aliases(9), "the name leads through too many aliases"),
    (texts("t" * 9_000), "the answer is larger than is taken"),
]


@pytest.mark.parametrize(("answer", "why"), ERRORS)
async def test_a_dns_that_answers_nonsense_is_said(api: Api, answer: Answer, why: str) -> None:
    await claim(api)
    api.dns.answers[RECORD] = answer
    verified = (await api.client("admin").post("/v1/brand/link-host/verify")).json()
    assert (verified["state"], verified["last_error"]) == ("pending", why)


async def test_an_alias_may_have_the_record(api: Api) -> None:
    value = (await claim(api))["dns_record"]["value"]
    api.dns.answers[RECORD] = aliases(2, value)
    assert (await api.client("admin").post("/v1/brand/link-host/verify")).json()["state"] == "verified"


async def test_who_claims_nothing_has_nothing_to_verify(api: Api) -> None:
    for method, path in ("GET", "/v1/brand/link-host"), ("POST", "/v1/brand/link-host/verify"):
        assert (await api.client("admin").request(method, path)).status_code == 404
    await claim(api)
    assert (await api.client("storefront").post("/v1/brand/link-host/verify")).status_code == 403


async def test_claims_block_nobody_and_the_proof_decides(api: Api, owner: asyncpg.Connection[Any]) -> None:
    other = await other_admin(owner)
    first, second = await claim(api), await claim(api, key=other)
    assert first["dns_record"]["value"] != second["dns_record"]["value"]
    # One brand's record is worth nothing to another, which claimed first.
    api.dns.publish(RECORD, second["dns_record"]["value"])
    assert (await verify(api, owner)).json()["state"] == "pending"
    assert (await verify(api, owner, other)).json()["state"] == "verified"
    # Whoever has it, and proves it still, keeps it, though another proves it too.
    api.dns.publish(RECORD, second["dns_record"]["value"], first["dns_record"]["value"])
    answer = await verify(api, owner)
    assert (answer.status_code, answer.json()["code"]) == (409, "link_host_taken")
    assert await state(api, other) == ("verified", f"https://{HOST}")
    # Where its record is gone, the next has it at once.
    api.dns.publish(RECORD, first["dns_record"]["value"])
    assert (await verify(api, owner)).json()["state"] == "verified"
    assert await state(api, other) == ("lapsed", BASE_URL)
    trail = (await admin_of(api, other).get("/v1/audit-trail")).json()["items"]
    assert ("operator", "link_host.lapse", HOST) in [(each["principal"], each["act"], each["subject"]) for each in trail]


@pytest.mark.parametrize("spelling", [HOST, "R.SHOP.example.", f"{HOST}:443", f"{HOST}:80", f"{HOST}:8443", "ｒ.shop.example"])
async def test_two_brands_cannot_have_one_host_however_it_is_spelt(
    api: Api, owner: asyncpg.Connection[Any], spelling: str
) -> None:
    await have_link_host(api, f"https://{HOST}")
    held = (await api.client("admin").get("/v1/brand/link-host")).json()["dns_record"]["value"]
    other = await other_admin(owner)
    answer = await admin_of(api, other).patch("/v1/brand", json={"link_base_url": f"https://{spelling}"})
    record = answer.json()["link_host"]["dns_record"]
    assert record["name"] == RECORD
    api.dns.publish(RECORD, held, record["value"])
    assert (await verify(api, owner, other)).json()["code"] == "link_host_taken"
    with pytest.raises(asyncpg.UniqueViolationError, match="link_host_is_one_brands"):
        await owner.execute(
            "UPDATE rewards.link_host SET state = 'verified', proven_by = 'dns', verified_at = now() WHERE state = 'pending'"
        )


async def test_a_host_is_kept_until_the_next_is_proved(links: Links, owner: asyncpg.Connection[Any]) -> None:
    api = links.api
    await have_link_host(api, f"https://{HOST}")
    await claim(api, "go.shop.example")
    assert await state(api) == ("pending", f"https://{HOST}")
    of_before = (await links.mint(links.item("C-2")))[0]["url"].removeprefix(f"https://{HOST}")
    await have_link_host(api, "https://go.shop.example")
    assert await state(api) == ("verified", "https://go.shop.example")
    assert (await links.mint(links.item()))[0]["url"].startswith("https://go.shop.example/r/")
    assert (await api.client(None).get(of_before, headers={"Host": HOST})).status_code == 200
    assert (await api.client("admin").patch("/v1/brand", json={"link_base_url": None})).json()["link_host"] is None
    assert (await links.mint(links.item("C-3")))[0]["url"].startswith(f"{BASE_URL}/r/")
    assert (await api.client(None).get(of_before, headers={"Host": HOST})).status_code == 200


async def test_a_host_whose_record_is_gone_lapses_after_the_grace_and_no_link_stops(links: Links, worker: AsyncEngine) -> None:
    api = links.api
    await have_link_host(api, f"https://{HOST}")
    path = (await links.mint(links.item("C-2")))[0]["url"].removeprefix(f"https://{HOST}")
    now = datetime.now(UTC)
    assert await check(api, worker, now) == 0
    day = now + CHECKED_EVERY + timedelta(minutes=1)
    assert await check(api, worker, day) == 1
    assert "link_host.missing" not in await acts(api)
    del api.dns.answers[RECORD]
    missed = day + CHECKED_EVERY + timedelta(minutes=1)
    assert await check(api, worker, missed) == 1
    link_host = (await api.client("admin").get("/v1/brand/link-host")).json()
    assert (link_host["state"], link_host["links_begin_with"]) == ("verified", f"https://{HOST}")
    assert datetime.fromisoformat(link_host["lapses_at"]) == missed + GRACE
    assert (await acts(api)).count("link_host.missing") == 1
    # A DNS that cannot be asked proves nothing, however long.
    api.dns.answers[RECORD] = fails(dns.rcode.SERVFAIL)
    late = missed + GRACE + timedelta(minutes=1)
    assert await check(api, worker, late) == 1
    assert (await state(api))[0] == "verified"
    del api.dns.answers[RECORD]
    assert await check(api, worker, late + timedelta(hours=2)) == 1
    api.services.brands.forget()
    api.services.principals.forget()
    assert await state(api) == ("lapsed", BASE_URL)
    assert (await acts(api))[-2:] == ["link_host.missing", "link_host.lapse"]
    assert await check(api, worker, late + timedelta(days=9)) == 0
    assert (await api.client(None).get(path, headers={"Host": HOST})).status_code == 200
    assert (await links.mint(links.item("C-3")))[0]["url"].startswith(f"{BASE_URL}/r/")


async def test_a_record_that_is_back_in_time_is_as_if_it_had_never_gone(api: Api, worker: AsyncEngine) -> None:
    await have_link_host(api, f"https://{HOST}")
    kept = api.dns.answers.pop(RECORD)
    missed = datetime.now(UTC) + CHECKED_EVERY + timedelta(minutes=1)
    await check(api, worker, missed)
    api.dns.answers[RECORD] = kept
    await check(api, worker, missed + CHECKED_EVERY + timedelta(minutes=1))
    link_host = (await api.client("admin").get("/v1/brand/link-host")).json()
    assert (link_host["state"], link_host["lapses_at"], link_host["last_error"]) == ("verified", None, None)


async def test_the_checker_takes_the_services_own_host_from_whoever_had_it(
    api: Api, owner: asyncpg.Connection[Any], worker: AsyncEngine
) -> None:
    await have_link_host(api, f"https://{HOST}")
    assert await link_host_checker.run_once(
        worker, Resolver(api.dns.address), frozenset({HOST}), datetime.now(UTC) + timedelta(days=2)
    )
    assert (await owner.fetchrow("SELECT state, last_error FROM rewards.link_host")) == (
        "lapsed",
        "this is the service's own host",
    )


async def test_the_worker_records_nothing_else_in_the_trail(database: Database, api: Api) -> None:
    engine = create_engine(database.application_url, WORKER_ROLE, size=1)
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="only what became of a link host"):
            await connection.exec_driver_sql("SELECT rewards.record_link_host_v1(1, 'key.create', 'x', NULL, NULL)")
    await engine.dispose()


async def test_a_pending_host_shows_every_brand(links: Links, owner: asyncpg.Connection[Any]) -> None:
    """It leads to the service as any other name may; nobody's links stop there because somebody claims it."""
    path = await links.path()
    other = await other_admin(owner)
    await make_campaign(links.api.client(key=other))
    await claim(links.api, key=other)
    assert (await links.api.client(None).get(path, headers={"Host": HOST})).status_code == 200


async def test_a_claim_that_is_made_while_the_dns_is_asked_stays(api: Api) -> None:
    value = (await claim(api))["dns_record"]["value"]
    api.dns.publish(RECORD, value)
    answer, _ = await asyncio.gather(api.client("admin").post("/v1/brand/link-host/verify"), claim(api, "go.shop.example"))
    assert answer.status_code == 200
    link_host = (await api.client("admin").get("/v1/brand/link-host")).json()
    assert (link_host["host"], link_host["state"]) == ("go.shop.example", "pending")


@pytest.mark.parametrize(
    ("written", "base_url"),
    [
        ("https://R.Bücher.example:443/", "https://r.xn--bcher-kva.example"),
        ("HTTPS://r.shop.example.", "https://r.shop.example"),
        ("https://r.shop.example:08443", "https://r.shop.example:8443"),
    ],
)
async def test_a_claim_is_kept_in_one_form(api: Api, written: str, base_url: str) -> None:
    admin = api.client("admin")
    claimed = (await admin.patch("/v1/brand", json={"link_base_url": written})).json()
    assert claimed["link_base_url"] == base_url
    # Another spelling of it is the same claim, with the same record.
    assert (await admin.patch("/v1/brand", json={"link_base_url": base_url})).json() == claimed
