"""Who can do what, by whatever path: the table of docs/security.md, held to every route with every scope, alone and together.

WALK   each operation of the API with each key: let through, or refused for a scope
PAY    each key tries to pay a customer in every way there is, with what it can make
"""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.app import describe
from service.auth.actions import create_key
from service.auth.errors import KeyInvalid
from service.auth.scopes import DUTIES, Scope, conflict
from service.ingest.envelope_reader import EnvelopeReader
from service.services import open_for_agents
from tests.api_fixtures import BASE_URL, Api
from tests.asgi import status_of
from tests.ingest.senders import StandardWebhooks, send

Owner: TypeAlias = "asyncpg.Connection[Any]"

MINT, FUND, APPROVE, CORRECT, TERMS, READ, WRITE, SPEND = CAN = (
    "mint",
    "fund",
    "approve",
    "correct",
    "set terms",
    "read",
    "write",
    "spend",
)

# What each operation makes possible, by itself or by what it makes. A new operation has to say so here, even if it is nothing.
# What an answer tells of a customer counts as reading.
OPERATIONS: dict[str, Collection[str]] = {
    "GET /v1/adjustment-reasons": (),
    "PUT /v1/adjustment-reasons/{reason}": (TERMS,),
    "GET /v1/adjustments": (READ,),
    "POST /v1/adjustments": (CORRECT, READ),
    "GET /v1/adjustments/{adjustment_id}": (READ,),
    "GET /v1/approval-limits": (),
    # What waits for another person: see tests/approvals.
    "PUT /v1/approval-limits": (),
    "GET /v1/approvals": (READ,),
    "GET /v1/approvals/{approval_id}": (READ,),
    "POST /v1/approvals/{approval_id}/approve": (READ,),
    "POST /v1/approvals/{approval_id}/decline": (READ,),
    "GET /.well-known/jwks.json": (),
    "GET /health/live": (),
    "GET /health/ready": (),
    "GET /v1/audit-trail": (),
    "GET /v1/brand": (),
    "PATCH /v1/brand": (),
    "PUT /v1/brand": (),
    "GET /v1/brand/issue-limit": (),
    # It waits for another person.
    "PUT /v1/brand/issue-limit": (),
    "GET /v1/brand/link-host": (),
    "POST /v1/brand/link-host/verify": (),
    "GET /v1/brand/point-values": (),
    "POST /v1/brand/previews/{page}": (),
    "GET /v1/campaigns": (),
    "POST /v1/campaigns": (TERMS,),
    "GET /v1/campaigns/{campaign_id}": (),
    "POST /v1/campaigns/{campaign_id}/fund": (FUND,),
    "POST /v1/campaigns/{campaign_id}/pause": (TERMS,),
    "GET /v1/campaigns/{campaign_id}/reconciliation": (),
    "POST /v1/campaigns/{campaign_id}/redecide": (APPROVE,),
    "POST /v1/campaigns/{campaign_id}/resume": (TERMS,),
    "GET /v1/campaigns/{campaign_id}/versions": (),
    "POST /v1/campaigns/{campaign_id}/versions": (TERMS,),
    "POST /v1/claims": (MINT, READ),
    "GET /v1/closes": (),
    "POST /v1/closes": (),
    "GET /v1/closes/{period}": (),
    "GET /v1/closes/{period}/checklist": (),
    # It waits for another person.
    "POST /v1/closes/{period}/restate": (),
    "GET /v1/restatements": (),
    "GET /v1/code-batches": (MINT,),
    "POST /v1/code-batches": (MINT,),
    "GET /v1/code-batches/{batch_id}": (MINT,),
    "GET /v1/code-batches/{batch_id}/codes": (MINT,),
    "POST /v1/code-claims": (MINT, READ),
    "POST /v1/consents/batch": (WRITE, READ),
    "POST /v1/customers/attention": (READ,),
    "POST /v1/customers/balance": (READ,),
    "POST /v1/customers/batch": (WRITE, READ),
    "POST /v1/customers/lookup": (READ,),
    "POST /v1/customers/statement": (READ,),
    "POST /v1/customers/wallet": (READ,),
    "DELETE /v1/customers/{customer_id}": (WRITE, READ),
    "PUT /v1/customers/{customer_id}": (WRITE, READ),
    "GET /v1/customers": (READ,),
    "GET /v1/customers/{customer_id}/attention": (READ,),
    "GET /v1/customers/{customer_id}/balance": (READ,),
    "GET /v1/customers/{customer_id}/consents": (READ,),
    "PUT /v1/customers/{customer_id}/consents/{channel}": (WRITE, READ),
    "GET /v1/customers/{customer_id}/export": (READ,),
    "GET /v1/customers/{customer_id}/statement/audit": (READ,),
    "GET /v1/customers/{customer_id}/statement/care": (READ,),
    "GET /v1/customers/{customer_id}/statement/finance": (READ,),
    "GET /v1/customers/{customer_id}/statement/marketing": (READ,),
    "GET /v1/customers/{customer_id}/identities": (READ,),
    "POST /v1/customers/{customer_id}/merge": (WRITE, READ),
    "GET /v1/customers/{customer_id}/preferences": (READ,),
    "POST /v1/customers/{customer_id}/split": (WRITE,),
    "GET /v1/customers/{customer_id}/statement": (READ,),
    "GET /v1/customers/{customer_id}/wallet": (READ,),
    "GET /v1/corrections": (),
    "POST /v1/corrections": (CORRECT,),
    "POST /v1/corrections/batch": (CORRECT, READ),
    "GET /v1/corrections/{job_id}": (),
    "POST /v1/corrections/{job_id}/cancel": (CORRECT,),
    "GET /v1/corrections/{job_id}/lines": (READ,),
    "POST /v1/corrections/{job_id}/start": (CORRECT,),
    "POST /v1/cuts": (),
    "GET /v1/erasures": (READ,),
    "GET /v1/erasures/{erasure_id}": (READ,),
    "GET /v1/estimates": (),
    "POST /v1/estimates": (),
    "GET /v1/events": (READ,),
    "GET /v1/exports": (),
    "POST /v1/exports": (READ,),
    "DELETE /v1/exports/{export_id}": (),
    "POST /v1/exports/{export_id}/remake": (),
    "GET /v1/exports/{export_id}": (),
    "GET /v1/exports/{export_id}/files/{name}": (READ,),
    "GET /v1/grants": (READ,),
    "POST /v1/grants": (MINT, READ),
    "POST /v1/grants/batch": (MINT, READ),
    "POST /v1/grants/quote": (READ,),
    "POST /v1/grants/quote/batch": (READ,),
    "GET /v1/grants/{grant_id}": (READ,),
    "GET /v1/grants/{grant_id}/uses": (READ,),
    "POST /v1/grants/{grant_id}/clawback": (CORRECT, READ),
    "POST /v1/grants/{grant_id}/returns": (CORRECT, READ),
    "POST /v1/grants/{grant_id}/returns/quote": (READ,),
    "POST /v1/grants/{grant_id}/mature": (APPROVE, READ),
    "POST /v1/grants/{grant_id}/reject": (APPROVE, READ),
    "GET /v1/hotline": (),
    "POST /v1/identities/{identity_id}/unverify": (WRITE,),
    "GET /v1/identities/{identity_id}/verifications": (READ,),
    "POST /v1/identities/{identity_id}/verify": (WRITE,),
    "GET /v1/keys": (),
    # Of its own scopes alone: see below.
    "POST /v1/keys": (),
    "DELETE /v1/keys/{key_id}": (),
    "GET /v1/keys/{key_id}/made": (),
    "GET /v1/ledger/balances": (READ,),
    "GET /v1/ledger/transfers": (READ,),
    "GET /v1/ledger/trial-balance": (),
    "POST /v1/link-numbers": (),
    "GET /v1/link-revocations": (),
    "POST /v1/link-revocations": (),
    "DELETE /v1/link-revocations/{revocation}": (),
    "GET /v1/app-devices": (READ,),
    "POST /v1/app-devices": (MINT,),
    "POST /v1/app-devices/{device}/revoke": (),
    "POST /v1/app-receipts": (),
    "POST /v1/links": (MINT,),
    "POST /v1/links/check": (),
    "GET /v1/links/evidence": (),
    "POST /v1/messages": (MINT,),
    "GET /v1/offers": (READ,),
    "GET /v1/offers/{offer_group}": (READ,),
    "GET /v1/messages/trail": (READ,),
    "GET /v1/messages/{message_id}/trail": (READ,),
    "GET /v1/meta": (),
    "GET /v1/minting-keys": (),
    "POST /v1/minting-keys": (MINT,),
    "DELETE /v1/minting-keys/{kid}": (),
    "POST /v1/minting-keys/{kid}/retire": (),
    # Reading and writing by such a page takes the scopes for that as well: see below.
    "POST /v1/page-links": (MINT,),
    "GET /v1/persons": (),
    # An invitation is no key, and only the operator makes one.
    "POST /v1/persons/enrol": (),
    "DELETE /v1/persons/{person_id}": (),
    "GET /v1/redemptions": (READ,),
    "POST /v1/redemptions": (SPEND, READ),
    "POST /v1/redemptions/quote": (READ,),
    "GET /v1/redemptions/{redemption_id}": (READ,),
    "GET /v1/redemptions/{redemption_id}/sources": (READ,),
    "POST /v1/redemptions/{redemption_id}/capture": (SPEND,),
    "POST /v1/redemptions/{redemption_id}/refund": (SPEND,),
    "POST /v1/redemptions/{redemption_id}/void": (SPEND,),
    "GET /v1/reports/customers/{view}": (),
    "GET /v1/reports/{report}": (),
    "GET /v1/sources": (),
    "POST /v1/sources": (MINT,),
    "GET /v1/sources/{source_id}": (),
    "PATCH /v1/sources/{source_id}": (MINT,),
    "GET /v1/sources/{source_id}/deliveries": (),
    "GET /v1/sources/{source_id}/deliveries/{delivery}/events": (),
    "POST /v1/sources/{source_id}/replay": (MINT,),
    "GET /v1/sources/{source_id}/replays": (),
    "GET /v1/sources/{source_id}/replays/{replay}": (),
    "GET /v1/sources/{source_id}/replays/{replay}/differences": (),
    # It waits for another person.
    "POST /v1/sources/{source_id}/replays/{replay}/correct": (CORRECT,),
    "POST /v1/test/clock/advance": (),
}
PAGES = [
    *((method, f"/{page}/x") for page in ("wallet", "preferences") for method in ("GET", "POST", "PUT", "DELETE")),
    *(
        (method, path)
        for path in ("/r/x", "/r/done/x", "/o/x.gif", "/live/x.png", "/qr/x.svg", "/display/x", "/v1/ingest/x")
        for method in ("GET", "POST")
    ),
]
SINGLE = [frozenset({scope}) for scope in Scope]
PAIRS = [frozenset(pair) for pair in itertools.combinations(Scope, 2)]
MINTING_KEYS = frozenset({Scope.KEYS_WRITE, Scope.LINKS_WRITE})
PREFERENCES_PAGES = frozenset({Scope.LINKS_WRITE, Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE})
MORE_TOGETHER = {
    MINTING_KEYS: {"POST /v1/minting-keys"},
    frozenset({Scope.AUDIT_READ, Scope.LEDGER_READ}): {"GET /v1/customers/{customer_id}/statement/audit"},
}
OF_NO_DUTY = frozenset(Scope).difference(*DUTIES)
LARGEST = [duty | OF_NO_DUTY for duty in DUTIES]
"""All that one key may hold. What any of its scopes open together, it opens."""
BUT_FOR_ONE = [most - {scope} for more in MORE_TOGETHER for most in LARGEST if more <= most for scope in more]
"""In these, whatever else would open what is known to be open together is seen."""
HELD = [*SINGLE, *dict.fromkeys([*MORE_TOGETHER, *LARGEST, *BUT_FOR_ONE])]

