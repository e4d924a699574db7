"""What a sender learns of its links: how each stands, or the first thing that is wrong with it."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import asyncpg
import pytest

from tests.api_fixtures import BASE_URL, make_brand, make_keys
from tests.links.code_batches.test_code_batches import codes_of, make_batch
from tests.links.conftest import Links
from tests.links.pages.test_visits import claim, headline
from tests.links.test_offline_links import DESTINATION, REFUSED, Signer
from tests.links.tokens.test_ed25519_keys import LOW_ORDER


async def check(links: Links, *urls: str, key: str = "messaging") -> list[dict[str, Any]]:
    answer = await links.api.client(key).post("/v1/links/check", json={"links": urls})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


@pytest.fixture
async def signer(links: Links) -> Signer:
    return await Signer(links).register()


async def test_a_link_that_the_brand_signed_is_described_and_not_stored(
    links: Links, signer: Signer, owner: asyncpg.Connection[Any]
) -> None:
    [result] = await check(links, BASE_URL + signer.path(l="banner"))
    assert result["status"] == 200, result
    link = result["link"]
    assert (link["state"], link["kind"], link["mode"], link["points"]) == ("good", "claim", "page", 25)
    assert (link["campaign"], link["message_id"], link["action"], link["channel"]) == (
        "autumn",
        "newsletter-0412",
        "click",
        "email",
    )
    assert (link["destination"], link["signed_by"], link["campaign_paused"]) == (DESTINATION, signer.kid, False)
    assert link["customer"] == f"cus_{signer.numbers['customers'][0]['sub']}"
    assert await owner.fetchval("SELECT count(*) FROM rewards.link") == 0
    assert await links.balance() == 0


POINTERS = {
    "another brand": "/claims/iss",
    "another host": "/claims/aud",
    "no such campaign": "/claims/c",
    "the campaign pays nothing for it": "/claims/a",
    "the wrong channel": "/claims/ch",
    "no such destination": "/claims/d",
    "a claim that leads nowhere": "/claims/d",
    "no such customer": "/claims/sub",
    "an identity for a customer": "/claims/sub",
    "a URL for a destination": "/claims/d",
    "an unknown claim": "/claims/email",
    "points of its own": "/claims/points",
    "signed in the future": "/claims/iat",
    "over before it began": "/claims/exp",
    "good for ever": "/claims/exp",
    "a kind of its own": "/claims/k",
    "no campaign": "/claims/c",
    "no expiry": "/claims/exp",
    "a message id that is too long": "/claims/m",
    "a message id with a line end": "/claims/m",
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_its_sender_learns_which_claim_is_wrong(links: Links, signer: Signer, wrong: str) -> None:
    [result] = await check(links, BASE_URL + signer.path(**REFUSED[wrong]))
    problem = result["problem"]
    assert result["status"] == problem["status"] == 422
    assert [error["pointer"] for error in problem["errors"]] == [POINTERS[wrong]]


async def test_its_sender_learns_what_is_wrong_with_the_signature(links: Links, signer: Signer) -> None:
    stranger = Signer(links)
    stranger.numbers, stranger.kid = signer.numbers, signer.kid
    path = signer.path()
    for url in (stranger.path(), path[:-4] + "AAAA", path[:-5]):
        [result] = await check(links, BASE_URL + url)
        assert [error["pointer"] for error in result["problem"]["errors"]] == ["/signature"]
    [result] = await check(links, BASE_URL + signer.path(header={"kid": "mk_999"}))
    assert [error["pointer"] for error in result["problem"]["errors"]] == ["/header/kid"]


@pytest.mark.parametrize(
    "text", ["hello", "https://rewards.test/", "https://rewards.test/r/a.b.c", "..", "https://[", "x" * 6_000]
)
async def test_what_is_no_link_is_said(links: Links, text: str) -> None:
    [result] = await check(links, text)
    assert result["status"] in {404, 422}
    assert result["problem"]["code"] in {"not_found", "invalid_field"}


def path_with(signer: Signer, changed: dict[str, Any]) -> str:
    """A link with a header that a library would refuse to write."""
    header = {"alg": "EdDSA", "kid": signer.kid, "typ": "rl+jwt", **changed}
    parts = ({name: value for name, value in header.items() if value is not None}, signer.claims())
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"/r/{signed}.{base64url(signer.private_key.sign(signed.encode()))}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"typ": "JWT"}, "/header/typ"),
    ({"typ": None}, "/header/typ"),
    ({"alg": "none"}, "/header/alg"),
    ({"alg": "HS256"}, "/header/alg"),
    ({"cty": "x"}, "/header/cty"),
    ({"crit": ["exp"]}, "/header/crit"),
]


@pytest.mark.parametrize(("header", "pointer"), HEADERS)
async def test_its_sender_learns_what_is_wrong_with_the_header(
    links: Links, signer: Signer, header: dict[str, Any], pointer: str
) -> None:
    path = path_with(signer, header)
    assert (await links.api.client(None).get(path)).status_code == 404
    [result] = await check(links, BASE_URL + path)
    assert [error["pointer"] for error in result["problem"]["errors"]] == [pointer]


async def test_the_algorithm_may_have_its_newer_name(links: Links, signer: Signer) -> None:
    path = path_with(signer, {"alg": "Ed25519"})
    [result] = await check(links, BASE_URL + path)
    assert result["link"]["state"] == "good"
    assert headline(await claim(links, path)) == "25 Lumens added"


async def test_links_that_we_minted_are_described_too(links: Links) -> None:
    [minted] = await links.mint(links.item(short=True))
    token, short, bare = await check(links, minted["url"], minted["short_url"], minted["url"].rpartition("/")[2] + ").")
    assert token["link"] == short["link"] == bare["link"]
    assert (token["link"]["link_id"], token["link"]["signed_by"], token["link"]["state"]) == (minted["link_id"], None, "good")
    await links.api.client("messaging").post("/v1/link-revocations", json={"link": minted["link_id"]})
    [result] = await check(links, minted["url"])
    assert result["link"]["state"] == "revoked"


async def test_a_link_is_read_as_whoever_follows_it_is_served(links: Links) -> None:
    [minted] = await links.mint(links.item(short=True))
    code = minted["short_url"].rpartition("/")[2]
    asked = [
        f"<{minted['url']}>",
        f"{minted['url']}/)",
        f"{minted['short_url']}/)",
        f"{minted['url']}&amp;utm_source=mail",
        f" {minted['url']}\n",
        "-".join(code[n : n + 4] for n in range(0, 16, 4)),
    ]
    for text, result in zip(asked, await check(links, *asked), strict=True):
        assert result["status"] == 200, (text, result)
        assert result["link"]["link_id"] == minted["link_id"]


async def test_a_code_of_a_batch_and_a_page_of_a_customer_are_named_as_what_they_are(links: Links) -> None:
    (await make_batch(links.api)).raise_for_status()
    [code, *_] = await codes_of(links.api)
    await links.path()
    pages = [{"customer": {"id": "C-1001"}, "kind": kind} for kind in ("wallet", "preferences")]
    answer = await links.api.client("messaging").post("/v1/page-links", json={"pages": pages})
    urls = [result["url"] for result in answer.json()["results"]]
    batch, *own = await check(links, f"{BASE_URL}/{code}", *urls)
    assert (batch["status"], "code of the batch" in batch["problem"]["errors"][0]["detail"]) == (422, True)
    assert [each["problem"]["errors"][0]["pointer"] for each in own] == ["/header/typ"] * 2


async def test_an_expired_and_a_revoked_link_are_told_apart(links: Links, signer: Signer) -> None:
    now = int(time.time())
    [result] = await check(links, BASE_URL + signer.path(iat=now - 3_600, exp=now - 60))
    assert result["link"]["state"] == "expired"
    await links.api.client("admin").delete(f"/v1/minting-keys/{signer.kid}")
    [result] = await check(links, BASE_URL + signer.path())
    assert result["link"]["state"] == "revoked"


@pytest.mark.parametrize("what", ["message_id", "campaign", "link"])
async def test_a_link_that_nobody_has_followed_is_revoked_with_what_it_belongs_to(
    links: Links, signer: Signer, owner: asyncpg.Connection[Any], what: str
) -> None:
    path = signer.path()
    [result] = await check(links, BASE_URL + path)
    named = {"message_id": "newsletter-0412", "campaign": "autumn", "link": result["link"]["link_id"]}
    revoked = await links.api.client("messaging").post("/v1/link-revocations", json={what: named[what]})
    [result] = await check(links, BASE_URL + path)
    assert result["link"]["state"] == "revoked"
    assert await owner.fetchval("SELECT count(*) FROM rewards.link") == 0
    assert headline(await links.api.client(None).get(path)) == "This link was withdrawn"
    [result] = await check(links, BASE_URL + path)
    assert result["link"]["state"] == "revoked"
    (await links.api.client("admin").delete(f"/v1/link-revocations/{revoked.json()['id']}")).raise_for_status()
    for each in path, signer.path(l="banner"):
        [result] = await check(links, BASE_URL + each)
        assert result["link"]["state"] == "good"
        assert headline(await links.api.client(None).get(each)) == "25 Lumens for you"


async def test_a_link_of_a_revoked_key_stands_as_whoever_follows_it_finds_it(links: Links, signer: Signer) -> None:
    await links.path()
    (await links.api.client("admin").delete(f"/v1/minting-keys/{signer.kid}")).raise_for_status()
    ours, unseen = signer.path(), signer.path(m="newsletter-0413")
    # The same event as a link that we minted, which no revocation names.
    assert headline(await links.api.client(None).get(ours)) == "25 Lumens for you"
    results = await check(links, BASE_URL + ours, BASE_URL + unseen)
    assert [result["link"]["state"] for result in results] == ["good", "revoked"]
    assert headline(await links.api.client(None).get(unseen)) == "This link was withdrawn"


async def test_past_the_life_of_its_key_only_a_link_that_was_followed_is_good(
    links: Links, signer: Signer, owner: asyncpg.Connection[Any]
) -> None:
    seen, unseen = signer.path(), signer.path(m="newsletter-0413")
    assert (await links.api.client(None).get(seen)).status_code == 200
    await owner.execute("UPDATE rewards.minting_key SET expires_at = now()")
    results = await check(links, BASE_URL + seen, BASE_URL + unseen)
    assert [result["link"]["state"] for result in results] == ["good", "expired"]
    assert (await links.api.client(None).get(seen)).status_code == 200
    assert (await links.api.client(None).get(unseen)).status_code == 404


async def test_a_signature_that_nobody_made_is_not_of_its_key(
    links: Links, signer: Signer, owner: asyncpg.Connection[Any]
) -> None:
    neutral = bytes.fromhex(LOW_ORDER[0])
    await owner.execute("UPDATE rewards.minting_key SET public_key = $1", neutral)
    forged = f"{signer.path().rpartition('.')[0]}.{base64url(neutral + bytes(32))}"
    assert (await links.api.client(None).get(forged)).status_code == 404
    [result] = await check(links, BASE_URL + forged)
    assert [error["pointer"] for error in result["problem"]["errors"]] == ["/signature"]


async def test_what_is_signed_in_the_future_is_so_by_the_worlds_clock(links: Links, signer: Signer) -> None:
    (await links.api.client("admin").post("/v1/test/clock/advance", json={"seconds": 7_200})).raise_for_status()
    path = signer.path(iat=int(time.time()) + 3_600)
    assert (await links.api.client(None).get(path)).status_code == 404
    [result] = await check(links, BASE_URL + path)
    assert [error["pointer"] for error in result["problem"]["errors"]] == ["/claims/iat"]


async def test_another_brands_links_are_not_there(links: Links, signer: Signer, owner: asyncpg.Connection[Any]) -> None:
    other = await make_keys(owner, await make_brand(owner, "other", points_code="OTH"))
    [minted] = await links.mint(links.item(short=True))
    client = links.api.client(key=other["messaging"])
    urls = [minted["url"], minted["short_url"], BASE_URL + signer.path()]
    results = (await client.post("/v1/links/check", json={"links": urls})).json()["results"]
    assert [result["status"] for result in results] == [404, 404, 422]
    assert results[2]["problem"]["errors"][0]["pointer"] == "/header/kid"


@pytest.mark.parametrize("fraction", [0.0, 0.75])
async def test_dates_may_have_a_fraction(links: Links, signer: Signer, fraction: float) -> None:
    now = int(time.time()) - 10 + fraction
    path = signer.path(iat=now, exp=now + 86_400, sent_at=now - 60)
    [result] = await check(links, BASE_URL + path)
    assert result["link"]["state"] == "good", result
    assert headline(await claim(links, path)) == "25 Lumens added"


@pytest.mark.parametrize("date", [float("1e300"), 0.5, -1, 253_402_300_800, "1790000000", True])
async def test_what_is_no_date_is_refused(links: Links, signer: Signer, date: Any) -> None:
    path = signer.path(exp=date)
    assert (await links.api.client(None).get(path)).status_code == 404
    [result] = await check(links, BASE_URL + path)
    assert [error["pointer"] for error in result["problem"]["errors"]] == ["/claims/exp"]


async def test_an_audience_may_be_a_list(links: Links, signer: Signer) -> None:
    assert headline(await claim(links, signer.path(aud=["elsewhere.example", "rewards.test"]))) == "25 Lumens added"
    assert (await links.api.client(None).get(signer.path(aud=[]))).status_code == 404
    assert (await links.api.client(None).get(signer.path(aud=["elsewhere.example"]))).status_code == 404


async def test_who_may_not_mint_may_not_ask(links: Links) -> None:
    answer = await links.api.client("storefront").post("/v1/links/check", json={"links": ["x"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


@pytest.mark.parametrize("links_sent", [[], ["x"] * 101, [""], ["x" * 6_145], "x", [1]])
async def test_how_many_are_checked_is_bounded(links: Links, links_sent: Any) -> None:
    answer = await links.api.client("messaging").post("/v1/links/check", json={"links": links_sent})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
