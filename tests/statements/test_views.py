"""A customer's statement by role: each view has its own fields and no others, needs its own scopes, and says what happened."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

import httpx
import msgspec
import pytest

from service.auth.roles import SCOPES, Role
from service.statements.schemas import AuditStatement, CareStatement, FinanceStatement, MarketingStatement
from tests.api_fixtures import Api
from tests.erasure.conftest import ADA, BOB, CAMPAIGN, Erase, Owner, campaign, checker, erase, erased, live, report
from tests.people import client_of

__all__ = ["campaign", "checker", "erase"]

pytestmark = pytest.mark.usefixtures("campaign")

FIELDS: Mapping[str, set[str]] = {
    "care": {
        *("customer", "former", "confirmed", "verified", "spendable", "held", "pending", "next"),
        *("lots.points", "lots.expires_on", "lots.class"),
        *("names.kind", "names.verified", "names.since"),
        *("consents.channel", "consents.status", "consents.at", "consents.source", "consents.reason"),
        *("entries.at", "entries.text", "entries.type", "entries.points", "entries.campaign", "entries.action"),
        *("entries.channel", "entries.message_id", "entries.grant_id", "entries.held_until", "entries.redemption_id"),
        *("entries.order_ref", "entries.store_id", "entries.terminal_id", "entries.reason", "entries.reference"),
        *("entries.note", "entries.may"),
    },
    "marketing": {
        *("customer", "frequency", "next"),
        *("channels.channel", "channels.status", "channels.messages", "channels.rewards", "channels.points"),
        *("channels.last_message_at", "channels.last_rewarded_at"),
        *("entries.at", "entries.campaign", "entries.campaign_version", "entries.action", "entries.channel"),
        *("entries.message_id", "entries.evidence", "entries.outcome", "entries.reason", "entries.points"),
    },
    "finance": {
        *("customer", "from", "to", "currency", "seq", "next"),
        *("classes.class", "classes.opening", "classes.movements", "classes.closing"),
        *("classes.opening_value", "classes.closing_value"),
        *("lots.class", "lots.expires_on", "lots.points", "lots.value"),
        *("entries.seq", "entries.accounting_date", "entries.posted_at", "entries.type", "entries.class", "entries.points"),
        *("entries.change", "entries.value", "entries.debit", "entries.credit", "entries.campaign", "entries.redemption_id"),
    },
    "audit": {
        *("customer", "next"),
        *("looks.entry", "looks.at", "looks.act", "looks.call", "looks.principal", "looks.person"),
        *("entries.seq", "entries.place", "entries.at", "entries.accounting_date", "entries.verb", "entries.debit"),
        *("entries.credit", "entries.points", "entries.transaction_id", "entries.leaf_version", "entries.details_hash"),
        *("entries.grant_id", "entries.outcome", "entries.reason", "entries.evidence", "entries.campaign"),
        *("entries.campaign_version", "entries.rule", "entries.source", "entries.principal", "entries.redemption_id"),
    },
}
"""What each view may have. A field that is not listed here is one that a department has not been allowed to see."""

VIEWS: Mapping[str, type[msgspec.Struct]] = {
    "care": CareStatement,
    "marketing": MarketingStatement,
    "finance": FinanceStatement,
    "audit": AuditStatement,
}
ROLES = {"care": Role.CARE, "marketing": Role.MARKETING, "finance": Role.FINANCE, "audit": Role.AUDITOR}
NEEDED = {
    "care": {"customers:read"},
    "marketing": {"grants:read"},
    "finance": {"ledger:read"},
    "audit": {"audit:read", "ledger:read"},
}
PROFILE = {"id": "profile", "rules": [{"action": "data.birthday", "points": 5}]}
PERSONAL = {
    "marketing": ("order-", "return of", "complaint of", "ticket ", "form of", ADA.email),
    "finance": (ADA.name, "mail-"),
}


def fields_of(struct: type[msgspec.Struct], within: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        inner = [each for each in get_args(field.type) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        name = within + field.encode_name
        yield from (each for struct in inner for each in fields_of(struct, f"{name}.")) if inner else [name]


def keys_of(said: Mapping[str, Any]) -> Iterator[str]:
    """The names of what an answer has: `name`, and `list.name` of what lists have."""
    for name, value in said.items():
        inner = cast("list[Any]", value) if isinstance(value, list) else []
        within = [cast("dict[str, Any]", each) for each in inner if isinstance(each, dict)]
        yield from (f"{name}.{key}" for each in within for key in each)
        if value != [] and not within:
            yield name


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_the_fields_that_are_allowed_and_no_others(view: str) -> None:
    assert set(fields_of(VIEWS[view])) == FIELDS[view]


@pytest.fixture
async def seen(api: Api, owner: Owner) -> Mapping[str, httpx.AsyncClient]:
    """A person of each department, and a customer who has lived."""
    (await api.client("admin").patch("/v1/brand", json={"point_value": {"points": 1, "minor_units": 2}})).raise_for_status()
    await live(api, ADA)
    await live(api, BOB)
    (await report(api, ADA, f"mail-{ADA.name}-4", "reply")).raise_for_status()
    return {view: await client_of(api, owner, role, name=view) for view, role in ROLES.items()}


async def statement(client: httpx.AsyncClient, view: str, **query: Any) -> Any:
    answer = await client.get(f"/v1/customers/{ADA.id}/statement/{view}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_is_shown_to_its_role_and_its_json_has_its_fields(
    seen: Mapping[str, httpx.AsyncClient], view: str
) -> None:
    said = await statement(seen[view], view)
    assert set(keys_of(said)) <= FIELDS[view]
    assert said["entries"]
    assert all(word not in str(said) for word in PERSONAL.get(view, ())), said


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_without_its_scopes_is_refused_by_name(api: Api, seen: Mapping[str, httpx.AsyncClient], view: str) -> None:
    for other, client in seen.items():
        answer = await client.get(f"/v1/customers/{ADA.id}/statement/{view}")
        if NEEDED[view] <= {*map(str, SCOPES[ROLES[other]])}:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
            assert all(scope in answer.json()["detail"] for scope in NEEDED[view])
    assert (await api.client("minter").get(f"/v1/customers/{ADA.id}/statement/{view}")).status_code == 403


async def test_a_purchase_has_the_message_it_came_by_and_its_order_is_named_to_care_alone(
    api: Api, seen: Mapping[str, httpx.AsyncClient]
) -> None:
    bought = {"amount_minor": 100, "currency": "EUR", "order_ref": f"order-{ADA.name}-2"}
    (await report(api, ADA, "mail-7", purchase=bought)).raise_for_status()
    (await api.client("admin").post("/v1/campaigns", json=CAMPAIGN | PROFILE)).raise_for_status()
    told = {"consent_receipt_id": "form-1", "field": "birthday", "field_version": "2"}
    (await report(api, ADA, "mail-8", "data.birthday", campaign="profile", metadata=told)).raise_for_status()
    shown = {view: (await statement(seen[view], view))["entries"][:2] for view in ("care", "marketing")}
    assert [(entry["message_id"], entry["order_ref"]) for entry in shown["care"]] == [
        ("mail-8", None),
        ("mail-7", f"order-{ADA.name}-2"),
    ]
    assert [entry["message_id"] for entry in shown["marketing"]] == ["mail-8", "mail-7"]
    assert "order-" not in str(shown["marketing"])


async def test_care_reads_in_words_what_happened_and_what_may_be_done(seen: Mapping[str, httpx.AsyncClient]) -> None:
    said = await statement(seen["care"], "care")
    texts = [entry["text"] for entry in said["entries"]]
    held_back = said["entries"][0]
    until = held_back["held_until"]
    assert texts == [
        f"50 points for reply on email (autumn) are held back until {until[:10]} {until[11:16]} UTC;"
        " without an approval they are rejected then.",
        "5 points of a grant were taken back: paid_by_mistake.",
        f"10 points given back for a return of purchase order-{ADA.name}.",
        f"40 points spent on purchase order-{ADA.name}.",
        f"40 points set aside for purchase order-{ADA.name}.",
        "open on email (autumn) is not paid yet: it waits for stronger evidence than D.",
        "100 points earned for click on email (autumn).",
    ]
    assert (said["spendable"], said["held"], said["pending"]) == (65, 0, 50)
    assert sum(entry["points"] for entry in said["entries"]) == 65
    granted = said["entries"][-1]
    assert granted["may"] == [f"POST /v1/grants/{granted['grant_id']}/clawback"]
    assert {name["kind"] for name in said["names"]} == {"id", "email", "phone", "device"}
    assert [each["channel"] for each in said["consents"]] == ["email"]


async def test_marketing_reads_acts_and_response(seen: Mapping[str, httpx.AsyncClient]) -> None:
    said = await statement(seen["marketing"], "marketing")
    assert [(entry["action"], entry["outcome"], entry["reason"], entry["points"]) for entry in said["entries"]] == [
        ("reply", "held_back", "awaiting_approval", 50),
        ("open", "waiting", "stronger_evidence_needed", 0),
        ("click", "granted", None, 100),
    ]
    # The message by SMS was registered without a link.
    assert [(each["channel"], each["status"], each["messages"], each["rewards"]) for each in said["channels"]] == [
        ("email", "granted", 4, 1),
        ("sms", None, 1, 0),
    ]


async def test_finance_reads_points_and_money_that_tie(seen: Mapping[str, httpx.AsyncClient]) -> None:
    said = await statement(seen["finance"], "finance")
    (engagement,) = said["classes"]
    assert (engagement["opening"], engagement["closing"], engagement["closing_value"]) == (0, 65, 130)
    assert engagement["movements"] == {"grant": 100, "capture": -40, "refund": 10, "clawback": -5}
    assert sum(entry["change"] for entry in said["entries"]) == 65
    assert sum(lot["points"] for lot in said["lots"]) == 65
    assert sum(lot["value"] for lot in said["lots"]) == 130
    assert [entry["type"] for entry in said["entries"]] == ["hold_back", "clawback", "refund", "capture", "authorize", "grant"]


async def test_a_period_opens_with_what_the_one_before_closed_with(api: Api, seen: Mapping[str, httpx.AsyncClient]) -> None:
    first = await statement(seen["finance"], "finance")
    later = await api.client("admin").post("/v1/test/clock/advance", json={"seconds": 3 * 86_400})
    later.raise_for_status()
    (await report(api, ADA, "mail-later")).raise_for_status()
    today = (await statement(seen["finance"], "finance"))["to"]
    second = await statement(seen["finance"], "finance", **{"from": today, "to": today})
    (before,), (after,) = first["classes"], second["classes"]
    assert (after["opening"], after["movements"], after["closing"]) == (before["closing"], {"grant": 100}, 165)


async def test_a_statement_that_does_not_tie_is_not_shown(seen: Mapping[str, httpx.AsyncClient], owner: Owner) -> None:
    await owner.execute("UPDATE ledger.account SET credits = credits + 1 WHERE kind = 1 AND credits > debits")
    answer = await seen["finance"].get(f"/v1/customers/{ADA.id}/statement/finance")
    assert (answer.status_code, answer.json()["code"]) == (500, "report_does_not_tie")


async def test_the_auditor_reads_the_log_the_decisions_and_who_looked(
    seen: Mapping[str, httpx.AsyncClient], owner: Owner
) -> None:
    await statement(seen["care"], "care")
    said = await statement(seen["audit"], "audit")
    look = said["looks"][0]
    assert (look["act"], look["person"], look["call"]) == (
        "customer.look",
        "per_1",
        "GET /v1/customers/{customer_id}/statement/care",
    )
    entry = said["entries"][-1]
    hashed = await owner.fetchval("SELECT encode(details_hash, 'hex') FROM ledger.transfer WHERE seq = $1", entry["seq"])
    assert (entry["verb"], entry["details_hash"], entry["rule"], entry["evidence"]) == ("grant", hashed, 0, "A")
    assert entry["principal"].startswith("key_")
    (waiting,) = [each for each in said["entries"] if each["outcome"] == "waiting"]
    assert (waiting["place"], waiting["verb"], waiting["points"]) == (1, None, 0)


@pytest.mark.parametrize("view", VIEWS)
async def test_every_look_of_a_person_is_in_the_trail(seen: Mapping[str, httpx.AsyncClient], view: str, owner: Owner) -> None:
    await statement(seen[view], view)
    looked = await owner.fetch("SELECT subject, after FROM rewards.audit_trail WHERE act = 'customer.look'")
    assert [row["subject"] for row in looked] == ["cus_1"]


@pytest.mark.parametrize("view", VIEWS)
async def test_pages_come_one_after_the_other_and_csv_has_the_same_entries(
    seen: Mapping[str, httpx.AsyncClient], view: str
) -> None:
    client = seen[view]
    whole = (await statement(client, view))["entries"]
    paged: list[Any] = []
    query: dict[str, Any] = {"limit": 2}
    while page := await statement(client, view, **query):
        paged += page["entries"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert paged == whole
    rows: list[dict[str, str]] = []
    address: str | None = f"/v1/customers/{ADA.id}/statement/{view}?format=csv&limit=2"
    while address is not None:
        answer = await client.get(address)
        rows += csv.DictReader(io.StringIO(answer.text))
        address = answer.links.get("next", {}).get("url")
    assert [list(row) for row in rows] == [list(entry) for entry in whole]
    assert [row["points"] for row in rows] == [str(entry["points"]) for entry in whole]


async def test_who_was_merged_is_in_it(api: Api, seen: Mapping[str, httpx.AsyncClient]) -> None:
    merged = await api.client("admin").post(f"/v1/customers/{ADA.id}/merge", json={"from": {"id": BOB.id}})
    merged.raise_for_status()
    care = await statement(seen["care"], "care")
    assert (care["customer"], care["former"]) == ("cus_1", ["cus_2"])
    assert sum(entry["points"] for entry in care["entries"]) == care["spendable"] == 130
    (engagement,) = (await statement(seen["finance"], "finance"))["classes"]
    assert engagement["closing"] == 130


@pytest.mark.parametrize("view", VIEWS)
async def test_of_nobody_and_of_the_erased_there_is_none(
    api: Api, owner: Owner, checker: httpx.AsyncClient, erase: Erase, view: str
) -> None:
    client = await client_of(api, owner, ROLES[view])
    unknown = await client.get(f"/v1/customers/nobody/statement/{view}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    await live(api, ADA)
    await erased(api, checker, erase, ADA)
    gone = await client.get(f"/v1/customers/{ADA.id}/statement/{view}")
    assert (gone.status_code, gone.json()["code"]) == (410, "customer_erased")
