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
from tests.api_fixtures import Api
from tests.erasure.conftest import ADA, BOB, Erase, Owner, erased, live, report
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