Scopes: TypeAlias = frozenset[Scope]


@pytest.fixture
async def clients(api: Api, owner: Owner) -> dict[Scopes, httpx.AsyncClient]:
    """A key for each scope, and keys for as many scopes as one may hold."""
    return {held: await client_of(api, owner, held) for held in HELD}


async def client_of(api: Api, owner: Owner, held: Scopes) -> httpx.AsyncClient:
    return api.client(key=(await create_key(owner, "lumen", " ".join(sorted(held))[:100], held, "A"))[0])


def documented() -> Iterator[str]:
    for path, operations in describe()["paths"].items():
        yield from (f"{method.upper()} {path}" for method in operations if method in {"get", "post", "put", "patch", "delete"})


async def let_through(api: Api, key: str) -> frozenset[str]:
    """The operations that do not refuse this key for a scope. Whether it may is decided before its body is looked at."""
    through: set[str] = set()
    for operation in OPERATIONS:
        method, path = operation.split()
        address = re.sub(r"\{[^}]*\}", "7", path)
        body = b"" if method == "GET" else b"{}"
        headers = {"authorization": key, "content-length": str(len(body))}
        status = await status_of(api, method, address, headers, body=body)
        assert status != 401, operation
        if status != 403:
            through.add(operation)
    return frozenset(through)


