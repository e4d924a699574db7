"""Acts that are settled later: of links that redirect, and of all while the database is away. Paid once, to persons only."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from service.app import bind, create_app
from service.link_pages import deferred_claims, deferred_settling
from service.link_pages.deferred_claims import DeferredClaim, DeferredClaims, Settlement
from service.links import last_known_refresher
from service.observability import metrics
from service.storage.spool import Spool
from service.storage.spool_files import ASIDE, SpoolFiles
from service.storage.spool_records import frame
from tests.api_fixtures import BASE_URL, Api, have_link_host
from tests.links.campaigns import make_campaign
from tests.links.conftest import Links
from tests.links.wire import Wire
from tests.processes import REMEMBERED_S

SHOP = "https://shop.example/autumn"
_WEBKIT = "(KHTML, like Gecko)"
PHONE = {"User-Agent": f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 {_WEBKIT} Mobile/15E148"}
SCANNER = {
    "User-Agent": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {_WEBKIT} Chrome/120.0.0.0 Safari/537.36"
}
DECLARED = {"User-Agent": "facebookexternalhit/1.1"}
WITHIN_S = 60.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes less."""
    monkeypatch.setattr(deferred_claims, "DELAY_S", 0.3)
    monkeypatch.setattr(deferred_claims, "ADOPTS_EVERY_S", 0.2)
    monkeypatch.setattr(last_known_refresher, "REFRESHED_EVERY_S", 0.05)
    monkeypatch.setattr(last_known_refresher, "_RETRY_AFTER_S", 0.05)


@pytest.fixture
async def links(api: Api) -> Links:
    """The campaign ``autumn`` pays 25 for a click that looks human."""
    await make_campaign(api.client("admin"), rules=[click()])
    return Links(api)


@pytest.fixture
async def cuttable(wired: tuple[Links, Wire]) -> tuple[Links, Wire]:
    """The same, and the wire to the database."""
    links, wire = wired
    await make_campaign(links.api.client("admin"), id="winter", rules=[click()])
    return links, wire


def click(**changed: Any) -> dict[str, Any]:
    return {"action": "click", "channel": "email", "points": 25, "min_evidence": "C", **changed}


def an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


async def redirecting(links: Links, customer: str = "C-1001", **changed: Any) -> str:
    return await links.path(customer, **{"mode": "redirect", "sent_at": an_hour_ago(), **changed})


async def follow(links: Links, path: str, headers: dict[str, str] = PHONE, method: str = "GET") -> tuple[int, str | None]:
    answer = await links.api.client(None).request(method, path, headers=headers)
    return answer.status_code, answer.headers.get("location")


def settled() -> dict[str, float]:
    """How many acts had which outcome so far."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in metrics.REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "rewards_deferred_claims_total"
    }


async def settles(before: dict[str, float], **outcomes: int) -> None:
    """Wait until so many more acts have come out so, and nothing else has."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        more = {name: now - before.get(name, 0) for name, now in settled().items() if now != before.get(name, 0)}
        if sum(more.values()) >= sum(outcomes.values()):
            assert more == outcomes
            return
        assert time.monotonic() < deadline, more
        await asyncio.sleep(0.02)


