"""Everything that fetches links comes by, before the customer and after her: she is paid, once, and nobody else.

Beside it is counted what other designs would have paid for the same requests.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import crawleruseragents
import httpx
import pytest

from service.brands.destinations import CLAIM_PARAMETER
from service.evidence.bot_detection import SENT_JUST_NOW_S
from service.link_pages import deferred_claims, handoffs
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.fetchers import APPLE, FETCHERS, GMAIL_AHEAD, PHONE, Fetcher
from tests.links.pages.test_deferred_claims import settled
from tests.links.test_a_large_send import path_of
from tests.processes import REMEMBERED_S

POINTS = 25
LINKS_A_MESSAGE = 5
HERS = {"user-agent": PHONE, "sec-fetch-site": "same-origin"}


async def message(links: Links, number: int, fetcher: Fetcher, mode: str) -> list[str]:
    """The paths of a message's links, to a customer of its own."""
    sent_at = datetime.now(UTC) - timedelta(seconds=fetcher.since_sent_s)
    items = [
        links.item(f"C-{number}", message_id=f"m-{number}", link=f"link {n}", mode=mode, sent_at=sent_at.isoformat())
        for n in range(LINKS_A_MESSAGE)
    ]
    return [path_of(minted) for minted in await links.mint(*items)]


async def fetch(links: Links, fetcher: Fetcher, paths: list[str]) -> list[httpx.Response]:
    """It comes by, and follows as many links at once as it does."""
    client = links.api.client(None)
    # Sent without the client's own name and wishes.
    requests = [httpx.Request(fetcher.method, client.base_url.join(path), headers=dict(fetcher.headers)) for path in paths]
    return list(await asyncio.gather(*(client.send(request) for request in requests[: fetcher.siblings])))


async def act(links: Links, path: str, mode: str) -> None:
    """She follows the first link and presses the button, or arrives in the shop, where she is signed in."""
    client = links.api.client(None)
    looked = await client.get(path, headers=HERS)
    if mode == "page":
        await client.post(path, headers=HERS)
    if mode != "handoff":
        return
    (claim,) = parse_qs(urlsplit(looked.headers["location"]).query)[CLAIM_PARAMETER]
    (await links.api.client("messaging").post("/v1/claims", json={"claim": claim})).raise_for_status()


class Followed:
    """Counts what was followed, and waits until something came of each."""

    def __init__(self, mode: str) -> None:
        self._is_settled_later = mode == "redirect"
        self._before = sum(settled().values())
        self._links = 0

    def count(self, links: int) -> None:
        self._links += links

    async def all_settled(self) -> None:
        """Of a link that redirects, what comes of it comes a while later."""
        async with asyncio.timeout(60):
            while self._is_settled_later and sum(settled().values()) < self._before + self._links:  # noqa: ASYNC110 - a counter
                await asyncio.sleep(0.01)


async def paid(links: Links, everybody: list[str]) -> None:
    """Wait until everybody has something."""
    async with asyncio.timeout(60):
        for who in everybody:
            while not await links.balance(who):  # noqa: ASYNC110 - it is paid by whichever process comes first
                await asyncio.sleep(0.1)


async def let_pass(links: Links, owner: asyncpg.Connection[Any], seconds: float) -> None:
    """Let time pass by the brand's clock, and make what was fetched so much older."""
    await owner.execute("UPDATE rewards.touch SET at = at - make_interval(secs => $1)", seconds)
    (await links.api.client("admin").post("/v1/test/clock/advance", json={"seconds": int(seconds)})).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)


async def balances(links: Links, everybody: list[str]) -> dict[str, int]:
    return {who: await links.balance(who) for who in everybody}


@pytest.mark.usefixtures("remembers_shortly")
@pytest.mark.parametrize("mode", ["page", "handoff", "redirect"])
async def test_she_is_paid_once_and_nobody_else(
    links: Links, owner: asyncpg.Connection[Any], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_claims, "DELAY_S", 0.5)
    messages = [await message(links, n, fetcher, mode) for n, fetcher in enumerate(FETCHERS)]
    everybody = [f"C-{n}" for n in range(len(FETCHERS))]
    followed = Followed(mode)

    async def all_fetch() -> None:
        for fetcher, paths in zip(FETCHERS, messages, strict=True):
            answers = await fetch(links, fetcher, paths)
            assert {answer.status_code for answer in answers} <= {200, 302, 303}, fetcher
            # A look at the head alone is answered and kept nowhere.
            followed.count(len(answers) if fetcher.method == "GET" else 0)
        await followed.all_settled()

    await all_fetch()
    assert await balances(links, everybody) == dict.fromkeys(everybody, 0)

    if mode == "redirect":
        # Of what was sent just now, no link is followed by a person.
        await let_pass(links, owner, SENT_JUST_NOW_S)
    await asyncio.gather(*(act(links, paths[0], mode) for paths in messages))
    followed.count(len(messages))
    await paid(links, everybody)
    for _ in range(2):
        await followed.all_settled()
        assert await balances(links, everybody) == dict.fromkeys(everybody, POINTS)
        await all_fetch()
    assert await balances(links, everybody) == dict.fromkeys(everybody, POINTS)


