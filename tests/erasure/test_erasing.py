"""Erasing a customer: who may, what it leaves, and that nothing of theirs is found anywhere afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pyarrow.parquet as pq
import pytest

from service.campaigns.queries import campaign_ids
from service.customers.directory import CustomerDirectory
from service.customers.identities import named
from service.customers.schemas import CustomerRef
from service.export_jobs.mart.facts import Day, writers_of_day
from service.exports import bundle
from service.exports.book_at_cut import BookAtCut
from service.exports.bundle import ExportFormat
from service.settings import IdentityKey
from tests.api_fixtures import Api
from tests.erasure.conftest import ADA, BOB, Erase, Owner, Who, approve, ask, erased, live, redeem, report
from tests.ledger.conftest import assert_books_are_sound

pytestmark = pytest.mark.usefixtures("campaign")

TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND relkind IN ('r', 'p') AND NOT relispartition
"""


async def everything(owner: Owner) -> dict[str, str]:
    """All rows of each table, as text."""
    tables = [row[0] for row in await owner.fetch(TABLES)]
    return {
        table: await owner.fetchval(f"SELECT coalesce(string_agg(to_jsonb(one)::text, ' '), '') FROM {table} AS one")
        for table in tables
    }


def named_in(texts: dict[str, str], who: Who) -> dict[str, list[str]]:
    """Where a person is named, and how."""
    found = {where: [each for each in who.spellings() if each.lower() in text.lower()] for where, text in texts.items()}
    return {where: spellings for where, spellings in found.items() if spellings}


async def test_an_erased_person_is_named_nowhere(api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase) -> None:
    await live(api, ADA)
    await live(api, BOB)
    of_bob = named_in(await everything(owner), BOB)
    before = named_in(await everything(owner), ADA)
    assert {"ledger.event", "ledger.redemption", "ledger.redemption_step", "ledger.correction", "rewards.link"} <= before.keys()
    assert {"ledger.offer_notice", "rewards.offer", "rewards.offer_message"} <= before.keys()
    macs = {row[0] for row in await owner.fetch("SELECT mac FROM rewards.identity WHERE customer = 1")}
    assert len(macs) == 4
    touches = await owner.fetchval("SELECT count(*) FROM rewards.touch")
    done = await erased(api, checker, erase, ADA)
    assert (done["state"], done["points_forfeited"]) == ("erased", 65)
    after = await everything(owner)
    assert named_in(after, ADA) == {}
    assert {table for table, text in after.items() if any(mac.hex() in text for mac in macs)} == {"rewards.tombstone"}
    assert await owner.fetchval("SELECT count(*) FROM rewards.touch") < touches
    assert named_in(after, BOB) == of_bob
    await assert_books_are_sound(owner)


async def test_what_they_replied_with_is_deleted(api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase) -> None:
    await live(api, ADA)
    await live(api, BOB)
    await owner.execute("""
        INSERT INTO rewards.reply_text (text, customer, reply)
        SELECT decode(md5(customer::text), 'hex'), customer, decode(md5('reply'), 'hex') FROM rewards.customer
    """)
    await erased(api, checker, erase, ADA)
    assert await owner.fetch("SELECT customer FROM rewards.reply_text") == [(2,)]


