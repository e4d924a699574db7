"""Everything held of a customer in one document: what it must have, whose it is, and how long it may be."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from ledger import Ledger
from ledger.testing import order
from service.personal_data.document import PAGE_ROWS
from service.personal_data.schemas import PersonalData
from service.personal_data.scope import LEFT_OUT, SECTIONS
from tests.api_fixtures import Api
from tests.erasure.conftest import ADA, BOB, Erase, Owner, approve, ask, erased, live, report
from tests.erasure.test_erasing import everything, named_in

pytestmark = pytest.mark.usefixtures("campaign")


async def export(api: Api, who: str) -> PersonalData:
    answer = await api.client("admin").get(f"/v1/customers/{who}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return msgspec.json.decode(answer.content, type=PersonalData)


async def test_it_says_why_they_refused(api: Api) -> None:
    await live(api, ADA)
    refusal = {"status": "refused", "source": "feedback loop", "reason": "complaint"}
    (await api.client("messaging").put(f"/v1/customers/{ADA.id}/consents/email", json=refusal)).raise_for_status()
    said = await export(api, ADA.id)
    assert [(each.status, each.reason) for each in said.consents] == [("granted", None), ("refused", "complaint")]


async def test_it_has_whatever_names_them(api: Api, owner: Owner) -> None:
    kept = await live(api, ADA)
    await live(api, BOB)
    said = await export(api, ADA.id)
    assert (said.customer.numbers, said.customer.spendable, said.customer.verified) == (["cus_1"], 65, True)
    assert sorted(each.kind for each in said.identities) == ["device", "email", "id", "phone"]
    assert [each.proof for each in said.verifications] == [f"ticket {ADA.name}"]
    assert [(each.channel, each.status, each.source) for each in said.consents] == [
        ("email", "granted", f"form of {ADA.name.title()}")
    ]
    assert [(each.type, each.points) for each in said.transfers] == [
        ("grant", 100),
        ("authorize", 40),
        ("capture", 40),
        ("refund", 10),
        ("clawback", 5),
    ]
    assert [(each.points, each.reference) for each in said.corrections] == [(5, f"complaint of {ADA.name}")]
    granted = said.transfers[0]
    assert (granted.grant_id, granted.campaign, granted.message_id, granted.metadata) == (
        kept["grant"],
        "autumn",
        f"mail-{ADA.name}",
        {"to": ADA.email},
    )
    assert [(each.outcome, each.message_id) for each in said.acts] == [("waiting", f"mail-{ADA.name}-2")]
    (redemption,) = said.redemptions
    assert (redemption.redemption_id, redemption.order_ref) == (kept["redemption"], f"order-{ADA.name}")
    assert [each.ref for each in redemption.steps] == [f"return of {ADA.name}"]
    assert [(each.label, each.destination) for each in said.links] == [(f"hello {ADA.name}", "https://shop.example/")]
    assert [each.way for each in said.clicks] == ["look"]
    # All that the database says of them by name is in it, and nothing of anybody else.
    text = {"export": str(said)}
    named = {each for spellings in named_in(await everything(owner), ADA).values() for each in spellings}
    assert named <= set(named_in(text, ADA)["export"])
    assert named_in(text, BOB) == {}


async def test_who_was_merged_is_in_it(api: Api) -> None:
    await live(api, ADA)
    (await report(api, BOB, "mail-bob", customer={"email": BOB.email})).raise_for_status()
    merged = await api.client("admin").post(f"/v1/customers/{ADA.id}/merge", json={"from": {"email": BOB.email}})
    merged.raise_for_status()
    said = await export(api, ADA.id)
    assert said.customer.numbers == ["cus_1", "cus_2"]
    assert "mail-bob" in [each.message_id for each in said.transfers]
    assert said.identities[-1].kind == "email"


async def test_a_long_life_comes_in_pages(api: Api, ledger: Ledger) -> None:
    (await report(api, ADA, "mail-0")).raise_for_status()
    terms: dict[str, Any] = {"customer": 1, "unlimited": True, "campaign_no": 1, "points": 1}
    await ledger.grant_batch([order(api.brand.book, message_id=f"m-{n}", **terms) for n in range(PAGE_ROWS + 5)])
    await ledger.grant_batch([order(api.brand.book, message_id=f"w-{n}", waits=True, **terms) for n in range(PAGE_ROWS * 2)])
    said = await export(api, ADA.id)
    assert [each.seq for each in said.transfers] == sorted({each.seq for each in said.transfers})
    assert len(said.transfers) == PAGE_ROWS + 6
    assert len({each.message_id for each in said.acts}) == PAGE_ROWS * 2


async def test_whoever_looks_is_in_the_audit_trail(api: Api, owner: Owner) -> None:
    (await report(api, ADA, "mail-0")).raise_for_status()
    await export(api, "cus_1")
    assert await owner.fetchval("SELECT subject FROM rewards.audit_trail WHERE act = 'customer.export'") == "cus_1"


async def test_of_nobody_and_of_the_erased_there_is_none(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    admin = api.client("admin")
    unknown = await admin.get("/v1/customers/nobody/export")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    await live(api, ADA)
    await erased(api, checker, erase, ADA)
    for name in (ADA.id, "cus_1"):
        gone = await admin.get(f"/v1/customers/{name}/export")
        assert (gone.status_code, gone.json()["code"]) == (410, "customer_erased")
    assert await owner.fetchval("SELECT count(*) FROM rewards.audit_trail WHERE act = 'customer.export'") == 0


async def test_every_table_that_says_whose_its_rows_are_is_in_it_or_says_why_not(owner: Owner) -> None:
    found = await owner.fetch(
        """
        SELECT DISTINCT relnamespace::regnamespace || '.' || relname
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped
        WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND relkind IN ('r', 'p')
            AND NOT relispartition AND attname IN ('customer', 'identity_no', 'link_id', 'subject')
        """
    )
    # A revocation is of a message, for all who got it.
    assert {row[0] for row in found} - {"rewards.link_revocation"} == SECTIONS.keys() | LEFT_OUT.keys()
    assert not SECTIONS.keys() & LEFT_OUT.keys()
    assert set(SECTIONS.values()) <= {field.encode_name for field in msgspec.structs.fields(PersonalData)}


async def test_it_has_codes_approvals_and_what_was_corrected(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase
) -> None:
    await live(api, ADA)
    await live(api, BOB)
    batch = {"id": "packs-1", "campaign": "autumn", "action": "click", "channel": "email", "codes": 2}
    (await api.client("messaging").post("/v1/code-batches", json=batch)).raise_for_status()
    lines = (await api.client("messaging").get("/v1/code-batches/packs-1/codes")).text.splitlines()[1:-1]
    for who, line in zip((ADA, BOB), lines, strict=True):
        claim = {"code": line.split(",")[1], "customer": {"id": who.id}}
        (await api.client("messaging").post("/v1/code-claims", json=claim)).raise_for_status()
    (await api.client("admin").put("/v1/adjustment-reasons/fraud", json={"name": "Fraud"})).raise_for_status()
    for who in (ADA, BOB):
        taken = {"customer": {"id": who.id}, "points": -7, "reason": "fraud", "note": f"said {who.name}"}
        (
            await api.client("care").post("/v1/adjustments", json=taken, headers={"Idempotency-Key": f"a-{who.name}"})
        ).raise_for_status()
        assert (await ask(api, who, forfeit_points="true")).status_code == 202
    said = await export(api, ADA.id)
    assert [(each.batch, each.serial, each.action) for each in said.codes] == [("packs-1", 1, "click")]
    assert [(each.type, each.points, each.given, each.note) for each in said.corrections] == [
        ("clawback", 5, False, None),
        ("adjust", 7, False, f"said {ADA.name}"),
    ]
    (waits,) = said.approvals
    assert (waits.kind, waits.decision, waits.asked["customer"]) == ("customer.erase", None, "cus_1")
    assert said.erasures == []
    await approve(checker, (await api.client("admin").get("/v1/approvals")).json()["items"][-1])
    again = await export(api, ADA.id)
    assert [each.state for each in again.erasures] == ["waiting"]
    assert "customer.export" in [each.act for each in again.recorded_acts]
    assert named_in({"export": str(again)}, BOB) == {}
