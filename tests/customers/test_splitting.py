"""Two people turned out to be two after all: names, points and what was decided go where they belong, in every process."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.customers.identities import identities
from service.customers.merges import writing
from service.customers.merges.rules import Merge, Split
from service.customers.schemas import CustomerRef
from service.http.problems import Problem
from tests.api_fixtures import BASE_URL, Api
from tests.customers.calls import authorize, balance, check, grant, identity_of, merge, put, split, verify

C1, C2, C3 = {"id": "c-1"}, {"id": "c-2"}, {"id": "c-3"}


async def paid(api: Api, customer: dict[str, str], message_id: str) -> bool:
    """Report a click; whether it was paid now."""
    answer = await grant(api, customer, message_id=message_id)
    assert answer.status_code in {200, 201}, answer.text
    assert answer.json()["outcome"] == "granted"
    return not answer.json()["replayed"]


async def test_a_split_gives_back_what_was_brought_and_every_name_of_before(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    await put(funded, "c-2", email="bob@example.org")
    await grant(other, C1)
    for n in range(2):
        await grant(other, C2, message_id=f"m-{n}")
    await merge(funded, "c-1", id="c-2")
    await grant(funded, {"phone": "+4930901820", "id": "c-2"}, message_id="m-9")
    assert (await balance(other, "c-2"))["balance"] == 20

    answer = await split(other, "c-1", email="bob@example.org")

    assert answer.status_code == 200, answer.text
    now = await balance(other, "c-1")
    assert answer.json() == {
        "customer": "c-1",
        "confirmed": True,
        "split_off": answer.json()["split_off"],
        "points": 10,
        "balance": 10,
        "balance_seq": now["balance_seq"],
    }
    assert str(answer.json()["split_off"]).startswith("cus_")
    for process in (other, funded):
        hers, theirs = await balance(process, "c-1"), await balance(process, "c-2")
        assert (hers["balance"], theirs["balance"]) == (10, 10)
        assert (hers["merged_into"], theirs["merged_into"]) == (None, None)
        # The phone was attached while they were one, to her who survived.
        looked = {"customers": [{"email": "bob@example.org"}, {"phone": "+4930901820"}]}
        found = (await process.client("storefront").post("/v1/customers/lookup", json=looked)).json()["results"]
        assert [each["balance"] for each in found] == [10, 10]
    assert (await grant(funded, {"email": "bob@example.org"}, message_id="m-8")).json()["balance"] == 15
    assert (await grant(other, {"phone": "+4930901820"}, message_id="m-7")).json()["balance"] == 15
    await check(funded, reader_pool)


async def test_the_same_again_answers_the_same_and_moves_nothing(funded: Api, other: Api) -> None:
    for customer in (C1, C2):
        await grant(funded, customer)
    await merge(funded, "c-1", id="c-2")
    first = (await split(funded, "c-1", id="c-2")).json()
    await grant(funded, C2, message_id="m-2")
    again = await split(other, "c-1", id="c-2")
    assert (again.status_code, again.json()) == (200, first | {"balance_seq": again.json()["balance_seq"]})
    assert (await balance(other, "c-2"))["balance"] == 10
    trail = (await funded.client("admin").get("/v1/audit-trail")).json()["items"]
    entries = [(entry["subject"], entry["after"]) for entry in trail if entry["act"] == "customer.split"]
    merged = next(entry for entry in trail if entry["act"] == "customer.merge")
    assert entries == [(merged["subject"], {"split_off": first["split_off"]})]
    assert merged["after"]["merged"] == [first["split_off"]]


REFUSED: list[tuple[str, dict[str, str], int, str, str | None]] = [
    ("c-1", {"id": "c-9"}, 404, "not_found", None),
    ("c-9", {"id": "c-2"}, 404, "not_found", None),
    ("cus_999", {"id": "c-2"}, 404, "not_found", None),
    ("c-1", {"id": "c-3"}, 409, "nothing_to_split", "/customer/id"),
    ("c-1", {"id": "c-1"}, 409, "nothing_to_split", "/customer/id"),
    ("c-1", {"email": "ada@example.org"}, 409, "nothing_to_split", "/customer/email"),
    ("c-2", {"id": "c-1"}, 409, "nothing_to_split", "/customer/id"),
    ("c-2", {"id": "c-2"}, 409, "nothing_to_split", "/customer/id"),
    ("c-1", {}, 422, "invalid_field", "/customer"),
    ("c-1", {"id": "c-2", "email": "ada@example.org"}, 422, "invalid_field", "/customer"),
    ("c-1", {"email": "nobody"}, 422, "invalid_field", "/customer/email"),
]


@pytest.mark.parametrize(("own_id", "name", "status", "code", "pointer"), REFUSED)
async def test_what_cannot_be_split_is_said_and_nothing_is_changed(
    funded: Api, own_id: str, name: dict[str, str], status: int, code: str, pointer: str | None
) -> None:
    await put(funded, "c-1", email="ada@example.org")
    for customer in (C2, C3):
        await grant(funded, customer)
    await merge(funded, "c-1", id="c-2")
    refused = await split(funded, own_id, **name)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert [error["pointer"] for error in refused.json().get("errors", [])] == ([] if pointer is None else [pointer])
    assert (await balance(funded, "c-2"))["merged_into"] is not None


async def test_who_may_only_read_splits_nobody(api: Api) -> None:
    refused = await api.client("storefront").post("/v1/customers/c-1/split", json={"customer": C2})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


async def test_an_email_that_was_given_to_an_id_by_mistake_is_taken_away_again(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    email = {"email": "ada@example.org"}
    await grant(funded, email)
    await grant(funded, C1)
    await put(funded, "c-1", **email)
    assert (await balance(other, "c-1"))["balance"] == 10
    answer = await split(funded, "c-1", **email)
    assert (answer.json()["points"], answer.json()["balance"], answer.json()["confirmed"]) == (5, 5, True)
    # Known by her email alone she cannot redeem, also where she is remembered as one with an id.
    for process in (other, funded):
        refused = await authorize(process, email, 5, key="k-9")
        assert (refused.status_code, refused.json()["code"]) == (409, "customer_not_confirmed")
    await check(funded, reader_pool)


def _names(api: Api, ref: dict[str, str]) -> Any:
    directory = api.services.customers
    names = identities(CustomerRef(**ref), api.brand.brand_id, directory.keys, at="")
    assert not isinstance(names, Problem)
    return names[0]


async def _join_as(api: Api, *, survivor: dict[str, str], name: dict[str, str]) -> None:
    """The half of a merge that the look-ups do, as a process does it that dies then."""
    await writing.merge(api.services, api.brand, [Merge(_names(api, survivor), _names(api, name))])


async def _split_as(api: Api, *, whole: dict[str, str], name: dict[str, str]) -> int:
    """The same of a split; the number that was split off."""
    directory = api.services.customers
    pool = api.services.pool
    async with pool.acquire() as connection, connection.transaction():
        parted = await writing.split_within(directory, connection, api.brand, Split(_names(api, whole), _names(api, name)))
    assert not isinstance(parted, Problem)
    return parted.number


FINISHERS = ["balance of the survivor", "balance of the other", "report", "redemption", "the split again", "a merge"]


@pytest.mark.one_process("has a process die between the look-ups and the book")
@pytest.mark.parametrize("finisher", FINISHERS)
async def test_an_interrupted_split_is_finished_by_the_next_caller(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], finisher: str
) -> None:
    for customer in (C1, C2):
        await grant(other, customer)
    await merge(other, "c-1", id="c-2")
    assert (await balance(other, "c-2"))["balance"] == 10
    await _split_as(funded, whole=C1, name=C2)
    # Who remembers them as one may still be served as one.
    assert (await grant(other, C2, message_id="m-2")).json()["balance"] == 15
    match finisher:
        case "balance of the survivor":
            assert (await balance(funded, "c-1"))["balance"] == 10
        case "balance of the other":
            assert (await balance(funded, "c-2"))["balance"] == 5
        case "report":
            assert (await grant(funded, C2, message_id="m-1")).json()["balance"] == 5
        case "redemption":
            assert (await authorize(funded, C2, 6)).json()["code"] == "insufficient_balance"
        case "the split again":
            assert (await split(funded, "c-1", id="c-2")).json()["points"] == 5
        case _:
            merged = await merge(funded, "c-3", id="c-1")
            assert merged.status_code == 200
    for process in (other, funded):
        assert (await balance(process, "c-1"))["balance"] == 10
        assert (await balance(process, "c-2"))["balance"] == 5
        # Paid while the book still had them as one.
        assert not await paid(process, C2, "m-2")
    await check(funded, reader_pool)


@pytest.mark.one_process("has a process die between the look-ups and the book")
async def test_a_book_that_has_missed_a_row_of_merges_and_splits_ends_where_the_look_ups_are(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    everybody = (C1, C2, C3)
    for customer in everybody:
        await grant(other, customer, message_id="m-" + customer["id"])
    for survivor, name in ((C1, C2), (C3, C1)):
        await _join_as(funded, survivor=survivor, name=name)
    await _split_as(funded, whole=C3, name=C1)
    await _split_as(funded, whole=C3, name=C2)
    await _join_as(funded, survivor=C2, name=C3)
    # The other process remembers three, as the book does, until somebody comes who knows.
    for process, customer in itertools.product((funded, other), everybody):
        assert (await balance(process, customer["id"]))["balance"] == (5 if customer == C1 else 10), customer
    for process, customer in itertools.product((funded, other), everybody):
        for message in everybody:
            late = await grant(process, customer, message_id="m-" + message["id"])
            assert late.status_code in {200, 201}
    # Each is paid for all three messages, C2 and C3 together once.
    assert [(await balance(other, each["id"]))["balance"] for each in everybody] == [15, 15, 15]
    await check(funded, reader_pool)


async def test_a_retry_finds_what_was_paid_while_they_were_one_and_nothing_else(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    await paid(funded, C1, "hers before")
    await paid(other, C2, "theirs before")
    await merge(funded, "c-1", id="c-2")
    await paid(other, C2, "under the one")
    await paid(funded, C1, "under the other")
    await split(funded, "c-1", id="c-2")
    await paid(other, C1, "hers after")
    await paid(other, C2, "theirs after")
    messages = ("hers before", "theirs before", "under the one", "under the other", "hers after", "theirs after")
    assert [await paid(other, C2, message) for message in messages] == [True, False, False, False, True, False]
    assert [await paid(funded, C1, message) for message in messages] == [False, True, False, False, False, True]
    assert (await balance(funded, "c-2"))["balance"] == 5 + 15
    # One again: nothing of all that is paid once more.
    await merge(other, "c-2", id="c-1")
    for process, customer, message in itertools.product((funded, other), (C1, C2), messages):
        assert not await paid(process, customer, message)
    await check(funded, reader_pool)


async def test_a_process_that_has_missed_a_split_and_another_merge_is_not_fooled(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for customer in (C1, C2, C3):
        await grant(other, customer)
    await merge(other, "c-1", id="c-2")
    await balance(other, "c-1")
    await grant(other, C2, message_id="m-0")
    await split(funded, "c-1", id="c-2")
    await merge(funded, "c-1", id="c-3")
    # The other process remembers one who has as many numbers as she has now, but others.
    assert (await grant(other, C2, message_id="m-2")).json()["balance"] == 10
    assert (await grant(other, C1, message_id="m-3")).json()["balance"] == 5 + 5 + 5 + 5
    assert (await authorize(other, C2, 11)).json()["code"] == "insufficient_balance"
    assert (await balance(other, "c-3"))["balance"] == 20
    await check(funded, reader_pool)


@pytest.mark.parametrize("first", ["c-2", "c-3"])
async def test_of_a_chain_each_is_split_off_alone(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], first: str) -> None:
    for n, customer in enumerate((C1, C2, C3)):
        for message in range(n + 1):
            await grant(other, customer, message_id=f"m-{n}-{message}")
    await merge(funded, "c-2", id="c-3")
    await merge(other, "c-1", id="c-2")
    await balance(funded, "c-3")
    second = "c-3" if first == "c-2" else "c-2"
    own = {"c-1": 5, "c-2": 10, "c-3": 15}
    assert (await split(funded, "c-1", id=first)).json()["points"] == own[first]
    for process in (other, funded):
        assert (await balance(process, first))["balance"] == own[first]
        assert (await balance(process, second))["balance"] == 30 - own[first]
    # By any of her names.
    assert (await split(other, second, id="c-1")).status_code == 409
    assert (await split(other, "c-1", id=second)).json()["balance"] == 5
    for process, (name, points) in itertools.product((other, funded), own.items()):
        assert (await balance(process, name))["balance"] == points
    await check(funded, reader_pool)


async def test_the_limits_hold_after_splits(funded: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    for n in range(9):
        await put(funded, f"c-{n}")
    for n in range(1, 8):
        assert (await merge(funded, "c-0", id=f"c-{n}")).status_code == 200
    assert (await merge(funded, "c-0", id="c-8")).json()["code"] == "merge_limit_reached"
    await split(funded, "c-0", id="c-3")
    assert (await merge(funded, "c-0", id="c-8")).status_code == 200
    assert (await merge(funded, "c-0", id="c-3")).json()["code"] == "merge_limit_reached"
    # Whoever was one with her once is looked up, too, so there is an end to that as well.
    statuses: list[int] = []
    for n in range(9, 40):
        await put(funded, f"c-{n}")
        await split(funded, "c-0", id=f"c-{n - 1}")
        statuses.append((await merge(funded, "c-0", id=f"c-{n}")).status_code)
    assert statuses == [200] * 23 + [409] * 8
    await check(funded, reader_pool)


async def test_a_purchase_of_before_is_refunded_to_whose_it_was(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for customer in (C1, C2):
        await grant(funded, customer)
    storefront = other.client("storefront")
    spent = (await authorize(funded, C2, 4, "k-0", capture=True)).json()["redemption_id"]
    await merge(funded, "c-1", id="c-2")
    held = (await authorize(other, C2, 3)).json()["redemption_id"]
    await split(funded, "c-1", id="c-2")
    refunded = await storefront.post(f"/v1/redemptions/{spent}/refund", json={}, headers={"Idempotency-Key": "r"})
    assert refunded.json()["balance"] == 4 + 1
    assert (await storefront.post(f"/v1/redemptions/{held}/void")).json()["balance"] == 5
    for own_id, redemption in (("c-2", spent), ("c-1", held)):
        found = await storefront.get("/v1/redemptions", params={"customer": own_id})
        assert [each["redemption_id"] for each in found.json()["items"]] == [redemption]
    await check(funded, reader_pool)


@pytest.mark.parametrize("proved", [True, False])
async def test_a_proof_of_a_name_goes_with_the_name(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], proved: bool
) -> None:
    eve = {"email": "eve@example.org"}
    await grant(funded, C1)
    await grant(funded, eve)
    if proved:
        await verify(funded, (await identity_of(funded, **eve))["identity_id"])
    await put(other, "c-1", **eve)
    assert (await authorize(funded, eve, 6, key="k-one")).status_code == 201

    assert (await split(other, "c-1", **eve)).status_code == 200

    looked = {"customers": [eve, C1]}
    found = (await funded.client("storefront").post("/v1/customers/lookup", json=looked)).json()["results"]
    assert [(each["confirmed"], each["verified"]) for each in found] == [(False, proved), (True, False)]
    for process in (funded, other):
        spent = await authorize(process, eve, 1, key=f"k-two-{process is other}")
        assert spent.status_code == (201 if proved else 409), spent.text
        if not proved:
            assert spent.json()["code"] == "customer_not_confirmed"
    await check(funded, reader_pool)


async def test_a_link_of_hers_is_hers_again(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    await grant(funded, C1)
    links = [
        {"campaign": "autumn", "message_id": message, "customer": C2, "action": "click", "channel": "email",
         "destination": "https://shop.example/autumn"}
        for message in ("m-1", "m-2", "m-3")
    ]  # fmt: skip
    answer = await funded.client("messaging").post("/v1/links", json={"links": links})
    paths = [each["url"].removeprefix(BASE_URL) for each in answer.raise_for_status().json()["results"]]
    await merge(funded, "c-1", id="c-2")
    # One was clicked before the merge by her alone, one while they were one, one by nobody.
    for process in (funded, other):
        assert "You already have these" in (await process.client(None).get(paths[0])).text
    await funded.client(None).post(paths[1], follow_redirects=True)
    await split(funded, "c-1", id="c-2")
    for process in (other, funded):
        pages = [(await process.client(None).get(path)).text for path in paths]
        assert ["You already have these" in page for page in pages] == [False, True, False]
    for process, path in itertools.product((other, funded), paths):
        await process.client(None).post(path, follow_redirects=True)
    assert (await balance(other, "c-2"))["balance"] == 10
    assert (await balance(other, "c-1"))["balance"] == 10
    await check(funded, reader_pool)


async def test_a_process_that_has_missed_a_split_gives_names_and_links_to_whom_they_belong(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    for customer in (C1, C2):
        await grant(other, customer)
    await merge(other, "c-1", id="c-2")
    await balance(other, "c-2")
    await split(funded, "c-1", id="c-2")
    link = {"campaign": "autumn", "message_id": "m-2", "customer": C2, "action": "click", "channel": "email",
            "destination": "https://shop.example/autumn"}  # fmt: skip
    answer = await other.client("messaging").post("/v1/links", json={"links": [link]})
    path = answer.raise_for_status().json()["results"][0]["url"].removeprefix(BASE_URL)
    # Remembered as one still: nothing has told this process otherwise.
    assert (await grant(other, C2 | {"email": "bob@example.org"}, message_id="m-3")).json()["balance"] == 10
    await funded.client(None).post(path, follow_redirects=True)
    assert (await grant(funded, {"email": "bob@example.org"}, message_id="m-4")).json()["balance"] == 20
    assert (await balance(funded, "c-1"))["balance"] == 5
    await check(funded, reader_pool)


async def test_many_who_merge_split_and_report_at_once_lose_and_gain_nothing(
    funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]
) -> None:
    names = [{"id": f"c-{n}"} for n in range(5)]
    for name in names:
        await grant(funded, name, message_id="before")
    processes = (funded, other)

    async def regroup(process: Api, survivor: int, name: int) -> list[int]:
        statuses: list[int] = []
        for _ in range(3):
            statuses.append((await merge(process, f"c-{survivor}", id=f"c-{name}")).status_code)
            statuses.append((await split(process, f"c-{survivor}", id=f"c-{name}")).status_code)
        return statuses

    tills = [authorize(processes[n % 2], names[n % 5], 1, key=f"k-{n}", capture=True) for n in range(20)]
    reports = [grant(process, name, message_id=f"m-{n}") for n in range(6) for process in processes for name in names]
    groups = [regroup(processes[n % 2], *pair) for n, pair in enumerate(((0, 1), (0, 2), (1, 3), (3, 4)))]
    sales, reported, regrouped = await asyncio.gather(asyncio.gather(*tills), asyncio.gather(*reports), asyncio.gather(*groups))
    sold = sum(answer.status_code == 201 for answer in sales)
    assert {answer.status_code for answer in sales} <= {201, 402, 503}
    assert {answer.status_code for answer in reported} <= {200, 201, 503}
    assert {status for statuses in regrouped for status in statuses} <= {200, 409}
    for name, into in itertools.permutations(range(5), 2):
        await split(funded, f"c-{into}", id=f"c-{name}")
    shown = [[(await balance(process, name["id"])) for name in names] for process in processes]
    assert [each["merged_into"] for each in shown[0]] == [None] * 5
    assert [each["balance"] for each in shown[0]] == [each["balance"] for each in shown[1]]
    campaign = (await funded.client("admin").get("/v1/campaigns/autumn")).json()
    assert sum(each["balance"] for each in shown[0]) == campaign["budget"]["granted"] - sold
    for process, name, n in itertools.product(processes, names, range(6)):
        assert (await grant(process, name, message_id=f"m-{n}")).status_code in {200, 201}
    for process, name, n in itertools.product(processes, names, range(6)):
        assert not await paid(process, name, f"m-{n}")
    await check(funded, reader_pool)


# ---- In any order

NAMES = ("c-1", "c-2", "c-3")
MESSAGES = ("m-1", "m-2")
EXAMPLES = int(os.environ.get("REWARDS_SPLIT_EXAMPLES", "40"))
names = st.sampled_from(NAMES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), names, st.sampled_from(MESSAGES)),
        st.tuples(st.just("merge"), names, names),
        st.tuples(st.just("split"), names, names),
        st.tuples(st.just("mint"), names, st.sampled_from(MESSAGES)),
        st.tuples(st.just("follow"), names, st.sampled_from(MESSAGES)),
        st.tuples(st.just("spend"), names, st.just("")),
    ),
    min_size=4,
    max_size=14,
)


async def mint(api: Api, customer: dict[str, str], message_id: str) -> str:
    """The path of a link to the click of a message."""
    link = {"campaign": "autumn", "message_id": message_id, "customer": customer, "action": "click", "channel": "email",
            "destination": "https://shop.example/autumn"}  # fmt: skip
    answer = await api.client("messaging").post("/v1/links", json={"links": [link]})
    return answer.raise_for_status().json()["results"][0]["url"].removeprefix(BASE_URL)


class Model:
    """Who is one with whom, and for whom each message has been paid: for all who were one when it was.

    A link is for whom it was minted, whoever they were one with then: to follow it is to report them.
    """

    def __init__(self) -> None:
        self.survivors = {name: name for name in NAMES}
        self.paid_for: dict[str, set[str]] = {message: set() for message in MESSAGES}
        self.total = 0

    def group(self, name: str) -> set[str]:
        """All who are one with her."""
        return {each for each, survivor in self.survivors.items() if survivor == self.survivors[name]}

    def tell(self, step: tuple[str, str, str]) -> bool:
        """Take a step; whether it is a report that is paid, or a split of somebody."""
        what, first, second = step
        group = self.group(first)
        match what:
            case "report" | "follow":
                # Who is one by now has all that any of them has been paid for, of before they met, too.
                pays = not group & self.paid_for[second]
                if pays:
                    self.paid_for[second] |= group
                    self.total += 5
                return pays
            case "merge":
                if second not in group:
                    self.survivors |= dict.fromkeys(self.group(second), self.survivors[first])
                return False
            case "split":
                parts = second in group and second not in {first, self.survivors[second]}
                if parts:
                    self.survivors[second] = second
                return parts
            case _:
                return False


async def _tell(processes: tuple[Api, Api], steps: list[tuple[str, str, str]], story: int) -> None:
    """Tell a story of three customers of its own, its steps to the two processes by turns."""
    model, spent = Model(), 0
    links: dict[tuple[str, str], str] = {}
    for name in NAMES:
        await put(processes[0], f"{name}-{story}")
    for turn, (what, first, second) in enumerate(steps):
        process, told = processes[turn % 2], model.tell((what, first, second))
        match what:
            case "report":
                assert await paid(process, {"id": f"{first}-{story}"}, second) is told, steps[: turn + 1]
            case "mint":
                links[first, second] = await mint(process, {"id": f"{first}-{story}"}, second)
            case "follow":
                path = links.get((first, second)) or await mint(process, {"id": f"{first}-{story}"}, second)
                before = (await balance(process, f"{first}-{story}"))["balance"]
                await process.client(None).post(path, headers={"Sec-Fetch-Site": "same-origin"})
                after = (await balance(process, f"{first}-{story}"))["balance"]
                assert after - before == (5 if told else 0), steps[: turn + 1]
            case "merge":
                answer = await merge(process, f"{first}-{story}", id=f"{second}-{story}")
                assert answer.status_code == 200, steps[: turn + 1]
            case "split":
                answer = await split(process, f"{first}-{story}", id=f"{second}-{story}")
                assert answer.status_code in ({200} if told else {200, 409}), steps[: turn + 1]
            case _:
                answer = await authorize(process, {"id": f"{first}-{story}"}, 1, key=f"{story}-{turn}", capture=True)
                spent += answer.status_code == 201
    for process, name, message in itertools.product(processes, NAMES, MESSAGES):
        assert await paid(process, {"id": f"{name}-{story}"}, message) is model.tell(("report", name, message)), steps
    survivors = set(model.survivors.values())
    for process in processes:
        shown = {name: await balance(process, f"{name}-{story}") for name in NAMES}
        assert sum(shown[name]["balance"] for name in survivors) == model.total - spent, steps
        assert all((shown[name]["merged_into"] is None) == (name in survivors) for name in NAMES), steps


@pytest.mark.one_process("has two processes of its own")
async def test_an_act_is_paid_once_for_all_who_were_one_then(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any]) -> None:
    loop, stories = asyncio.get_running_loop(), itertools.count(1)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=(HealthCheck.too_slow,), database=None)
    @given(steps=STEPS)
    def holds(steps: list[tuple[str, str, str]]) -> None:
        told = asyncio.run_coroutine_threadsafe(_tell((funded, other), steps, next(stories)), loop)
        told.result()

    await asyncio.to_thread(holds)
    await check(funded, reader_pool)
