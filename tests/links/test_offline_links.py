"""Links that a brand signs itself: honoured like ours, and as long as its key is."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from service.brands.destinations import CLAIM_PARAMETER
from service.link_pages import handoffs
from service.links import last_known_refresher
from service.links.minting_keys import every_key
from service.tokens.sealing import seal
from tests.api_fixtures import Api, make_brand, make_keys
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.fetchers import PHONE
from tests.links.pages.test_visits import claim, headline, without_nonce
from tests.links.wire import Wire

DESTINATION = "https://shop.example/autumn"
TRY_AGAIN = {("claim_too_early", "3"), ("database_unavailable", "1")}
NOT_FOUND = (404, "We cannot find this link")


class Signer:
    """A brand's own system, with a key of its own and a JOSE library that is not ours."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.private_key = Ed25519PrivateKey.generate()
        self.kid = ""
        self.numbers: dict[str, Any] = {}

    @property
    def public_key(self) -> str:
        return base64.urlsafe_b64encode(self.private_key.public_key().public_bytes_raw()).rstrip(b"=").decode()

    async def register(self) -> Signer:
        answer = await self.links.api.client("minter").post(
            "/v1/minting-keys", json={"name": "campaign manager", "public_key": self.public_key}
        )
        assert answer.status_code == 201, answer.text
        self.kid = answer.json()["kid"]
        asked = {"customers": [{"id": "C-1001"}], "destinations": [DESTINATION]}
        self.numbers = (await self.links.api.client("messaging").post("/v1/link-numbers", json=asked)).json()
        return self

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "lumen",
            "aud": "rewards.test",
            "sub": self.numbers["customers"][0]["sub"],
            "m": "newsletter-0412",
            "c": "autumn",
            "a": "click",
            "d": self.numbers["destinations"][0]["d"],
            "iat": now,
            "exp": now + 86_400,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def path(self, *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": self.public_key, "d": self._private})
        sent = {"alg": "EdDSA", "kid": self.kid, "typ": "rl+jwt", **(header or {})}
        return "/r/" + jwt.encode(sent, self.claims(**changed), key, algorithms=["EdDSA"])

    @property
    def _private(self) -> str:
        return base64.urlsafe_b64encode(self.private_key.private_bytes_raw()).rstrip(b"=").decode()


@pytest.fixture
async def signer(links: Links) -> Signer:
    """A signer whose key is registered."""
    return await Signer(links).register()


@pytest.fixture
def refreshed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process knows without the database is read again at once."""
    monkeypatch.setattr(last_known_refresher, "REFRESHED_EVERY_S", 0.05)


async def shown(links: Links, path: str) -> tuple[int, str]:
    page = await links.api.client(None).get(path)
    return page.status_code, headline(page)


async def test_a_link_that_the_brand_signed_earns_once_as_ours_does(links: Links, signer: Signer) -> None:
    path = signer.path()
    assert await shown(links, path) == (200, "25 Lumens for you")
    assert await links.balance() == 0
    assert headline(await claim(links, path)) == "25 Lumens added"
    assert headline(await claim(links, path)) == "You already have these"
    assert headline(await claim(links, signer.path(iat=int(time.time()) - 60))) == "You already have these"
    # The same event as a link that we minted, and as any report of it.
    assert headline(await claim(links, await links.path())) == "You already have these"
    assert await links.balance() == 25
    assert DESTINATION in (await links.api.client(None).get(path)).text


async def test_it_becomes_a_link_like_any_other_when_it_is_followed(
    links: Links, signer: Signer, owner: asyncpg.Connection[Any]
) -> None:
    assert await owner.fetchval("SELECT count(*) FROM rewards.link") == 0
    path = signer.path(l="banner", sent_at=int(time.time()) - 5)
    for _ in range(2):
        await shown(links, path)
    (row,) = await owner.fetch("SELECT * FROM rewards.link")
    assert (row["message_id"], row["label"], row["channel"], row["mode"]) == ("newsletter-0412", "banner", "email", "page")
    assert row["minted_by"] == -int(signer.kid.removeprefix("mk_"))
    [again] = await links.mint(links.item(link="banner"))
    assert (again["status"], again["link_id"]) == (200, f"lnk_{row['link_id'].hex()}")


REFUSED: dict[str, dict[str, Any]] = {
    "another brand": {"iss": "other"},
    "another host": {"aud": "links.another.example"},
    "no such campaign": {"c": "spring"},
    "the campaign pays nothing for it": {"a": "purchase"},
    "the wrong channel": {"ch": "sms"},
    "no such destination": {"d": 99},
    "a claim that leads nowhere": {"d": 0},
    "no such customer": {"sub": "999999"},
    "an identity for a customer": {"sub": "C-1001"},
    "a URL for a destination": {"d": "https://evil.example/"},
    "an unknown claim": {"email": "someone@mail.example"},
    "points of its own": {"points": 1_000},
    "signed in the future": {"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 7_200},
    "over before it began": {"iat": int(time.time()), "exp": int(time.time()) - 1},
    "good for ever": {"exp": int(time.time()) + 6 * 366 * 86_400},
    "a kind of its own": {"k": "wallet"},
    "no campaign": {"c": None},
    "no expiry": {"exp": None},
    "a message id that is too long": {"m": "é" * 200},
    "a message id with a line end": {"m": "a\n"},
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_what_is_wrong_with_a_token_is_not_said(links: Links, signer: Signer, wrong: str) -> None:
    page = await links.api.client(None).get(signer.path(**REFUSED[wrong]))
    nobody = await links.api.client(None).get("/r/hello")
    assert (page.status_code, without_nonce(page)) == (404, without_nonce(nobody))
    assert (await links.api.client(None).post(signer.path(**REFUSED[wrong]))).status_code == 404


async def test_nobody_signs_with_anothers_key(links: Links, signer: Signer, owner: asyncpg.Connection[Any]) -> None:
    path = signer.path()
    head, _, signature = path.rpartition(".")
    stranger = Signer(links)
    stranger.numbers, stranger.kid = signer.numbers, signer.kid
    ours = links.api.services.token_keys.links
    forgeries = [
        stranger.path(),
        f"{head}.{signature[:-4]}AAAA",
        f"{head}.",
        signer.path(header={"kid": "mk_99"}),
        signer.path(header={"kid": ours.kid}),
        signer.path(header={"typ": "JWT"}),
        signer.path(header={"typ": "rp+jwt"}),
        signer.path(header={"jwk": {"kty": "OKP", "crv": "Ed25519", "x": stranger.public_key}}),
    ]
    for forgery in forgeries:
        assert await shown(links, forgery) == NOT_FOUND
    # Another brand's key signs for that brand alone.
    await make_brand(owner, "other")
    other = (await make_keys(owner, await make_brand(owner, "third")))["minter"]
    registered = await links.api.client(key=other).post(
        "/v1/minting-keys", json={"name": "theirs", "public_key": stranger.public_key}
    )
    stranger.kid = registered.json()["kid"]
    for iss in "lumen", "third":
        assert await shown(links, stranger.path(iss=iss)) == NOT_FOUND


async def test_a_handoff_is_signed_likewise(links: Links, signer: Signer) -> None:
    handoff = await links.api.client(None).get(signer.path(k="handoff"), headers={"User-Agent": "Mozilla/5.0 (X11)"})
    assert handoff.status_code in {302, 303}
    assert handoff.headers["location"].startswith(f"{DESTINATION}?rewards_claim=")


async def test_while_the_database_is_away_it_leads_on_and_is_paid_afterwards(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    signer = await Signer(links).register()
    await links.mint(links.item("C-2"))
    client = links.api.client(None)
    wire.cut()
    page = await client.get(signer.path())
    assert (page.status_code, DESTINATION in page.text) == (200, True)
    pressed = await client.post(signer.path(), headers={"Sec-Fetch-Site": "same-origin"})
    assert headline(pressed) == "Your Lumens will follow"
    followed = await client.get(signer.path(k="redirect"))
    assert followed.headers["location"] == DESTINATION
    # What it says is not believed: it leads nowhere that is not on the brand's list.
    assert "location" not in (await client.get(signer.path(k="redirect", d=99))).headers
    wire.mend()
    deadline = time.monotonic() + 20
    while await links.balance() != 25:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


@pytest.mark.usefixtures("refreshed_soon")
async def test_a_handoff_while_the_database_is_away_can_be_confirmed_afterwards(
    wired: tuple[Links, Wire], owner: asyncpg.Connection[Any]
) -> None:
    links, wire = wired
    signer, stranger = await Signer(links).register(), Signer(links)
    stranger.numbers, stranger.kid = signer.numbers, "mk_99"
    await until_known(links, signer)
    client = links.api.client(None)
    wire.cut()
    phone = {"User-Agent": PHONE}
    handed = await client.get(signer.path(k="handoff"), headers=phone)
    # Nobody vouches for what a key says that nobody has heard of, and no campaign is known by another name.
    for path in (stranger.path(k="handoff"), signer.path(k="handoff", c="spring")):
        assert (await client.get(path, headers=phone)).headers["location"] == DESTINATION
    assert (await client.get(signer.path(k="handoff"), headers={"User-Agent": ""})).headers["location"] == DESTINATION
    (claimed,) = parse_qs(urlsplit(handed.headers["location"]).query)[CLAIM_PARAMETER]
    wire.mend()
    shop = links.api.client("messaging")
    # The claim may be back before the visit is recorded, and then it is to come again.
    deadline = time.monotonic() + 20
    while (answer := await shop.post("/v1/claims", json={"claim": claimed})).status_code != 201:
        assert (answer.json()["code"], answer.headers["retry-after"]) in TRY_AGAIN
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    again = await shop.post("/v1/claims", json={"claim": claimed})
    assert (answer.json()["points"], answer.json()["replayed"], again.json()["replayed"]) == (25, False, True)
    assert await links.balance() == 25
    while (clicks := await owner.fetchval("SELECT count(*) FROM rewards.touch WHERE way = 'handoff'")) != 2:
        assert time.monotonic() < deadline, clicks
        await asyncio.sleep(0.05)


async def test_a_claim_whose_visit_is_not_recorded_yet_is_to_come_again(links: Links) -> None:
    claim_of = handoffs.Claim(links.api.brand.code, bytes(20), int(time.time() * 1000), b"")
    sealed = seal(claim_of, links.api.services.token_keys.handoffs)
    answer = await links.api.client("messaging").post("/v1/claims", json={"claim": sealed})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (425, "claim_too_early", "3")
    over = seal(
        msgspec.structs.replace(claim_of, visited_ms=claim_of.visited_ms - 31 * 60_000), links.api.services.token_keys.handoffs
    )
    answer = await links.api.client("messaging").post("/v1/claims", json={"claim": over})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_open_while_the_database_is_away_is_reported_afterwards(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    opened = {"action": "open", "channel": "email", "points": 2, "min_evidence": "D"}
    await make_campaign(links.api.client("admin"), id="opens", rules=[opened])
    signer = await Signer(links).register()
    image = signer.path(k="open", a="open", d=0, c="opens").replace("/r/", "/o/") + ".gif"
    forged = Signer(links)
    forged.numbers, forged.kid = signer.numbers, signer.kid
    other = forged.path(k="open", a="open", d=0, c="opens", m="newsletter-0413").replace("/r/", "/o/") + ".gif"
    wire.cut()
    for path in (image, other):
        assert (await links.api.client(None).get(path, headers={"User-Agent": PHONE})).headers["content-type"] == "image/gif"
    wire.mend()
    deadline = time.monotonic() + 20
    while await links.balance() != 2:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def until_known(links: Links, signer: Signer) -> None:
    """Until this process would know without its database what a token of the signer's names."""
    deadline = time.monotonic() + 20
    known, brand, claims = links.api.services.last_known, links.api.brand, signer.claims()
    while None in (known.campaign_no(brand, claims["c"]), known.destination(brand, claims["d"])):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_keys_rotate_without_breaking_a_link(links: Links, signer: Signer) -> None:
    admin = links.api.client("admin")
    signed_before = signer.path(iat=int(time.time()) - 60)
    retired = await admin.post(f"/v1/minting-keys/{signer.kid}/retire")
    assert retired.json()["retired_at"]
    assert await shown(links, signed_before) == (200, "25 Lumens for you")
    assert await shown(links, signer.path(iat=int(time.time()) + 60)) == NOT_FOUND
    newer = await Signer(links).register()
    assert await shown(links, newer.path(m="newsletter-0413")) == (200, "25 Lumens for you")
    listed = (await admin.get("/v1/minting-keys")).json()["items"]
    assert [(key["kid"], key["retired_at"] is None) for key in listed] == [(signer.kid, False), (newer.kid, True)]


async def test_nothing_of_a_revoked_key_is_honoured_and_its_links_say_so(links: Links, signer: Signer) -> None:
    seen, unseen = signer.path(), signer.path(m="newsletter-0413")
    await claim(links, signer.path(m="newsletter-0414"))
    await shown(links, seen)
    admin = links.api.client("admin")
    revoked = await admin.delete(f"/v1/minting-keys/{signer.kid}")
    assert (revoked.status_code, bool(revoked.json()["revoked_at"])) == (200, True)
    assert (await admin.delete(f"/v1/minting-keys/{signer.kid}")).json() == revoked.json()
    for path in seen, unseen:
        assert await shown(links, path) == (410, "This link was withdrawn")
        await claim(links, path)
    assert await links.balance() == 25
    (revocation,) = (await admin.get("/v1/link-revocations")).json()["items"]
    assert (revocation["kind"], revocation["named"]) == ("key", signer.kid)
    assert (await admin.delete(f"/v1/link-revocations/{revocation['id']}")).status_code == 404
    assert await shown(links, unseen) == (410, "This link was withdrawn")
    trail = [entry["act"] for entry in (await admin.get("/v1/audit-trail")).json()["items"]]
    assert [act for act in trail if act.startswith("minting_key")] == ["minting_key.register", "minting_key.revoke"]


async def test_who_registers_keys_needs_more_than_to_mint(api: Api, links: Links, signer: Signer) -> None:
    asked = {"name": "mine", "public_key": Signer(links).public_key}
    for name in ("messaging", "admin"):
        refused = await api.client(name).post("/v1/minting-keys", json=asked)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    again = await api.client("minter").post("/v1/minting-keys", json={"name": "again", "public_key": signer.public_key})
    assert (again.status_code, again.json()["kid"]) == (200, signer.kid)
    for wrong in "", "A" * 42, "A" * 42 + "B", "A" * 44, "!" * 43:
        answer = await api.client("minter").post("/v1/minting-keys", json={"name": "mine", "public_key": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/public_key"), wrong
    for kid in "mk_99", "test-1", "mk_0":
        assert (await api.client("admin").delete(f"/v1/minting-keys/{kid}")).status_code == 404


async def test_numbers_are_told_for_customers_and_destinations(links: Links, signer: Signer) -> None:
    async def ask(**asked: Any) -> httpx.Response:
        return await links.api.client("messaging").post("/v1/link-numbers", json=asked)

    again = (await ask(customers=[{"id": "C-1001"}, {"email": "no"}], destinations=[DESTINATION])).json()
    assert again["customers"][0] == signer.numbers["customers"][0]
    assert again["customers"][1]["problem"]["code"] == "invalid_field"
    assert (
        again["destinations"]
        == signer.numbers["destinations"]
        == [{"url": DESTINATION, "d": signer.numbers["destinations"][0]["d"]}]
    )
    refused = await ask(destinations=[DESTINATION, "https://evil.example/"])
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/destinations/1")


async def test_while_the_database_is_away_its_key_is_checked_as_it_was_last_seen(wired: tuple[Links, Wire]) -> None:
    links, wire = wired
    signer, gone = await Signer(links).register(), await Signer(links).register()
    (await links.api.client("admin").delete(f"/v1/minting-keys/{gone.kid}")).raise_for_status()
    services = links.api.services
    services.last_known.see_minting_keys(await every_key(services.engine))
    good, redirects, revoked = signer.path(), signer.path(k="redirect"), gone.path()
    now = int(time.time())
    over = signer.path(iat=now - 100, exp=now - 10)
    forged = [good[:-8] + "AAAAAAAA", signer.path(iss="another"), signer.path(aud="elsewhere.example")]
    client = links.api.client(None)
    await client.get(good)
    wire.cut()
    assert headline(await client.get(good)) == "Lumens for you"
    assert (await client.get(redirects)).headers["location"] == DESTINATION
    for path in forged:
        answer = await client.get(path)
        assert (answer.status_code, headline(answer)) == NOT_FOUND
        assert (await client.post(path, headers={"Sec-Fetch-Site": "same-origin"})).status_code == 404
    for path, words in ((revoked, "This link was withdrawn"), (over, "This link has expired")):
        answer = await client.get(path)
        assert (answer.status_code, headline(answer)) == (410, words)
        assert DESTINATION in answer.text
    wire.mend()
