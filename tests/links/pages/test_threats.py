"""What is tried against reward links, and what stands in its way: a test for each row of the threat table.

Forgeries of every kind are in ``test_link_tokens`` and ``test_offline_links``; here it is the service that is asked.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import re
from collections.abc import Generator
from typing import Any

import asyncpg
import httpx
import jwt
import msgspec
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.crypto.derived_keys import derived_keys
from service.observability import log
from service.settings import LinkKey
from service.tokens import customer as customer_tokens
from service.tokens import link as link_tokens
from service.tokens import receipt as claim_receipts
from service.tokens.code import code_key
from service.tokens.customer import CustomerTokenClaims, CustomerTokenKind
from tests.api_fixtures import Api
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline, without_nonce
from tests.links.test_minting import claims_of

SHOP = "https://shop.example/autumn"
EVIL = "https://evil.example/"
PERSON = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"}


def path_of(result: dict[str, Any], url: str = "url") -> str:
    return result[url].partition("rewards.test")[2]


async def paths(links: Links, **changed: Any) -> list[str]:
    """A link as a token and as a code."""
    [minted] = await links.mint(links.item(short=True, **changed))
    return [path_of(minted), path_of(minted, "short_url")]


async def statements_for(monkeypatch: pytest.MonkeyPatch, links: Links, path: str) -> tuple[httpx.Response, list[str]]:
    """What following a link answers, and what the database is asked for it."""
    asked: list[str] = []
    fetch = asyncpg.Connection.fetch

    def counted(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
        if "rewards." in query:
            asked.append(query)
        return fetch(self, query, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "fetch", counted)
        return await links.api.client(None).get(path), asked


# ---- Open redirect


async def test_a_link_leads_where_it_was_minted_to_lead_whatever_is_added_to_it(links: Links) -> None:
    [page, redirect] = [(await paths(links, mode=mode, link=mode))[0] for mode in ("page", "redirect")]
    for added in (f"?destination={EVIL}", f"?url={EVIL}", f"?next={EVIL}&d=99", f"?//{EVIL}", f"#{EVIL}"):
        shown = await links.api.client(None).get(page + added, headers=PERSON)
        assert re.findall(r'href="(http[^"]+)"', shown.text) == [SHOP]
        followed = await links.api.client(None).get(redirect + added, headers=PERSON)
        assert followed.headers["location"] == SHOP


@pytest.mark.parametrize(
    "destination",
    [
        EVIL,
        "http://shop.example/",
        "https://shop.example@evil.example/",
        "https://shop.example.evil.example/",
        "https://evil.example/shop.example",
        "https://ѕhop.example/",
        "https://shop。example.evil.example/",
        "https:\\\\evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "data:text/html,hello",
    ],
)
async def test_no_link_is_minted_to_where_the_brand_does_not_lead(links: Links, destination: str) -> None:
    [refused] = await links.mint(links.item(destination=destination))
    assert (refused["status"], refused["problem"]["errors"][0]["pointer"]) == (422, "/destination")


# ---- Forgery; algorithm confusion


async def test_a_forged_token_is_looked_up_nowhere_and_all_look_alike(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    [path, _] = await paths(links)
    head, _, signature = path.rpartition(".")
    header = jwt.get_unverified_header(path.removeprefix("/r/"))
    payload = jwt.decode(path.removeprefix("/r/"), options={"verify_signature": False})
    keys = links.api.services.token_keys.links
    stranger = Ed25519PrivateKey.generate()
    public = keys.honoured[keys.kid].public_key().public_bytes_raw()

    def signed(key: Any, algorithm: str = "EdDSA", **changed: Any) -> str:
        return "/r/" + jwt.encode(payload, key, algorithm=algorithm, headers={**header, **changed})

    def hs256(secret: bytes) -> str:
        signing_input = hand_made({**header, "alg": "HS256"}, b"").removeprefix("/r/").removesuffix(".")
        return hand_made({**header, "alg": "HS256"}, hmac.digest(secret, signing_input.encode(), hashlib.sha256))

    def hand_made(header: dict[str, Any], signature: bytes) -> str:
        parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
        return "/r/" + ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    forgeries = {
        "changed": f"{head[:-2]}AA.{signature}",
        "not signed": f"{head}.",
        "by a stranger": signed(stranger),
        "by an unknown key": signed(stranger, kid="2027-01-01-1"),
        "alg none": hand_made({**header, "alg": "none"}, b""),
        "with the public key for a secret": hs256(public),
        "brings its key": signed(stranger, jwk={"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}),
        "says where its key is": signed(stranger, jku=f"{EVIL}jwks.json"),
        "of another type": signed(keys.signing, typ="JWT"),
        "for another host": "/r/" + jwt.encode({**payload, "aud": "evil.example"}, keys.signing, "EdDSA", header),
    }
    assert (await statements_for(monkeypatch, links, path))[1] != []
    shown: set[tuple[int, str]] = set()
    for name, forgery in forgeries.items():
        page, asked = await statements_for(monkeypatch, links, forgery)
        assert asked == [], name
        shown.add((page.status_code, without_nonce(page)))
    assert len(shown) == 1
    assert shown.pop()[0] == 404


async def test_what_was_signed_for_one_use_is_nothing_in_another(links: Links) -> None:
    [path, _] = await paths(links)
    services = links.api.services
    now = link_tokens.verify(
        path.removeprefix("/r/"), services.token_keys.links, hosts=[services.link_hosts.host], now=0
    ).issued_at
    wallet = customer_tokens.sign(
        CustomerTokenClaims(
            CustomerTokenKind.WALLET, "lumen", services.link_hosts.host, 1, issued_at=now, expires_at=now + 900
        ),
        services.token_keys.links,
    )
    client = links.api.client(None)
    receipt = (await client.post(path)).headers["location"].rpartition("/")[2]
    for nowhere in (
        f"/r/{wallet}",
        f"/o/{wallet}.gif",
        f"/preferences/{wallet}",
        f"/wallet/{path.removeprefix('/r/')}",
        f"/preferences/{path.removeprefix('/r/')}",
        f"/r/{receipt}",
        f"/wallet/{receipt}",
    ):
        answer = await client.get(nowhere)
        # A picture is always a picture, and reports nothing.
        assert answer.status_code == 404 or nowhere.startswith("/o/"), nowhere
    assert (await client.get("/r/done/" + path.removeprefix("/r/"))).status_code == 404
    assert await links.balance() == 25


def test_no_key_is_used_for_two_things() -> None:
    key = LinkKey(kid="1", private_key=bytes(range(32)))
    derived = [*claim_receipts.receipt_keys([key]), *derived_keys([key], "handoff 1"), code_key(key), key.private_key]
    assert len(set(derived)) == len(derived)


# ---- Replay; forwarding


async def test_a_link_pays_once_however_often_and_from_wherever_it_is_claimed(links: Links) -> None:
    both = await paths(links)
    answers = await asyncio.gather(*(claim(links, path) for path in both * 5))
    assert sorted({headline(answer) for answer in answers}) == ["25 Lumens added", "You already have these"]
    assert sum(headline(answer) == "25 Lumens added" for answer in answers) == 1
    assert await links.balance() == 25


async def test_a_forwarded_link_pays_whom_it_was_sent_to(links: Links) -> None:
    [path, _] = await paths(links)
    somebody = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0)", "Sec-Fetch-Site": "same-origin"}
    assert (await links.api.client(None).post(path, headers=somebody)).status_code == 303
    assert await links.balance("C-1001") == 25
    # Nobody is told who that is, nor what she has.
    page = await links.api.client(None).get(path)
    assert "C-1001" not in page.text
    assert "Your balance" not in page.text


# ---- Leakage; clickjacking; logs


async def test_pages_tell_no_one_where_they_were_read(links: Links) -> None:
    for path in await paths(links):
        client = links.api.client(None)
        page = await client.get(path)
        done = await client.post(path)
        for answer in page, done, await client.get(done.headers["location"]), await client.get("/r/hello"):
            headers = answer.headers
            assert headers["referrer-policy"] == ("no-referrer" if answer is done else "same-origin")
            assert headers["cache-control"] == "no-store"
            assert "noindex" in headers["x-robots-tag"]
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "img-src data:;" in policy
            assert "script-src" not in policy
            assert "'unsafe-inline'" not in policy
            assert headers["x-frame-options"] == "DENY"
        # Nothing is loaded from elsewhere, nothing runs, and after the claim the address holds no token.
        assert "<script" not in page.text
        assert re.findall(r'\b(?:src|srcset|action)="(?!data:)', page.text) == []
        assert path.rpartition("/")[2] not in done.headers["location"]


@pytest.fixture
def lines() -> Generator[io.BytesIO]:
    """What is logged."""
    written = io.BytesIO()
    log.configure("info", written)
    yield written
    structlog.reset_defaults()


async def test_no_log_line_holds_a_token_or_a_code(links: Links, lines: io.BytesIO) -> None:
    token, code = await paths(links)
    receipt = (await links.api.client(None).post(token)).headers["location"]
    secret = [each.rpartition("/")[2] for each in (token, code, receipt)]
    shown = [
        f"/o/{secret[0]}.gif",
        f"/qr/{secret[1]}.svg",
        f"/display/{secret[1]}",
        f"/wallet/{secret[0]}",
        f"/live/{secret[0]}.png",
    ]
    for path in (token, code, f"/r{code}", receipt, *shown):
        await links.api.client(None).get(path)
    said = lines.getvalue().decode()
    for template in (
        "/r/{token}",
        "/{code}",
        "/r/done/{receipt}",
        "/o/{token}.gif",
        "/qr/{code}",
        "/display/{code}",
        "/wallet/{token}",
        "/live/{token}.png",
    ):
        assert f'"{template}"' in said
    for each in secret:
        assert each not in said
        assert each[-12:] not in said


# ---- Expired and revoked; keys


async def test_what_is_over_says_so_after_the_signature_was_checked(
    links: Links, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    services = links.api.services
    [path, code] = await paths(links)
    ours = link_tokens.verify(path.removeprefix("/r/"), services.token_keys.links, hosts=[services.link_hosts.host], now=0)
    over = msgspec.structs.replace(ours, issued_at=1, sent_at=1, expires_at=2)
    stranger = link_tokens.LinkKeys(
        services.token_keys.links.kid, {services.token_keys.links.kid: Ed25519PrivateKey.generate()}
    )
    assert (await links.api.client(None).get("/r/" + link_tokens.sign(over, services.token_keys.links))).status_code == 410
    page, asked = await statements_for(monkeypatch, links, "/r/" + link_tokens.sign(over, stranger))
    assert (page.status_code, asked) == (404, [])
    (await links.api.client("messaging").post("/v1/link-revocations", json={"message_id": ours.message_id})).raise_for_status()
    for each in path, code:
        page = await links.api.client(None).get(each)
        assert (page.status_code, headline(page)) == (410, "This link was withdrawn")
        assert SHOP in page.text


async def test_a_new_key_signs_and_the_old_ones_links_are_honoured(api: Api) -> None:
    old, new = (LinkKey(kid=kid, private_key=hashlib.sha256(kid.encode()).digest()) for kid in ("old", "new"))
    before, after = link_tokens.link_keys([old]), link_tokens.link_keys([old, new])
    services = api.services
    claims = link_tokens.LinkClaims("lumen", services.link_hosts.host, bytes(20), 1, "m", 1, 1, "click", 1, 1, 1, 2_000_000_000)
    for keys, kid in ((before, "old"), (after, "new")):
        token = link_tokens.sign(claims, keys)
        assert jwt.get_unverified_header(token)["kid"] == kid
        assert link_tokens.verify(token, after, hosts=[services.link_hosts.host], now=2) == claims
    assert [key["kid"] for key in link_tokens.jwks(after)["keys"]] == ["old", "new"]
    # A key that is taken out of the file is honoured no more.
    with pytest.raises(link_tokens.LinkRefused):
        link_tokens.verify(
            link_tokens.sign(claims, before), link_tokens.link_keys([new]), hosts=[services.link_hosts.host], now=2
        )


# ---- Insiders; tampering with amounts


async def test_whoever_mints_too_much_pays_out_no_more_than_the_budget(api: Api, owner: asyncpg.Connection[Any]) -> None:
    await make_campaign(api.client("admin"), budget=50)
    links = Links(api)
    minted = await links.mint(*(links.item(f"C-{n}") for n in range(5)))
    shown = [headline(await claim(links, path_of(each))) for each in minted]
    assert shown == ["25 Lumens added"] * 2 + ["All given away"] * 3
    # It is known who minted each, and with one call none of them is worth anything.
    (minter,) = await owner.fetch("SELECT DISTINCT minted_by FROM rewards.link")
    revoked = await api.client("admin").post("/v1/link-revocations", json={"key": f"key_{minter['minted_by']}"})
    assert revoked.status_code == 200
    assert (await api.client(None).get(path_of(minted[0]))).status_code == 410


async def test_no_amount_is_in_a_link_or_taken_from_one(links: Links) -> None:
    [minted] = await links.mint(links.item())
    claims = claims_of(minted)
    assert not {"points", "amount", "value"} & claims.keys()
    assert "25" not in {str(value) for value in claims.values()}
    keys = links.api.services.token_keys.links
    richer = jwt.encode({**claims, "points": 1_000_000}, keys.signing, "EdDSA", {"kid": keys.kid, "typ": "rl+jwt"})
    assert (await links.api.client(None).get(f"/r/{richer}")).status_code == 404
    for added in "?points=1000000", "?amount=1000000&currency=EUR":
        await links.api.client(None).post(path_of(minted) + added, data={"points": "1000000"})
    assert await links.balance() == 25