def test_every_operation_says_what_it_makes_possible() -> None:
    assert sorted(documented()) == sorted(OPERATIONS), "add what is new to OPERATIONS, with what a key can do by it"


@pytest.mark.one_process("it is the same application in each")
async def test_scopes_reach_what_the_table_says_alone_and_together(api: Api, clients: dict[Scopes, httpx.AsyncClient]) -> None:
    walked = {held: await let_through(api, client.headers["authorization"]) for held, client in clients.items()}
    can = {held: {each for operation in walked[held] for each in OPERATIONS[operation]} for held in HELD}
    for held in HELD:
        can[held] |= await by_their_bodies(clients[held])

    assert table() == {str(scope): can[frozenset({scope})] for scope in Scope}
    anybodys = set(OPERATIONS).intersection(*walked.values())
    for scope, held in zip(Scope, SINGLE, strict=True):
        assert walked[held] > anybodys, f"{scope} opens nothing"
    for held in HELD:
        # Scopes together open what they open apart, and never more but what says so.
        parts = [frozenset({scope}) for scope in held]
        apart = frozenset[str]().union(*(walked[part] for part in parts))
        assert walked[held] == apart.union(*(opened for more, opened in MORE_TOGETHER.items() if more <= held)), held
        assert can[held] == {each for part in parts for each in can[part]}, held
        assert len(can[held] & {MINT, FUND, APPROVE, CORRECT}) <= 1, held