# ---- What others would have paid


def whoever_comes_first(_: Fetcher) -> bool:
    """Every request of a link is a click."""
    return True


def whoever_gets_the_page(fetcher: Fetcher) -> bool:
    """Every GET of a link is a click."""
    return fetcher.method == "GET"


def who_is_not_on_the_list(fetcher: Fetcher) -> bool:
    """A GET is a click unless a kept list of programs has its name."""
    return fetcher.method == "GET" and not crawleruseragents.is_crawler(fetcher.headers.get("user-agent", ""))


def who_has_a_name_and_is_not_on_the_list(fetcher: Fetcher) -> bool:
    """The same, and who says no name is no click, nor who reads ahead."""
    ahead = {"sec-purpose", "x-purpose", "x-moz", "purpose"} & fetcher.headers.keys()
    return who_is_not_on_the_list(fetcher) and bool(fetcher.headers.get("user-agent")) and not ahead


def who_is_slower_too(fetcher: Fetcher) -> bool:
    """The same, and what comes within two seconds of sending is no click."""
    return who_has_a_name_and_is_not_on_the_list(fetcher) and fetcher.since_sent_s > 2


DESIGNS = {
    "every request": whoever_comes_first,
    "every GET": whoever_gets_the_page,
    "a GET, unless a kept list has the user agent": who_is_not_on_the_list,
    "the same, with a user agent and not ahead": who_has_a_name_and_is_not_on_the_list,
    "the same, later than two seconds after sending": who_is_slower_too,
}
"""What counts as a click, as docs/evidence.md calls it."""


def test_what_other_designs_would_have_paid() -> None:
    counted = {
        name: sum(fetcher.siblings for fetcher in FETCHERS if is_a_click(fetcher)) for name, is_a_click in DESIGNS.items()
    }
    assert list(counted.values()) == [40, 38, 24, 19, 18]
    followed = sum(fetcher.siblings for fetcher in FETCHERS)
    told = Path("docs/evidence.md").read_text()
    assert f"{len(FETCHERS)} fetchers, {followed} links" in told
    for name, links_paid in counted.items():
        assert f"| {name} | {links_paid} | {links_paid * POINTS:,} |" in told


def test_of_pictures_other_designs_would_have_paid_the_mail_providers() -> None:
    agents = [APPLE, GMAIL_AHEAD, "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"]
    assert [crawleruseragents.is_crawler(agent) for agent in agents] == [False, False, True]


# ---- All who run scripts


async def test_a_scanner_that_runs_the_shops_script_is_not_paid_where_it_followed_the_links_together(
    links: Links, owner: asyncpg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoffs, "SIBLINGS_KNOWN_AFTER_S", 0.0)
    (safe_links,) = [fetcher for fetcher in FETCHERS if fetcher.name == "Safe Links, later"]
    answers = await fetch(links, safe_links, await message(links, 1, safe_links, "handoff"))
    for _ in range(200):
        if await owner.fetchval("SELECT count(*) FROM rewards.touch") == safe_links.siblings:
            break
        await asyncio.sleep(0.01)
    for answer in answers:
        (claim,) = parse_qs(urlsplit(answer.headers["location"]).query)[CLAIM_PARAMETER]
        confirmed = await links.api.client(None).post(
            "/v1/claims", content=f'{{"claim": "{claim}"}}', headers={"Origin": "https://shop.example"}
        )
        assert confirmed.json()["reason"] == "machine"
    assert await links.balance("C-1") == 0


async def test_a_rule_that_asks_for_less_pays_no_machine_either(links: Links) -> None:
    await make_campaign(
        links.api.client("admin"), id="lenient", rules=[{"action": "click", "points": POINTS, "min_evidence": "D"}]
    )
    client = links.api.client(None)
    path = await links.path(campaign="lenient")
    for fetcher in FETCHERS:
        await fetch(links, fetcher, [path])
        await client.post(path, headers={"Purpose": "prefetch"})
    assert await links.balance() == 0
