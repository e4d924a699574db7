"""The audit of grants finds points that no campaign promised, though log, balances, events and counters all agree on them."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from ledger import audit
from service.finance import grant_audit
from service.finance.cap_audit import audit_caps
from service.finance.double_payment_audit import audit_double_payments
from service.finance.grant_audit import audit_grants
from tests.api_fixtures import Api

CAMPAIGN: dict[str, Any] = {
    "id": "autumn",
    "name": "Autumn",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 10_000,
    "rules": [
        {"action": "click", "points": 5},
        {"action": "click", "channel": "email", "points": 7},
        {"action": "open", "points": 1, "min_evidence": "B"},
        {"action": "survey", "points": 40, "hold_back_days": 7},
    ],
}


async def report(api: Api, message_id: str, action: str, channel: str = "email", **changed: Any) -> dict[str, Any]:
    sent = {"campaign": "autumn", "message_id": message_id, "customer": {"id": "c"}, "action": action, "channel": channel}
    answer = await api.client("messaging").post("/v1/grants", json=sent | changed)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.fixture
async def busy(api: Api) -> Api:
    """Grants of every kind: by either rule, proved, held back, approved of, rejected, decided again, of two versions."""
    admin, approver = api.client("admin"), api.client("approver")
    (await admin.post("/v1/campaigns", json=CAMPAIGN | {"budget": 0})).raise_for_status()
    assert (await report(api, "m-1", "open"))["outcome"] == "waiting"
    (await api.client("finance").post("/v1/campaigns/autumn/fund", json={"points": 199}, headers={"Idempotency-Key": "f"}))
    assert (await report(api, "m-1", "click", "sms"))["points"] == 5
    assert (await report(api, "m-2", "click"))["points"] == 7
    held = [(await report(api, f"s-{n}", "survey"))["grant_id"] for n in range(4)]
    (await approver.post(f"/v1/grants/{held[0]}/mature")).raise_for_status()
    (await approver.post(f"/v1/grants/{held[1]}/reject")).raise_for_status()
    await report(api, "s-5", "survey")
    assert (await report(api, "s-6", "survey"))["reason"] == "budget_exhausted"
    (await api.client("finance").post("/v1/campaigns/autumn/fund", json={"points": 500}, headers={"Idempotency-Key": "g"}))
    (await approver.post("/v1/campaigns/autumn/redecide", json={})).raise_for_status()
    terms = {name: value for name, value in CAMPAIGN.items() if name not in {"id", "budget"}}
    changed = terms | {"rules": [{"action": "click", "points": 3}], "expires_after_months": None}
    (await admin.post("/v1/campaigns/autumn/versions", json=changed)).raise_for_status()
    assert (await report(api, "m-3", "click"))["points"] == 3
    return api


async def test_grants_of_every_kind_are_what_was_promised(
    busy: Api, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await audit_grants(owner, busy.brand)
    assert [(each.checked, each.violations, each.examples) for each in whole] == [(10, 0, ()), (0, 0, ())]
    monkeypatch.setattr(grant_audit, "PAGE_TRANSFERS", 3)
    assert await audit_grants(owner, busy.brand) == whole


# A superuser makes 5 points 500, in every table that says so, after the grant on m-1 by SMS.
FORGED_EVERYWHERE = """
UPDATE ledger.account SET credits = credits + 1000 WHERE book_id = $1 AND kind = 5;
UPDATE ledger.event SET points = points + 495 WHERE book_id = $1 AND message_id = 'm-1' AND action = 'click';
UPDATE ledger.transfer SET amount = amount + 495 WHERE book_id = $1 AND verb = 2 AND amount = 5;
UPDATE ledger.account SET debits = debits + 495 WHERE book_id = $1 AND kind = 5;
UPDATE ledger.account SET credits = credits + 495 WHERE book_id = $1 AND kind = 1 AND expires_on < 'infinity';
UPDATE ledger.customer_state SET points = points + 495 WHERE book_id = $1;
UPDATE ledger.account SET debits = debits + 1000 WHERE book_id = $1 AND kind = 7;
UPDATE ledger.transfer SET amount = amount + 1000 WHERE book_id = $1 AND verb = 1 AND amount = 500;
"""


async def test_five_points_made_five_hundred_everywhere_are_found(busy: Api, owner: asyncpg.Connection[Any]) -> None:
    book = busy.brand.book
    for statement in FORGED_EVERYWHERE.split(";")[:-1]:
        await owner.execute(statement, book.book_id)
    seen = [*await audit(owner, book), await audit_caps(owner, busy.brand)]
    assert [finding for finding in seen if finding.violations] == [], "all that there is says the same"
    (finding, _) = await audit_grants(owner, busy.brand)
    assert finding.violations == 1
    assert finding.examples[0].endswith("campaign autumn: 500 points, not 5")


FORGERIES = {  # what of the grant on m-2, and what is said of it
    "UPDATE ledger.event SET rule = 0": "rule 0, not 1",
    "UPDATE ledger.event SET campaign_version = 2": "7 points, not 3",
    "UPDATE ledger.event SET campaign_version = 9": "there is no version 9",
    "UPDATE ledger.event SET action = 'share'": "version 1 pays nothing for it",
    "UPDATE ledger.event SET grade = 'D'": "on evidence D, below C",
    "UPDATE ledger.event SET window_at = '2025-12-31'": "not in the campaign's time",
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_grant_that_no_version_explains_is_found(busy: Api, owner: asyncpg.Connection[Any], forgery: str) -> None:
    await owner.execute(f"{forgery} WHERE message_id = 'm-2'")
    (finding, _) = await audit_grants(owner, busy.brand)
    assert (finding.violations, [example.partition(": ")[2] for example in finding.examples]) == (1, [FORGERIES[forgery]])


@pytest.mark.parametrize(
    ("by", "said"),
    [("interval '6 minutes'", "happened after it counts"), ("interval '-401 days'", "happened too long before it counts")],
)
async def test_a_day_that_no_report_could_have_named_is_found(
    busy: Api, owner: asyncpg.Connection[Any], by: str, said: str
) -> None:
    await owner.execute(
        f"""
        UPDATE ledger.transfer SET occurred_at = occurred_at + {by}
        FROM ledger.event WHERE event.seq = transfer.seq AND event.message_id = 'm-2'
        """
    )
    (finding, _) = await audit_grants(owner, busy.brand)
    assert [example.partition(": ")[2] for example in finding.examples] == [said]


async def test_terms_that_are_changed_behind_a_grant_are_found(busy: Api, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute(
        "UPDATE rewards.campaign_version SET terms = jsonb_set(terms, '{rules,1,points}', '9') WHERE version = 1"
    )
    (finding, _) = await audit_grants(owner, busy.brand)
    assert [example.partition(": ")[2] for example in finding.examples] == ["7 points, not 9"]


async def test_what_was_erased_is_said_to_be_taken_as_it_is(busy: Api, owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("UPDATE ledger.event SET salt = NULL, message_id = NULL, metadata = NULL WHERE message_id = 'm-2'")
    recomputed, taken = await audit_grants(owner, busy.brand)
    assert (recomputed.checked, recomputed.violations, taken.checked, taken.violations) == (10, 0, 1, 0)


async def test_an_act_that_was_paid_twice_is_to_be_looked_at_and_breaks_nothing(
    busy: Api, owner: asyncpg.Connection[Any]
) -> None:
    sound = await audit_double_payments(owner, busy.brand)
    assert (sound.violations, sound.warnings, sound.examples) == (0, 0, ())
    grants = (await busy.client("messaging").get("/v1/grants", params={"limit": 100})).json()["items"]
    first, second = sorted(
        (each for each in grants if each["action"] == "click" and each["message_id"] in {"m-2", "m-3"}),
        key=lambda each: each["seq"],
    )
    await owner.execute("UPDATE ledger.event SET message_id = 'm-2' WHERE message_id = 'm-3'")
    found = await audit_double_payments(owner, busy.brand)
    assert (found.checked, found.violations, found.warnings) == (sound.checked - 1, 0, 1)
    assert found.examples == (f"customer {first['customer']}: {first['grant_id']}, {second['grant_id']}",)
    # What was rejected is no payment.
    await owner.execute("UPDATE ledger.event SET outcome = 7, points = 0 WHERE seq = $1", second["seq"])
    assert (await audit_double_payments(owner, busy.brand)).warnings == 0