async def by_their_bodies(client: httpx.AsyncClient) -> set[str]:
    """What depends on what is asked for: a campaign with its budget, and links to pages."""
    can: set[str] = set()
    funded = await client.post("/v1/campaigns", json=campaign(f"c-{secrets.token_hex(4)}", budget=1))
    can |= {FUND} if funded.status_code == 201 else set()
    for kind, reach in (("wallet", {READ}), ("live", {READ}), ("preferences", {READ, WRITE})):
        item = {"customer": {"id": "c-1"}, "kind": kind, "message_id": "m"}
        answer = await client.post("/v1/page-links", json={"pages": [item]})
        can |= reach if answer.status_code == 200 and "url" in answer.json()["results"][0] else set()
    return can


def test_scopes_of_two_duties_are_in_no_key() -> None:
    apart = [pair for pair in PAIRS if conflict(pair)]
    assert apart == [pair for pair in PAIRS if sum(not duty.isdisjoint(pair) for duty in DUTIES) > 1]
    assert len(apart) == 23


async def test_no_key_is_made_with_two_duties(api: Api, owner: Owner) -> None:
    for pair in PAIRS:
        if conflict(pair):
            with pytest.raises(KeyInvalid):
                await create_key(owner, "lumen", "x", pair)


@pytest.mark.one_process("it is the same application in each")
async def test_a_key_that_makes_keys_makes_none_that_does_more(api: Api, owner: Owner) -> None:
    for held in (*SINGLE, *(pair for pair in PAIRS if Scope.KEYS_WRITE in pair and conflict(pair) is None)):
        client = await client_of(api, owner, held)
        for scope in Scope:
            made = await client.post("/v1/keys", json={"name": "x", "scopes": [scope]})
            may = Scope.KEYS_WRITE in held and scope in held
            assert made.status_code == 201 if may else made.status_code in {403, 422}, (held, scope)