async def kept_on_disk(data_dir: Path, destination: str) -> None:
    """Wait until a process that starts without its database would know where this leads."""
    deadline = time.monotonic() + WITHIN_S
    known = data_dir / "spool" / "known"
    while not known.exists() or destination.encode() not in known.read_bytes():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def headline(page: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    assert found is not None, page.text
    return found[1]


# ---- Links that redirect


async def test_she_is_sent_on_at_once_and_paid_a_moment_later(links: Links) -> None:
    path = await redirecting(links)
    before = settled()
    answer = await links.api.client(None).get(path, headers=PHONE)
    assert (answer.status_code, answer.headers["location"], answer.content) == (302, SHOP, b"")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert await links.balance() == 0
    await settles(before, granted=1)
    assert await links.balance() == 25


async def test_following_again_pays_once(links: Links) -> None:
    path = await redirecting(links)
    before = settled()
    for _ in range(4):
        assert await follow(links, path) == (302, SHOP)
    await settles(before, granted=1, replayed=3)
    assert await links.balance() == 25


async def test_a_machine_gets_where_it_is_going_and_earns_nothing(links: Links) -> None:
    path = await redirecting(links)
    before = settled()
    for headers in DECLARED, {"User-Agent": ""}, {**PHONE, "Sec-Purpose": "prefetch"}:
        assert await follow(links, path, headers) == (302, SHOP)
    await settles(before, machine=3)
    assert await follow(links, path, method="HEAD") == (302, SHOP)
    assert await follow(links, path) == (302, SHOP)
    await settles(before, machine=3, granted=1)
    assert await links.balance() == 25


async def test_who_follows_every_link_of_a_message_is_a_scanner(links: Links) -> None:
    paths = [await redirecting(links, link=label) for label in ("header", "offer", "footer")]
    hers = await redirecting(links, "C-2002")
    before = settled()
    assert [await follow(links, path, SCANNER) for path in paths] == [(302, SHOP)] * 3
    await follow(links, hers)
    await settles(before, machine=3, granted=1)
    assert (await links.balance(), await links.balance("C-2002")) == (0, 25)


async def test_nobody_is_as_quick_as_a_gateway(links: Links) -> None:
    path = await redirecting(links, sent_at=None)
    before = settled()
    await follow(links, path)
    await settles(before, waiting=1)
    assert await links.balance() == 0


async def test_what_asks_for_more_than_a_look_waits(api: Api) -> None:
    await make_campaign(api.client("admin"), rules=[click(min_evidence="B")])
    links = Links(api)
    path = await redirecting(links)
    before = settled()
    await follow(links, path)
    await settles(before, waiting=1)
    assert await links.balance() == 0


async def test_a_link_past_its_life_leads_on_and_earns_nothing(links: Links, owner: asyncpg.Connection[Any]) -> None:
    path = await redirecting(links)
    before = settled()
    await owner.execute("UPDATE rewards.link SET revoked_at = now()")
    assert await follow(links, path) == (302, SHOP)
    await settles(before, revoked=1)
    assert await links.balance() == 0


async def test_it_is_not_for_others_to_lead_anywhere(links: Links) -> None:
    path = await redirecting(links)
    for changed in (f"{path}x", f"{path[:-1]}{'A' if path[-1] != 'A' else 'B'}"):
        assert await follow(links, changed) == (404, None)
    assert await follow(links, await links.path(link="page")) == (200, None)


# ---- While the database is away


async def test_while_the_database_is_away_all_is_as_always_and_paid_afterwards(cuttable: tuple[Links, Wire]) -> None:
    links, wire = cuttable
    paths = [await redirecting(links, f"C-{n}", campaign="winter") for n in range(20)]
    before = settled()
    wire.cut()
    assert await asyncio.gather(*(follow(links, path) for path in paths)) == [(302, SHOP)] * 20
    await asyncio.sleep(0.5)
    assert settled() == before
    wire.mend()
    await settles(before, granted=20)
    assert [await links.balance(f"C-{n}") for n in range(20)] == [25] * 20


async def test_what_a_process_leaves_behind_the_next_one_settles(cuttable: tuple[Links, Wire], tmp_path: Path) -> None:
    links, wire = cuttable
    path = await redirecting(links, campaign="winter")
    await kept_on_disk(tmp_path, SHOP)
    wire.cut()
    app = create_app(links.api.settings, links.api.secrets)
    before = settled()
    async with app.lifespan():
        other = Links(Api(app, links.api.brand, links.api.keys, links.api.settings, links.api.secrets))
        assert await follow(other, path) == (302, SHOP)
        await other.api.close()
    assert list((tmp_path / "spool").glob("*.spool"))
    wire.mend()
    await settles(before, granted=1)
    assert await links.balance() == 25


async def test_a_button_pressed_while_the_database_is_away_counts(cuttable: tuple[Links, Wire]) -> None:
    links, wire = cuttable
    path = await links.path()
    client = links.api.client(None)
    before = settled()
    wire.cut()
    page = await client.get(path)
    assert page.status_code == 200
    assert "<button" in page.text
    assert SHOP in page.text
    for _ in range(2):
        page = await client.post(path, headers={"Sec-Fetch-Site": "same-origin"})
        assert (page.status_code, headline(page)) == (200, "Your Lumens will follow")
        assert SHOP in page.text
    elsewhere = await client.post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert elsewhere.status_code == 403
    wire.mend()
    await settles(before, granted=1, replayed=1)
    assert await links.balance() == 25
    assert headline(await client.post(path, follow_redirects=True)) == "You already have these"


async def test_a_code_that_redirects_does_so(links: Links) -> None:
    [minted] = await links.mint(links.item(mode="redirect", sent_at=an_hour_ago(), short=True))
    before = settled()
    assert await follow(links, minted["short_url"].removeprefix(BASE_URL)) == (302, SHOP)
    await settles(before, granted=1)
    assert await links.balance() == 25


async def test_a_code_that_nobody_can_look_up_leads_to_the_brands_home(cuttable: tuple[Links, Wire], tmp_path: Path) -> None:
    links, wire = cuttable
    admin, home = links.api.client("admin"), "https://shop.example/home"
    (await admin.patch("/v1/brand", json={"home_url": home})).raise_for_status()
    await have_link_host(links.api, "https://r.lumen.example")
    items = [
        links.item(mode=mode, campaign="winter", sent_at=an_hour_ago(), short=True, link=mode) for mode in ("redirect", "page")
    ]
    codes = [minted["short_url"].rpartition("/")[2] for minted in await links.mint(*items)]
    await kept_on_disk(tmp_path, home)
    before = settled()
    wire.cut()
    for code in codes:
        page = await links.api.client(None).get(f"/{code}", headers={**PHONE, "Host": "r.lumen.example"})
        assert (page.status_code, headline(page)) == (503, "Please try again in a moment")
        assert home in page.text
    wire.mend()
    # What redirects is paid as if it had; looking at a page pays nothing.
    await settles(before, granted=1, looked=1)


@pytest.mark.usefixtures("remembers_shortly")
async def test_a_brands_clock_says_when_a_message_was_sent(links: Links) -> None:
    path = await redirecting(links, sent_at=None)
    (await links.api.client("admin").post("/v1/test/clock/advance", json={"seconds": 3600})).raise_for_status()
    await asyncio.sleep(REMEMBERED_S)
    before = settled()
    await follow(links, path)
    await settles(before, granted=1)


@pytest.mark.usefixtures("remembers_shortly")
async def test_it_counts_when_it_happened(cuttable: tuple[Links, Wire], owner: asyncpg.Connection[Any]) -> None:
    links, wire = cuttable
    await make_campaign(links.api.client("admin"), id="short", rules=[click()])
    path, late = [await redirecting(links, campaign="short", message_id=message_id) for message_id in ("in time", "late")]
    before = settled()
    wire.cut()
    await follow(links, path)
    await owner.execute("UPDATE rewards.campaign_version SET ends_at = now()")
    await follow(links, late)
    await asyncio.sleep(REMEMBERED_S)
    wire.mend()
    await settles(before, granted=1, ignored=1)


# ---- When the disk is full, or refuses


@contextlib.asynccontextmanager
async def spooling(links: Links, spool: Spool) -> AsyncGenerator[None]:
    """Let the application keep deferred claims in another spool."""
    before = links.api.services
    late = msgspec.structs.replace(before, deferred_claims=DeferredClaims(spool))
    bind(links.api.app, late)
    async with late.deferred_claims.settled_by(deferred_settling.settlement(late)):
        yield
    bind(links.api.app, before)


@pytest.mark.one_process("looks at what this process does with a disk that refuses")
async def test_with_a_full_spool_she_still_arrives_and_is_paid_from_memory(links: Links, tmp_path: Path) -> None:
    path = await redirecting(links)
    before = settled()
    async with spooling(links, Spool(tmp_path / "full", bytes_max=0)):
        assert await follow(links, path) == (302, SHOP)
        await settles(before, granted=1)
    assert await links.balance() == 25


@pytest.mark.one_process("looks at what this process does with a disk that refuses")
async def test_what_neither_the_disk_nor_memory_takes_is_counted(
    links: Links, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await redirecting(links)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(deferred_claims, "IN_MEMORY_MAX", 0)
    before = settled()
    async with spooling(links, Spool(tmp_path / "file" / "spool", bytes_max=1_000_000)):
        assert await follow(links, path) == (302, SHOP)
        await settles(before, lost=1)


@pytest.mark.one_process("looks at what this process does with a disk that refuses")
async def test_nobody_is_told_that_points_follow_unless_the_act_is_on_the_disk(
    cuttable: tuple[Links, Wire], tmp_path: Path
) -> None:
    links, wire = cuttable
    path = await links.path()
    before = settled()
    async with spooling(links, Spool(tmp_path / "full", bytes_max=0)):
        wire.cut()
        page = await links.api.client(None).post(path)
        assert page.status_code == 503
        assert SHOP in page.text
        wire.mend()
        await settles(before, granted=1)


async def test_a_disk_that_takes_long_keeps_nobody_waiting_and_has_the_act_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred_claims, "TIMEOUT_S", 0.1)
    answers, append = threading.Event(), SpoolFiles.append

    def hang(files: SpoolFiles, framed: Sequence[bytes]) -> None:
        answers.wait(WITHIN_S)
        append(files, framed)

    async def nothing(acts: Sequence[DeferredClaim]) -> None:
        del acts

    async def granted(acts: Sequence[DeferredClaim]) -> list[str | BaseException]:
        return ["granted" for _ in acts]

    async def none(customers: Collection[int]) -> Collection[int]:
        return set(customers) - set(customers)

    monkeypatch.setattr(SpoolFiles, "append", hang)
    late = DeferredClaims(Spool(tmp_path / "slow", bytes_max=1_000_000))
    act = DeferredClaim(at=datetime.now(UTC), host="", way="redirect", grade="C", why="", since_sent_s=60.0)
    before = settled()
    async with late.settled_by(Settlement(nothing, granted, none, may_pass=lambda _: False)):
        began = time.monotonic()
        assert await asyncio.gather(late.keep(act), late.keep(act)) == [False, False]
        assert await late.keep(act) is False
        assert 0.2 <= time.monotonic() - began < WITHIN_S
        answers.set()
        assert await late.keep(act) is True
        await settles(before, granted=4)


@pytest.mark.one_process("looks at one process's spool")
async def test_an_act_that_cannot_be_settled_is_a_dead_letter_and_holds_nobody_up(links: Links, tmp_path: Path) -> None:
    path = await redirecting(links)
    before = settled()
    directory = tmp_path / "damaged"
    directory.mkdir()
    (directory / "0-0.spool").write_bytes(frame(b"no act"))
    async with spooling(links, Spool(directory, bytes_max=1_000_000)):
        assert await follow(links, path) == (302, SHOP)
        await settles(before, dead_letter=1, granted=1)
    assert (directory / ASIDE).read_bytes() == frame(b"no act")
    assert [each.name for each in directory.iterdir()] == [ASIDE]
    # Once the cause is mended the operator gives it back; here it is not, and the act is put aside again.
    (directory / ASIDE).rename(directory / "aside-1.spool")
    async with spooling(links, Spool(directory, bytes_max=1_000_000)):
        await settles(before, dead_letter=2, granted=1)


@pytest.mark.one_process("looks at one process's spool")
async def test_what_is_kept_of_a_person_is_no_address_and_no_token(cuttable: tuple[Links, Wire], tmp_path: Path) -> None:
    links, wire = cuttable
    path = await redirecting(links, campaign="winter")
    wire.cut()
    await follow(links, path)
    content = b"".join(each.read_bytes() for each in (tmp_path / "spool").glob("*.spool"))
    wire.mend()
    assert b"newsletter-0412" in content
    for secret in (path.removeprefix("/r/").encode()[:40], b"iPhone", b"127.0.0.1", b"C-1001"):
        assert secret not in content


async def test_an_open_and_a_visit_handed_over_are_known_afterwards(
    cuttable: tuple[Links, Wire], owner: asyncpg.Connection[Any]
) -> None:
    links, wire = cuttable
    opened = {"action": "open", "channel": "email", "points": 2, "min_evidence": "D"}
    await make_campaign(links.api.client("admin"), id="opens", rules=[opened])
    picture = await links.path(campaign="opens", kind="open", action="open", destination=None)
    handed = await links.path(campaign="winter", mode="handoff", channel=None)
    client = links.api.client(None)
    before = settled()
    wire.cut()
    for _ in range(2):
        shown = await client.get(picture, headers=PHONE)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/gif")
    # Apple fetches every picture when a message arrives.
    await client.get(picture, headers={"User-Agent": "Mozilla/5.0"})
    away = await client.get(handed, headers=PHONE)
    assert away.headers["location"].startswith(f"{SHOP}?rewards_claim=")
    wire.mend()
    await settles(before, granted=1, replayed=1, machine=1, looked=1)
    assert await links.balance() == 2
    clicks = await owner.fetch("SELECT way, grade FROM rewards.touch ORDER BY way, grade")
    assert [tuple(click) for click in clicks] == [("handoff", "D"), ("open", "D"), ("open", "D"), ("open", "X")]
