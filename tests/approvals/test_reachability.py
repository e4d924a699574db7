"""Nobody reaches both halves by any chain of calls: makes and approves, funds and grants, raises their own limit.

Somebody begins with one key and does all that the API lets them do with it, and with all that they find or make on the way:
every operation is sent with every key of theirs, and every key or invitation in an answer is used. What was done is read from
the database. Whoever holds more scopes reaches no less, so the starts are the strongest keys and persons there can be, one for
each duty, and each role.

A new kind of request that can wait is asked for in ``ASKS``. The holes that are planted below are found.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import httpx
import pytest

from ledger.testing import set_clock
from service.approvals.limits import Limit
from service.approvals.queries import Approval, list_approvals
from service.auth.api_keys import hash_key, make_key
from service.auth.roles import SCOPES, Role
from service.auth.scopes import DUTIES, Scope
from service.services import APPROVAL_KINDS
from tests.api_fixtures import Api
from tests.approvals.test_approvals import Owner, set_limits
from tests.auth.test_duties import campaign, pays
from tests.cli.test_demo import operations, prefilled
from tests.corrections.test_jobs import work
from tests.people import client_of, enrol, invited
from tests.reports.conftest import at

_SECRET = re.compile(r"r[ki]_(?:live|test)_[A-Za-z0-9_-]{43}")
NOT_SENT = {"DELETE /v1/keys/{key_id}", "DELETE /v1/persons/{person_id}", "POST /v1/test/clock/advance"}
"""Operations that would take from somebody what they hold, or the time in which everything here is over."""

FUNDS, PAYS, MATURES = "funds", "pays", "matures what they reported"
APPROVES, RAISES = "approves of their own request", "raises a limit of their own"
NEVER = frozenset({MATURES, APPROVES, RAISES})


class World(NamedTuple):
    """The books before anybody does anything, and who reads them."""

    api: Api
    owner: Owner
    grant_id: str
    """Of a purchase that can be taken back, and returned."""

    async def standing(self) -> dict[str, Any]:
        """All that two persons are needed for."""
        return {
            "limits": await self.owner.fetchval("SELECT max(version) FROM rewards.approval_policy"),
            "issue limit": await self.owner.fetchval("SELECT issue_limit FROM ledger.head"),
            "value": await self.owner.fetchval("SELECT max(version) FROM rewards.brand_point_value"),
            "erasures": await self.owner.fetchval("SELECT count(*) FROM rewards.erasure"),
            "restatements": await self.owner.fetchval("SELECT count(*) FROM rewards.restatement"),
        }

    async def issued(self) -> int:
        return (await self.api.services.ledger.issue_limit(self.api.brand.book))[1]


async def a_world(api: Api, owner: Owner, *limits: Limit) -> World:
    """A brand with a funded campaign, a closed month, somebody who approves, and somebody invited who has not come yet.

    No change of what points are worth passes, and nothing beyond ``limits``.
    """
    await set_clock(owner, api.brand.book, at("2030-01-15"))
    (await api.client("admin").post("/v1/campaigns", json=campaign_of_then("autumn", budget=10_000))).raise_for_status()
    (await api.client("admin").post("/v1/campaigns", json=campaign_of_then("hello-again"))).raise_for_status()
    (await api.client("admin").patch("/v1/brand", json={"point_value": {"points": 1, "minor_units": 1}})).raise_for_status()
    await set_clock(owner, api.brand.book, at("2030-02-15"))
    closed = await api.client("finance").post("/v1/closes", json={"period": "2030-01"})
    closed.raise_for_status()
    for name in range(20):
        (await api.client("messaging").put(f"/v1/customers/e-{name}", json={})).raise_for_status()
    reason = {"name": "Goodwill", "campaign": "autumn"}
    (await api.client("admin").put("/v1/adjustment-reasons/goodwill", json=reason)).raise_for_status()
    await owner.execute(_A_DRY_RUN)
    granted = await api.client("messaging").post("/v1/grants", json=review("e-0") | {"action": "click", "purchase": ORDER})
    await client_of(api, owner, Role.APPROVER, name="Checker")
    await invited(owner, Role.APPROVER, name="Newcomer")
    await set_limits(owner, Limit("brand.point_value", 0), *limits)
    return World(api, owner, granted.json()["grant_id"])


_A_DRY_RUN = """
WITH made AS (
    INSERT INTO rewards.source (brand_id, address, name, provider, public_url, trust, secrets, api_key_id)
    SELECT brand_id, decode(repeat('aa', 12), 'hex'), 'shop', 'signed_json', '', 'signed_body', '', min(api_key_id)
    FROM rewards.api_key GROUP BY brand_id RETURNING source_no
), head AS (
    INSERT INTO rewards.source_head (source_no, last_no) SELECT source_no, 1 FROM made
), reader AS (
    INSERT INTO rewards.source_reader (source_no, read_no) SELECT source_no, 1 FROM made
)
INSERT INTO rewards.source_replay (source_no, first_no, last_no, read_no, asked_by, done_at, mode, totals, lines_hash)
SELECT source_no, 1, 1, 1, 1, now(), 'dry_run', (
    SELECT jsonb_object_agg(name, 1) FROM unnest(ARRAY[
        'events', 'same', 'new', 'changed', 'rekeyed', 'no_longer', 'new_points', 'taken_points', 'given_points'
    ]) AS name
), sha256('') FROM made
"""
"""A dry run of a replay that has found something to correct."""

ORDER = {"amount_minor": 100, "currency": "EUR", "order_ref": "o-1"}


def campaign_of_then(name: str, **changed: Any) -> dict[str, Any]:
    return campaign(name, **{"starts_at": "2030-01-01T00:00:00Z", "ends_at": "2031-01-01T00:00:00Z", **changed})


class Somebody:
    """One person or system: the keys they hold, and all that they can do with them."""

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.keys: dict[str, httpx.AsyncClient] = {}
        self._seen: set[tuple[str | None, frozenset[str]]] = set()
        self._found: list[str] = [key]

    async def explore(self) -> None:
        """Send everything with every key, until there is no other key to be had."""
        while self._found:
            secret = self._found.pop()
            if secret.startswith("ri_"):
                self._look(await enrol(self.world.api, secret))
                continue
            client = self.world.api.client(key=secret)
            meta = (await client.get("/v1/meta")).json()
            held = frozenset(meta.get("scopes", ()))
            # A key that opens no more than one they hold, and is the same person's, gets them no further.
            if not any(who == meta.get("person") and held <= scopes for who, scopes in self._seen):
                self.keys[secret] = client
                self._seen.add((meta["person"], held))
                await self._send_everything(client)

    async def _send_everything(self, client: httpx.AsyncClient) -> None:
        for address, method, operation in operations():
            if f"{method.upper()} {address}" in NOT_SENT:
                continue
            parameters = operation.get("parameters", [])
            named = {each["name"]: each["example"] for each in parameters if each["in"] == "path"}
            headers = {each["name"]: each["example"] for each in parameters if each["in"] == "header"}
            path = address.format(**named | {"period": "2030-01"})
            self._look(await client.request(method, path, headers=headers, json=prefilled(operation)))
        for body in [{"scopes": [scope]} for scope in Scope] + [{"role": role} for role in Role]:
            self._look(await client.post("/v1/keys", json={"name": "another", **body}))

    def _look(self, answer: httpx.Response) -> None:
        self._found += _SECRET.findall(answer.text) + _SECRET.findall(str(answer.headers))

    async def does(self) -> set[str]:
        """What they did of what takes two."""
        await self.explore()
        before, issued = await self.world.standing(), await self.world.issued()
        done: set[str] = set()
        for n, client in enumerate(self.keys.values()):
            for ask in ASKS.values():
                await ask(self.world, client, f"{n}")
        for approval in await self.asked():
            for client in self.keys.values():
                await client.post(f"/v1/approvals/apr_{approval.approval_no}/approve", json={"digest": approval.digest.hex()})
        await work(self.world.api)
        if any(approval.decision == "approved" for approval in await self.asked()):
            done.add(APPROVES)
        if await self.world.standing() != before:
            done.add(RAISES)
        if await self.world.issued() > issued:
            done.add(FUNDS)
        return done | await self._pays()

    async def asked(self) -> list[Approval]:
        """All requests there are: nobody else makes any."""
        engine, brand_id = self.world.api.services.engine, self.world.api.brand.brand_id
        return await list_approvals(engine, brand_id, state=None, kind=None, before=None, limit=1_000)

    async def _pays(self) -> set[str]:
        done: set[str] = set()
        for n, client in enumerate(self.keys.values()):
            own = await client.post("/v1/grants", json=review(f"c-{n}"))
            held_back = own.json().get("grant_id", "grt_" + "0" * 40)
            ways = await pays(self.world.api, client, f"c-{n}", held_back)
            done |= {PAYS} if ways - {"approval"} else set()
            done |= {MATURES} if "approval" in ways else set()
        return done


def review(who: str) -> dict[str, Any]:
    return {"campaign": "autumn", "customer": {"id": who}, "action": "review", "channel": "web", "message_id": "review"}


Ask = Callable[[World, httpx.AsyncClient, str], Awaitable[httpx.Response]]


def _posts(path: str, body: Callable[[str], Mapping[str, Any]], method: str = "POST") -> Ask:
    async def ask(world: World, client: httpx.AsyncClient, name: str) -> httpx.Response:
        address = path.format(name, grant_id=world.grant_id)
        return await client.request(method, address, json=body(name), headers={"Idempotency-Key": f"ask {name}"})

    return ask


async def _correct_many(world: World, client: httpx.AsyncClient, name: str) -> httpx.Response:
    """Start a list, once it is checked."""
    lines = [{"grant_id": world.grant_id, "points": 1}]
    ordered = await client.post("/v1/corrections/batch?reason=goodwill", json=lines, headers={"Idempotency-Key": f"ask {name}"})
    await work(world.api)
    return await client.post(f"/v1/corrections/{ordered.json().get('id')}/start")


ASKS: Mapping[str, Ask] = {
    "campaign.fund": _posts("/v1/campaigns/autumn/fund", lambda _: {"points": 5}),
    "campaign.create": _posts("/v1/campaigns", lambda name: campaign_of_then(f"made-{name}", budget=5)),
    "brand.point_value": _posts(
        "/v1/brand", lambda name: {"point_value": {"points": 1, "minor_units": 9 + int(name)}}, "PATCH"
    ),
    "brand.issue_limit": _posts("/v1/brand/issue-limit", lambda name: {"points": 10**15 + int(name)}, "PUT"),
    "customer.erase": _posts("/v1/customers/e-{}", lambda _: {}, "DELETE"),
    "adjustment": _posts("/v1/adjustments", lambda name: {"customer": {"id": f"e-{name}"}, "points": 5, "reason": "goodwill"}),
    "grant.clawback": _posts("/v1/grants/{grant_id}/clawback", lambda _: {"points": 1, "reason": "mistake"}),
    "correction": _correct_many,
    "source.correct": _posts("/v1/sources/src_1/replays/1/correct", lambda name: {"reason": name}),
    "purchase.return": _posts(
        "/v1/grants/{grant_id}/returns", lambda name: {"reference": name, "amount_minor": 100, "currency": "EUR"}
    ),
    "approval.limits": _posts("/v1/approval-limits", lambda name: {"limits": [], "expires_after_days": 8 + int(name)}, "PUT"),
    "close.restate": _posts(
        "/v1/closes/2030-01/restate",
        lambda name: {"reason": name, "values": [{"starts_on": "2030-01-20", "points": 1, "minor_units": 5}]},
    ),
}
"""Each kind of request that can wait, asked for: beyond every limit, under a name of its own."""


CORRECTIONS = {"adjustment", "correction", "grant.clawback", "purchase.return", "source.correct"}


def test_every_kind_of_request_is_asked_for() -> None:
    assert ASKS.keys() == APPROVAL_KINDS.keys(), "add a request of the new kind to ASKS"


STRONGEST = {
    duty: frozenset(Scope).difference(*(other for other in DUTIES if other is not DUTIES[n]))
    for n, duty in zip(range(len(DUTIES)), ("mint", "fund", "approve", "correct"), strict=True)
}
"""All scopes that one key may hold, by its duty."""
STARTS: dict[str, tuple[bool, frozenset[Scope]]] = {
    **{f"a system that may {duty}": (False, scopes) for duty, scopes in STRONGEST.items()},
    **{f"a person who may {duty}": (True, scopes) for duty, scopes in STRONGEST.items()},
    **{f"a person in the role {role}": (True, SCOPES[role]) for role in Role},
}


async def somebody(world: World, start: str) -> Somebody:
    """Somebody who begins with one key of these scopes."""
    is_person, scopes = STARTS[start]
    key = make_key("test")
    person_id = None
    if is_person:
        person_id = await world.owner.fetchval(
            "INSERT INTO rewards.person (brand_id, name, roles, scopes, enrolled_at)"
            " VALUES ($1, 'somebody', '{any}', $2, clock_timestamp()) RETURNING person_id",
            world.api.brand.brand_id,
            sorted(scopes),
        )
    await world.owner.execute(
        "INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence, person_id)"
        " VALUES ($1, 'somebody', 'x', $2, $3, 'A', $4)",
        world.api.brand.brand_id,
        hash_key(key),
        sorted(scopes),
        person_id,
    )
    return Somebody(world, key)


@pytest.mark.one_process("the process must know a campaign that was made a moment ago")
@pytest.mark.parametrize("start", STARTS)
async def test_nobody_reaches_both_halves(api: Api, owner: Owner, start: str) -> None:
    someone = await somebody(await a_world(api, owner), start)
    done = await someone.does()
    assert not done & NEVER
    assert not {FUNDS, PAYS} <= done
    # What they may do they do: else nothing is shown by what they cannot.
    _, scopes = STARTS[start]
    assert (FUNDS in done) == (Scope.FUNDS_WRITE in scopes)
    assert (PAYS in done) == (not scopes.isdisjoint(DUTIES[0]))


@pytest.mark.one_process("the process must know a campaign that was made a moment ago")
@pytest.mark.parametrize("start", ["a system that may fund", "a person who may fund"])
async def test_above_a_limit_nobody_funds_alone(api: Api, owner: Owner, start: str) -> None:
    world = await a_world(api, owner, Limit("campaign.fund", 0))
    someone = await somebody(world, start)
    assert await someone.does() == set()
    assert {approval.kind for approval in await someone.asked()} == set(APPROVAL_KINDS) - CORRECTIONS


@pytest.mark.one_process("the process must know a campaign that was made a moment ago")
@pytest.mark.parametrize("start", ["a system that may correct", "a person in the role care"])
async def test_above_a_limit_nobody_corrects_alone(api: Api, owner: Owner, start: str) -> None:
    world = await a_world(api, owner, Limit("adjustment", 0), Limit("grant.clawback", 0))
    someone = await somebody(world, start)
    assert await someone.does() == set()
    assert {approval.kind for approval in await someone.asked()} >= CORRECTIONS
    assert await owner.fetchval("SELECT count(*) FROM ledger.correction") == 0


# ---- Holes


async def _change(owner: Owner, function: str, before: str, after: str) -> None:
    text: str = await owner.fetchval("SELECT pg_get_functiondef(to_regproc($1))", f"rewards.{function}")
    assert before in text
    await owner.execute(text.replace(before, after))


async def an_invitation_in_the_audit_trail(world: World) -> None:
    invitation = await invited(world.owner, Role.APPROVER, name="Nobody")
    await world.owner.execute(
        "UPDATE rewards.audit_trail SET after = jsonb_build_object('text', $1::text) WHERE act = 'person.invite'",
        invitation.text,
    )


async def own_requests_are_not_told(world: World) -> None:
    await _change(world.owner, "decide_approval_v1", "RETURN 'own_request';", "NULL;")


async def a_system_approves(world: World) -> None:
    await _change(world.owner, "decide_approval_v1", "RETURN 'needs_a_person';", "NULL;")


async def a_persons_keys_key_is_a_systems(world: World) -> None:
    await _change(world.owner, "create_key_v2", "v_quota_of, v_caller.person_id", "v_quota_of, NULL")
    both = "maker.api_key_id = checker.api_key_id OR maker.person_id = checker.person_id"
    await _change(world.owner, "decide_approval_v1", both, "v_approval.asked_by = v_caller.api_key_id")


async def a_limit_is_changed_at_once(world: World) -> None:
    """A function of the database that the application may call, and a key that reaches it."""
    await world.owner.execute(
        "CREATE FUNCTION rewards.raise() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " UPDATE ledger.head SET issue_limit = issue_limit + 1; RETURN NEW; END $$"
    )
    await world.owner.execute(
        "CREATE TRIGGER raises AFTER INSERT ON rewards.approval FOR EACH ROW EXECUTE FUNCTION rewards.raise()"
    )


HOLES: list[tuple[Callable[[World], Awaitable[None]], str, str]] = [
    (an_invitation_in_the_audit_trail, "a person in the role operator", APPROVES),
    (own_requests_are_not_told, "a person who may approve", APPROVES),
    (a_system_approves, "a system that may approve", APPROVES),
    (a_persons_keys_key_is_a_systems, "a person who may approve", APPROVES),
    (a_limit_is_changed_at_once, "a person in the role operator", RAISES),
]


@pytest.mark.own_database("changes functions of the database")
@pytest.mark.one_process("the process must know a campaign that was made a moment ago")
@pytest.mark.parametrize(("plant", "start", "found"), HOLES, ids=[hole[0].__name__ for hole in HOLES])
async def test_a_hole_that_is_planted_is_found(
    api: Api, owner: Owner, plant: Callable[[World], Awaitable[None]], start: str, found: str
) -> None:
    world = await a_world(api, owner)
    await plant(world)
    assert found in await (await somebody(world, start)).does()


@pytest.mark.own_database("changes a constraint")
@pytest.mark.one_process("the process must know a campaign that was made a moment ago")
async def test_a_key_with_two_duties_is_found(api: Api, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await a_world(api, owner)
    await owner.execute("ALTER TABLE rewards.api_key DROP CONSTRAINT api_key_mints_or_funds_or_approves")
    monkeypatch.setitem(STARTS, "both", (False, STRONGEST["mint"] | STRONGEST["fund"]))
    assert {FUNDS, PAYS} <= await (await somebody(world, "both")).does()
    monkeypatch.setitem(STARTS, "the other both", (False, STRONGEST["mint"] | STRONGEST["approve"]))
    assert MATURES in await (await somebody(world, "the other both")).does()