async def test_whatever_is_said_of_them_later_is_refused_and_makes_nobody(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    kept = await live(api, ADA)
    await erased(api, checker, erase, ADA)
    customers = await owner.fetchval("SELECT count(*) FROM rewards.customer")
    admin, messaging, storefront = (api.client(name) for name in ("admin", "messaging", "storefront"))
    key = {"Idempotency-Key": "later"}
    order = {"points": 1, "order_ref": "order-9"}
    answers = [
        await report(api, ADA, f"mail-{ADA.name}"),
        *[await report(api, ADA, "mail-9", customer={kind: name}) for kind, name in ADA.names.items()],
        await report(api, ADA, "mail-9", customer={"id": "crm-new", "email": f"  {ADA.email.upper()} "}),
        await report(api, ADA, "mail-9", customer={"id": "cus_1"}),
        await storefront.post("/v1/redemptions", json={"customer": {"id": ADA.id}, **order}, headers=key),
        await storefront.post("/v1/redemptions", json={"customer": {"id": "cus_1"}, **order}, headers=key),
        await storefront.post(f"/v1/redemptions/{kept['redemption']}/refund", json={"points": 1}, headers=key),
        await storefront.post(f"/v1/redemptions/{kept['redemption']}/void"),
        await storefront.get(f"/v1/customers/{ADA.id}/balance"),
        await admin.put(f"/v1/customers/{ADA.id}", json={}),
        await admin.put("/v1/customers/crm-new", json={"phone": ADA.phone}),
        await admin.post("/v1/customers/crm-bob/merge", json={"from": {"email": ADA.email}}),
        await messaging.delete(f"/v1/customers/{ADA.id}"),
        await api.client("care").post(f"/v1/grants/{kept['grant']}/clawback", json={"reason": "mistake"}, headers=key),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(410, "customer_erased")] * len(answers)
    batch = [
        {"campaign": "autumn", "message_id": "mail-9", "customer": {"id": who.id}, "action": "click", "channel": "email"}
        for who in (ADA, BOB)
    ]
    results = (await messaging.post("/v1/grants/batch", json=batch)).json()["results"]
    assert [result["problem"]["code"] if "problem" in result else result["outcome"] for result in results] == [
        "customer_erased",
        "granted",
    ]
    for path in (kept["link"], kept["page"]):
        assert (await api.client(None).get(path)).status_code == 410
    assert await owner.fetchval("SELECT count(*) FROM rewards.customer") == customers + 1
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity WHERE customer = 1") == 0
    await assert_books_are_sound(owner)


async def test_a_return_leaves_amounts_and_nothing_that_tells_its_reference(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    purchase = {"amount_minor": 100, "currency": "EUR", "order_ref": f"order of {ADA.name}"}
    grant = (await report(api, ADA, "mail-1", purchase=purchase)).raise_for_status().json()["grant_id"]
    back = {"reference": f"return of {ADA.name}", "amount_minor": 100, "currency": "EUR"}
    path, storefront = f"/v1/grants/{grant}/returns", api.client("storefront")
    (await storefront.post(path, json=back)).raise_for_status()
    kept = "SELECT amount, return_key, request_hash, answer FROM ledger.purchase_return"
    before = await owner.fetchrow(kept)
    assert before
    await erased(api, checker, erase, ADA)
    after = await owner.fetchrow(kept)
    assert after
    assert (after["amount"], after["request_hash"], after["answer"]) == (100, None, None)
    everywhere = " ".join((await everything(owner)).values())
    assert ADA.name not in everywhere
    assert before["return_key"].hex() not in everywhere
    for gone in (path, f"{path}/quote"):
        answer = await storefront.post(gone, json=back if gone == path else {"amount_minor": 1, "currency": "EUR"})
        assert (answer.status_code, answer.json()["code"]) == (410, "customer_erased")
    await assert_books_are_sound(owner)


async def test_what_another_process_remembers_of_them_pays_nothing(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    """The book knows, whatever is cached: a customer who was looked up a moment ago is not paid."""
    (await report(api, ADA, "mail-1")).raise_for_status()
    remembered = await api.services.customers.find_number(api.brand, 1)
    assert remembered is not None
    await erased(api, checker, erase, ADA)
    settled = await api.services.customers.settle(api.services.ledger, api.brand, 1)
    assert settled.erased
    assert await owner.fetchval("SELECT count(*) FROM ledger.transfer WHERE verb = 2") == 1


async def test_it_takes_another_person(api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase) -> None:
    await live(api, ADA)
    waits = (await ask(api, ADA)).json()
    assert (waits["kind"], waits["subject"], waits["state"]) == ("customer.erase", "cus_1", "pending")
    assert await erase() == 0
    assert ADA.name not in (await everything(owner))["rewards.approval"]
    own = await api.client("messaging").post(f"/v1/approvals/{waits['id']}/approve", json={"digest": waits["digest"]})
    assert own.status_code == 403
    assert (await ask(api, ADA)).json()["id"] == waits["id"]
    assert (await approve(checker, waits))["state"] == "executed"
    trail = [row[0] for row in await owner.fetch("SELECT act FROM rewards.audit_trail WHERE act LIKE '%era%'")]
    assert trail == ["customer.erase"]


async def test_points_may_be_used_until_the_notice_is_over(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    made = (await approve(checker, (await ask(api, ADA)).json()))["result"]
    due_in = datetime.fromisoformat(made["erases_at"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < due_in <= timedelta(days=14)
    assert await erase() == 0
    await redeem(api, ADA, 60, "k", capture=True)
    await owner.execute("UPDATE rewards.erasure SET erases_at = now()")
    assert await erase() == 1
    shown = (await api.client("admin").get(f"/v1/erasures/{made['id']}")).json()
    assert (shown["state"], shown["points_forfeited"], shown["customer"]) == ("erased", 40, "cus_1")
    forfeited = await api.client("finance").get("/v1/ledger/transfers?verb=forfeit")
    assert [(each["amount"], each["credit"]) for each in forfeited.json()["items"]] == [(40, "breakage:engagement")]


async def test_nobody_may_ask_while_points_are_held(api: Api) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    await redeem(api, ADA, 60, "k")
    refused = await ask(api, ADA)
    assert (refused.status_code, refused.json()["code"]) == (409, "points_held")
    (await report(api, BOB, "mail-1", "reply", channel="web")).raise_for_status()
    pending = await ask(api, BOB)
    assert (pending.status_code, pending.json()["code"]) == (409, "points_held")


async def test_points_that_are_held_when_it_is_due_put_it_off(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    await approve(checker, (await ask(api, ADA, forfeit_points="true")).json())
    held = await redeem(api, ADA, 60, "k")
    assert await erase() == 0
    assert (await report(api, ADA, "mail-2")).status_code == 201
    await api.client("storefront").post(f"/v1/redemptions/{held['redemption_id']}/void")
    assert await erase() == 0
    await owner.execute("UPDATE rewards.erasure SET erases_at = now()")
    assert await erase() == 1


async def test_a_customer_may_ask_from_a_page_of_their_own(api: Api, owner: Owner, erase: Erase) -> None:
    kept = await live(api, ADA)
    asked = await api.client(None).delete(kept["page"], params={"forfeit_points": "true"})
    assert asked.status_code == 202, asked.text
    assert (asked.json()["by_customer"], asked.json()["asked_by"], asked.json()["state"]) == (True, None, "waiting")
    assert await erase() == 1
    assert named_in(await everything(owner), ADA) == {}
    assert (await api.client(None).delete("/preferences/nonsense")).status_code == 404


async def test_who_was_merged_is_erased_with_them(api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase) -> None:
    await live(api, ADA)
    (await report(api, BOB, "mail-9", customer={"email": BOB.email})).raise_for_status()
    merged = await api.client("admin").post(f"/v1/customers/{ADA.id}/merge", json={"from": {"email": BOB.email}})
    merged.raise_for_status()
    await erased(api, checker, erase, ADA)
    assert (await report(api, BOB, "mail-10", customer={"email": BOB.email})).json()["code"] == "customer_erased"
    await assert_books_are_sound(owner)


async def test_they_are_known_to_be_erased_after_the_identity_key_was_changed(
    api: Api, checker: httpx.AsyncClient, erase: Erase
) -> None:
    await live(api, ADA)
    await erased(api, checker, erase, ADA)
    new = IdentityKey(key_no=9, key=bytes(32))

    async def known(*tombstone_keys: IdentityKey) -> bool:
        directory = CustomerDirectory(api.services.pool, [new], tombstone_keys=tombstone_keys)
        names = named(CustomerRef(email=ADA.email), api.brand.brand_id, [new])
        assert isinstance(names, list)
        (resolved,) = await directory.resolve(api.brand, [names], dry_run=True)
        return resolved.erased

    assert await known(*api.secrets.identity_keys)
    assert not await known()


async def test_who_agrees_again_is_somebody_new_and_is_not_paid_for_before(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    (await report(api, ADA, "mail-1")).raise_for_status()
    before = datetime.now(UTC) - timedelta(seconds=1)
    await erased(api, checker, erase, ADA)
    path, admin = f"/v1/customers/{ADA.id}/consents/email", api.client("admin")
    for said in ({"status": "refused"}, {"status": "granted", "at": before.isoformat()}):
        assert (await admin.put(path, json={"source": "form", **said})).json()["code"] == "customer_erased"
    assert (await admin.put(path, json={"source": "form", "status": "granted"})).status_code == 200
    late = await report(api, ADA, "mail-1", occurred_at=before.isoformat())
    assert (late.json()["outcome"], late.json()["reason"]) == ("ignored", "consent_refused")
    assert (await report(api, ADA, "mail-2")).json()["balance"] == 100
    assert await owner.fetchval("SELECT array_agg(customer ORDER BY customer) FROM rewards.customer") == [1, 2]


async def test_the_log_lines_do_not_name_them(
    api: Api, checker: httpx.AsyncClient, erase: Erase, capfd: pytest.CaptureFixture[str]
) -> None:
    await live(api, ADA)
    await erased(api, checker, erase, ADA)
    await report(api, ADA, "mail-9")
    said = capfd.readouterr()
    assert named_in({"log": said.out + said.err}, ADA) == {}


async def test_exports_made_later_do_not_name_them(
    api: Api, reader_pool: asyncpg.Pool[Any], checker: httpx.AsyncClient, erase: Erase, tmp_path: Path
) -> None:
    await live(api, ADA)
    await live(api, BOB)
    before = await exported(api, reader_pool, tmp_path / "before")
    assert {"transfers.jsonl", "transfer_details.csv", "journal.hledger", "fact_link.parquet"} <= named_in(before, ADA).keys()
    await erased(api, checker, erase, ADA)
    after = await exported(api, reader_pool, tmp_path / "after")
    assert named_in(after, ADA) == {}
    assert named_in(after, BOB) == named_in(before, BOB)


async def exported(api: Api, reader_pool: asyncpg.Pool[Any], directory: Path) -> dict[str, str]:
    """A new export of all that there is, as text: Parquet as its rows."""
    brand, ledger = api.brand, api.services.ledger
    book = BookAtCut(
        log=ledger,
        pool=reader_pool,
        book=brand.book,
        cut=await ledger.head(brand.book),
        brand=brand.code,
        points_code=brand.points_code,
        calendar=brand.calendar,
        campaigns=await campaign_ids(api.services.engine, brand.brand_id),
    )
    writers = bundle.writers_of(tuple(ExportFormat), details=True, customers=True)
    writers |= writers_of_day(Day(brand.calendar.day(datetime.now(UTC)), None))
    manifest = await bundle.write(book, writers, directory)
    assert manifest.balanced
    return {path.name: rows_of(path) if path.suffix == ".parquet" else path.read_text() for path in directory.iterdir()}


def rows_of(path: Path) -> str:
    read_table: Any = pq.read_table  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return str(read_table(path).to_pylist())
