"""What attention cost, act by act, and what machines were not paid."""

from __future__ import annotations

from ledger import Grade
from tests.reports.conftest import Books, shown


async def test_an_act_costs_what_all_acts_were_paid_by_those_that_are_verified(books: Books) -> None:
    await books.worth("2029-12-01", 3, 1)
    await books.fund(1_000)
    await books.grant(1, 10, grade=Grade.A, channel="app", action="review")
    await books.grant(2, 10, grade=Grade.B)
    await books.grant(3, 10, grade=Grade.B)
    await books.grant(4, 10, grade=Grade.C)
    report = await books.report("attention-invoice", by="channel,action")
    assert [shown(row) for row in report["rows"]] == [
        {
            "channel": "app",
            "action": "review",
            "acts": 1,
            "verified_acts": 1,
            "points": 10,
            "value": 3,
            "cost_per_verified_act": "3.3333",
        },
        {
            "channel": "email",
            "action": "click",
            "acts": 3,
            "verified_acts": 2,
            "points": 30,
            "value": 10,
            "cost_per_verified_act": "5.0000",
        },
    ]
    assert shown(report["totals"])["cost_per_verified_act"] == "4.4444"
    for row, links in zip(report["rows"], report["links"], strict=True):
        transfers = await books.linked(links["points"])
        assert (len(transfers), sum(transfer["amount"] for transfer in transfers)) == (row["acts"], row["points"])


async def test_what_machines_were_not_paid_is_a_row_of_its_campaign(books: Books) -> None:
    await books.worth("2029-12-01", 100, 50)
    await books.fund(1_000)
    await books.grant(1, 10)
    await books.owner.execute(
        """
        INSERT INTO rewards.touch_count
            (brand_id, day, campaign_no, way, grade, why, touches, firsts, first_points, followed, followed_points)
        VALUES ($1, '2030-01-15', $2, 'look', 'X', 'declared_machine', 7, 5, 50, 1, 10)
        """,
        books.api.brand.brand_id,
        books.campaign_no,
    )
    rows = (await books.report("attention-invoice", by="campaign,grade"))["rows"]
    assert [shown(row) for row in rows] == [
        {"campaign": "=autumn", "grade": "B", "acts": 1, "verified_acts": 1, "points": 10, "value": 5}
        | {"cost_per_verified_act": "5.0000"},
        {
            "campaign": "=autumn",
            "grade": "X",
            "machine_requests": 7,
            "machine_points_not_paid": 40,
            "machine_value_not_paid": 20,
        },
    ]
    assert (await books.csv("attention-invoice", by="campaign,grade"))[0]["campaign"] == "'=autumn"