@pytest.mark.one_process("it is the same application in each")
async def test_a_page_asks_for_no_key(api: Api, clients: dict[Scopes, httpx.AsyncClient]) -> None:
    nobody = api.client(None)
    for method, path in PAGES:
        without = await nobody.request(method, path, content=b"{}")
        for held in SINGLE:
            answer = await clients[held].request(method, path, content=b"{}")
            assert (answer.status_code, answer.headers.get("content-type")) == (
                without.status_code,
                without.headers.get("content-type"),
            ), (method, path, held)


# ---- Every way there is to pay


def campaign(name: str, **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "id": name,
        "name": name,
        "starts_at": (now - timedelta(days=1)).isoformat(),
        "ends_at": (now + timedelta(days=30)).isoformat(),
        "rules": [
            {"action": "click", "channel": "web", "points": 5},
            {"action": "review", "channel": "web", "points": 7, "hold_back_days": 9},
            {"action": "data.preferences", "channel": "web", "points": 3},
        ],
        **changed,
    }


async def pays(api: Api, client: httpx.AsyncClient, who: str, held_back: str) -> set[str]:
    """The ways in which this key gets points to a customer, with what it makes and a browser."""
    browser = api.client(None)
    pressed = {"Sec-Fetch-Site": "same-origin"}
    customer = {"id": who}
    act = {"campaign": "autumn", "customer": customer, "action": "click", "channel": "web"}
    ways: set[str] = set()

    async def check(way: str) -> None:
        answer = await api.client("storefront").get(f"/v1/customers/{who}/balance")
        if answer.json()["balance"] > before[0]:
            ways.add(way)
        before[0] = answer.json()["balance"]

    before = [0]
    await client.post("/v1/grants", json=act | {"message_id": "one"})
    await check("grant")
    await client.post("/v1/grants/batch", json=[act | {"message_id": "many"}])
    await check("batch")
    link = act | {"message_id": "link", "destination": "https://shop.example/"}
    for result in (await client.post("/v1/links", json={"links": [link]})).json().get("results", []):
        await browser.post(result["url"], headers=pressed)
    await check("link")
    batch = {"id": f"b-{who}", "campaign": "autumn", "action": "click", "channel": "web", "codes": 2}
    await client.post("/v1/code-batches", json=batch)
    for line in (await client.get(f"/v1/code-batches/b-{who}/codes")).text.splitlines()[1:3]:
        if line.count(",") == 2:
            code = line.split(",")[1]
            await client.post("/v1/code-claims", json={"code": code, "customer": customer})
            await api.client("messaging").put(f"/v1/customers/{who}", json={"email": f"{who}@shop.example"})
            form = {"Content-Type": "application/x-www-form-urlencoded", **pressed}
            await browser.post(f"/{code}", content=f"email={who}@shop.example", headers=form)
    await check("code")
    await sign_offline(api, client, who)
    await check("minting key")
    await report_by_a_source(api, client, who)
    await check("source")
    page = {"customer": customer, "kind": "preferences"}
    for result in (await client.post("/v1/page-links", json={"pages": [page]})).json().get("results", []):
        if "url" in result:
            await browser.put(result["url"], json={"frequency": "any"}, headers={"Accept": "application/json"})
    await check("page link")
    await client.post(f"/v1/grants/{held_back}/mature")
    await check("approval")
    return ways


async def report_by_a_source(api: Api, client: httpx.AsyncClient, who: str) -> None:
    """Set up a source, sign as its provider, and have a worker read what came."""
    sender = StandardWebhooks()
    wanted = {"provider": sender.provider, "name": "mine", "secrets": sender.secrets, "campaign": "autumn"}
    made = await client.post("/v1/sources", json=wanted)
    if made.status_code != 201:
        return
    data = {"customer": who, "channel": "web", "message_id": "sent"}
    await send(api, made.json()["ingest_url"], sender.signed({"type": "message.clicked", "data": data}))
    async with open_for_agents(api.settings, api.secrets) as services:
        await EnvelopeReader(services).run_once()


