"""Lists of decisions by any combination of filters; and those that no index answers, refused by name."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.reads import event_log
from tests.api_fixtures import Api
from tests.grants.test_grants_api import CAMPAIGN

DAYS = ("2031-03-01", "2031-03-02", "2031-03-03")
FILTERS: dict[str, tuple[str | None, ...]] = {
    "customer": (None, "c-1", "c-2", "nobody"),
    "campaign": (None, "autumn", "spring"),
    "outcome": (None, "granted", "refused", "waiting"),
    "from": (None, *DAYS),
    "to": (None, *DAYS),
    "message_id": (None, "m-0", "m-7", "none of ours"),
    "action": (None, "click", "open"),
    "channel": (None, "email", "sms"),
    "evidence": (None, "A", "C"),
    "metadata": (None, "store:Mitte", "basket:3", "is_new:true"),
}


@pytest.fixture
async def reported(api: Api) -> Api:
    """Three days of reports of all kinds, some to be paid, some refused and some waiting."""
    dice = random.Random(7)
    admin = api.client("admin")
    rules = [{"action": "click", "points": 5}, {"action": "open", "points": 1, "min_evidence": "B"}]
    for name in ("autumn", "spring"):
        (await admin.post("/v1/campaigns", json=CAMPAIGN | {"id": name, "rules": rules, "budget": 150})).raise_for_status()
    for day, n in itertools.product(DAYS, range(40)):
        if n == 0:
            (await admin.post("/v1/test/clock/advance", json={"to": f"{day}T09:00:00Z"})).raise_for_status()
        event = {
            "campaign": dice.choice(("autumn", "spring")),
            "message_id": f"m-{dice.randrange(40)}",
            "customer": {"id": f"c-{dice.randrange(3)}"},
            "action": dice.choice(("click", "open")),
            "channel": dice.choice(("email", "sms")),
            "evidence": dice.choice("ABC"),
            "metadata": {"store": dice.choice(("Mitte", "Nord")), "basket": dice.randrange(5), "is_new": dice.random() < 0.5},
        }
        (await api.client("messaging").post("/v1/grants", json=event)).raise_for_status()
    await admin.post("/v1/customers/c-2/merge", json={"from": {"id": "c-0"}})
    return api


async def listed(api: Api, query: Mapping[str, Any], limit: int) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    after: dict[str, str] = {}
    while True:
        answer = await api.client("messaging").get("/v1/grants", params={**query, **after, "limit": limit})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def is_wanted(grant: Mapping[str, Any], query: Mapping[str, str], numbers: Mapping[str, set[int]]) -> bool:
    """Whether a list by ``query`` has a decision, by what it says of itself."""
    name, _, value = query.get("metadata", "").partition(":")
    texts = {key: str(sent).lower() if isinstance(sent, bool) else str(sent) for key, sent in grant["metadata"].items()}
    return (
        all(
            grant[key] == query[key]
            for key in ("campaign", "outcome", "message_id", "action", "channel", "evidence")
            if key in query
        )
        and ("customer" not in query or grant["customer"] in numbers.get(query["customer"], set()))
        and query.get("from", "") <= grant["decided_at"][:10] <= query.get("to", "9")
        and ("metadata" not in query or texts[name] == value)
    )


async def test_any_combination_lists_what_is_so_and_is_narrow_enough(reported: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "SCAN_ROWS_MAX", 30)  # of a hundred, so that pages end where nothing was found yet
    monkeypatch.setattr(event_log, "LOOKED_AT_ONCE", 10)
    grants = await listed(reported, {}, 1_000)
    assert {grant["outcome"] for grant in grants} == {"granted", "refused", "waiting"}
    numbers: dict[str, set[int]] = {}
    for name in ("c-1", "c-2"):
        numbers[name] = {grant["customer"] for grant in await listed(reported, {"customer": name}, 1_000)}
    assert [len(each) for each in numbers.values()] == [1, 2], "the survivor's are also those of before the merge"
    dice = random.Random(11)
    found = 0
    for _ in range(120):
        drawn = {name: dice.choice(values) for name, values in FILTERS.items() if dice.random() < 0.4}
        query = {name: value for name, value in drawn.items() if value is not None}
        if query.get("from", "") > query.get("to", "9"):
            continue
        if "customer" not in query:
            query = {"from": DAYS[0], "to": DAYS[2]} | query
        expected = [grant for grant in grants if is_wanted(grant, query, numbers)]
        assert await listed(reported, query, dice.choice((1, 3, 1_000))) == expected, query
        found += bool(expected)
    assert found > 30


@pytest.mark.parametrize("name", ["message_id", "action", "channel", "evidence", "principal", "metadata"])
async def test_what_no_index_answers_says_which_filter_to_add(reported: Api, name: str) -> None:
    value = {"evidence": "A", "principal": "key_1", "metadata": "store:Mitte"}.get(name, "click")
    messaging = reported.client("messaging")
    for days in ({}, {"from": "2031-03-01"}, {"from": "2031-03-01", "to": "2031-04-01"}):
        refused = (await messaging.get("/v1/grants", params={name: value, **days})).json()
        assert (refused["status"], refused["code"]) == (422, "filter_too_broad")
        assert [error["pointer"] for error in refused["errors"]] == ["?customer", "?from"]
    for narrow in ({"customer": "c-1"}, {"from": "2031-03-01", "to": "2031-03-31"}):
        assert (await messaging.get("/v1/grants", params={name: value, **narrow})).status_code == 200


async def test_who_reported_is_a_key_or_our_own_link(reported: Api) -> None:
    (principal,) = {grant["principal"] for grant in await listed(reported, {}, 1_000)}
    days = {"from": DAYS[0], "to": DAYS[2]}
    assert len(await listed(reported, days | {"principal": principal}, 1_000)) == len(await listed(reported, {}, 1_000))
    assert await listed(reported, days | {"principal": "none"}, 10) == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "2031-3-1"}, "?from"),
        ({"to": "tomorrow"}, "?to"),
        ({"from": "2031-03-02", "to": "2031-03-01"}, "?to"),
        ({"customer": "c-1", "principal": "somebody"}, "?principal"),
        ({"customer": "c-1", "metadata": "store"}, "?metadata"),
        ({"customer": "c-1", "evidence": "X"}, "?evidence"),
        ({"customer": "c-1", "colour": "red"}, "?colour"),
    ],
)
async def test_a_filter_that_says_nothing_is_named(api: Api, query: dict[str, str], pointer: str) -> None:
    refused = (await api.client("messaging").get("/v1/grants", params=query)).json()
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, pointer)