async def sign_offline(api: Api, client: httpx.AsyncClient, who: str) -> None:
    """Register a minting key, sign a link with it, and claim that."""
    private = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).rstrip(b"=").decode()
    registered = await client.post("/v1/minting-keys", json={"name": "mine", "public_key": public})
    if registered.status_code != 201:
        return
    asked = {"customers": [{"id": who}], "destinations": ["https://shop.example/"]}
    numbers = (await api.client("messaging").post("/v1/link-numbers", json=asked)).json()
    now = int(datetime.now(UTC).timestamp())
    who_and_where = {"sub": numbers["customers"][0]["sub"], "d": numbers["destinations"][0]["d"]}
    claims = {
        "iss": "lumen",
        "aud": "rewards.test",
        "m": "signed",
        "c": "autumn",
        "a": "click",
        "iat": now,
        "exp": now + 86_400,
    }
    token = jwt.encode(
        claims | who_and_where, private, algorithm="EdDSA", headers={"kid": registered.json()["kid"], "typ": "rl+jwt"}
    )
    await api.client(None).post(f"{BASE_URL}/r/{token}", headers={"Sec-Fetch-Site": "same-origin"})


@pytest.mark.one_process("it is the same application in each")
async def test_nobody_pays_but_by_the_scopes_that_mint_or_approve(api: Api, clients: dict[Scopes, httpx.AsyncClient]) -> None:
    (await api.client("admin").post("/v1/campaigns", json=campaign("autumn", budget=10_000))).raise_for_status()
    for n, (held, client) in enumerate(clients.items()):
        who = f"c-{n}"
        act = {"campaign": "autumn", "customer": {"id": who}, "action": "review", "channel": "web", "message_id": "review"}
        reported = (await api.client("messaging").post("/v1/grants", json=act)).json()
        assert reported["outcome"] == "held_back"
        ways = set[str]()
        if Scope.GRANTS_WRITE in held:
            ways |= {"grant", "batch"}
        if Scope.LINKS_WRITE in held:
            ways |= {"link", "code"}
        if held >= MINTING_KEYS:
            ways |= {"minting key"}
        if held >= PREFERENCES_PAGES:
            ways |= {"page link"}
        if Scope.SOURCES_WRITE in held:
            ways |= {"source"}
        if Scope.GRANTS_APPROVE in held:
            ways |= {"approval"}
        assert await pays(api, client, who, reported["grant_id"]) == ways, held


@pytest.mark.one_process("it is the same application in each")
async def test_who_funds_cannot_get_the_points_to_anybody(api: Api) -> None:
    """The administrator's key: it creates a campaign with any budget, and no way of its own leads to a claim."""
    admin = api.client("admin")
    (await admin.post("/v1/campaigns", json=campaign("autumn", budget=10**9))).raise_for_status()
    act = {"campaign": "autumn", "customer": {"id": "me"}, "action": "review", "channel": "web", "message_id": "review"}
    reported = (await api.client("messaging").post("/v1/grants", json=act)).json()
    assert await pays(api, admin, "me", reported["grant_id"]) == set()
    for scope in (Scope.GRANTS_WRITE, Scope.LINKS_WRITE, Scope.GRANTS_APPROVE):
        assert (await admin.post("/v1/keys", json={"name": "x", "scopes": [scope]})).status_code == 403
    assert (await admin.post("/v1/campaigns/autumn/redecide", json={})).status_code == 403


def table() -> dict[str, set[str]]:
    """The table of the document: what each scope can do."""
    text = (Path(__file__).parents[2] / "docs/security.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    start = next(n for n, row in enumerate(rows) if row[0] == "scope")
    names = [name.removesuffix("s") if name != "sets terms" else TERMS for name in rows[start][1:]]
    told: dict[str, set[str]] = {}
    for row in rows[start + 1 :]:
        if not row[0].startswith("`"):
            break
        told[row[0].strip("`")] = {name for name, cell in zip(names, row[1:], strict=True) if cell == "yes"}
    assert set(itertools.chain.from_iterable(told.values())) == set(CAN)
    return told
