"""A printed code that pays everybody once, and a screen's code, which pays only who is there."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from service.admission.failed_attempts import MISSES_MAX
from service.code_batches.qr_codes import qr_code
from service.tokens import rotating_code
from service.tokens.code import code_hash
from service.tokens.rotating_code import CLAIMABLE_FOR_S, RotatingCode
from tests.api_fixtures import BASE_URL, Api
from tests.links.campaigns import make_campaign
from tests.links.code_batches.test_code_batches import claim, codes_of, enter, make_batch
from tests.links.conftest import EMAIL, Links
from tests.links.pages.test_visits import headline, without_nonce

EVERY_S = 30
KEY = bytes(32)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
async def poster(links: Links) -> str:
    """A code for everybody."""
    (await make_batch(links.api, codes=1, pays="each")).raise_for_status()
    return (await codes_of(links.api))[0]


async def test_a_code_for_each_pays_everybody_once(links: Links, poster: str) -> None:
    for customer in ("C-1", "C-2", "C-3"):
        first, again = await claim(links.api, poster, customer), await claim(links.api, poster, customer)
        assert (first.json()["outcome"], first.json()["points"], first.json()["replayed"]) == ("granted", 25, False)
        assert (again.json()["grant_id"], again.json()["replayed"]) == (first.json()["grant_id"], True)
        assert await links.balance(customer) == 25
    batch = (await links.api.client("messaging").get("/v1/code-batches/packs-1")).json()
    assert (batch["pays"], batch["claimed"], batch["rotates_every_s"], batch["screen"]) == ("each", None, None, None)


async def test_of_one_person_many_times_at_once_one_is_paid(links: Links, poster: str) -> None:
    answers = await asyncio.gather(*(claim(links.api, poster, f"C-{n % 2}") for n in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert [await links.balance(f"C-{n}") for n in range(2)] == [25, 25]


async def test_the_page_asks_everybody_and_tells_nobody_who_was_there(links: Links, poster: str) -> None:
    client = links.api.client(None)
    first = await enter(links.api, poster, EMAIL)
    assert headline(first) == "25 Lumens added"
    assert "Your balance" not in first.text
    assert headline(await client.get(f"/{poster}")) == "25 Lumens for you"
    again, another = await enter(links.api, poster, EMAIL), await enter(links.api, poster, "another@mail.example")
    assert without_nonce(again) == without_nonce(another) == without_nonce(first)
    asked = {"customers": [{"email": EMAIL}, {"email": "another@mail.example"}]}
    looked_up = await links.api.client("messaging").post("/v1/customers/lookup", json=asked)
    assert [each["balance"] for each in looked_up.json()["results"]] == [25, 25]


async def test_a_budget_and_a_cap_hold_for_a_code_for_each(links: Links) -> None:
    await make_campaign(
        links.api.client("admin"),
        id="posters",
        name="Posters",
        budget=20,
        caps=[{"per": "customer", "window": "day", "max_grants": 1}],
        rules=[{"action": "scan", "channel": "print", "points": 10}],
    )
    made = await make_batch(links.api, id="p", campaign="posters", action="scan", channel="print", codes=2, pays="each")
    made.raise_for_status()
    first, second = await codes_of(links.api, "p")
    assert (await claim(links.api, first, "C-1")).json()["outcome"] == "granted"
    assert (await claim(links.api, second, "C-1")).json()["reason"] == "cap_reached"
    assert (await claim(links.api, first, "C-2")).json()["outcome"] == "granted"
    assert (await claim(links.api, first, "C-3")).json()["reason"] == "budget_exhausted"
    assert headline(await enter(links.api, second, EMAIL)) == "All given away"


@pytest.mark.one_process("each process counts for itself")
async def test_from_one_network_so_many_are_taken_and_no_more(links: Links, poster: str) -> None:
    services = links.api.services
    for _ in range(MISSES_MAX - 1):
        services.shared_code_claims.note("127.0.0.0/24")
    assert headline(await enter(links.api, poster, EMAIL)) == "25 Lumens added"
    late = await enter(links.api, poster, "another@mail.example")
    assert (late.status_code, headline(late)) == (503, "Please try again in a moment")
    # Packs are counted by themselves.
    (await make_batch(links.api, id="packs-2")).raise_for_status()
    assert headline(await enter(links.api, (await codes_of(links.api, "packs-2"))[0], EMAIL)) == "25 Lumens added"


async def test_a_printed_code_that_is_taken_back_explains_itself(links: Links, poster: str) -> None:
    assert (await links.api.client(None).get(f"/qr/{poster}.svg")).status_code == 200
    (await links.api.client("messaging").post("/v1/link-revocations", json={"code_batch": "packs-1"})).raise_for_status()
    for page in (await links.api.client(None).get(f"/{poster}"), await enter(links.api, poster, EMAIL)):
        assert (page.status_code, headline(page)) == (410, "This link was withdrawn")
    assert (await claim(links.api, poster)).json()["code"] == "link_revoked"
    assert (await links.api.client(None).get(f"/qr/{poster}.svg")).status_code == 200


async def test_what_is_wrong_with_a_batch_is_said(links: Links) -> None:
    for changed in (
        {"rotates_every_s": 30},
        {"rotates_every_s": 30, "pays": "each", "codes": 2},
        {"rotates_every_s": 9, "pays": "each", "codes": 1},
        {"pays": "all"},
    ):
        answer = await make_batch(links.api, **changed)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field"), changed
    (await make_batch(links.api, codes=1)).raise_for_status()
    assert (await make_batch(links.api, codes=1, pays="each")).json()["code"] == "code_batch_exists"


# ---- Codes that rotate


class Lobby:
    """A screen that shows a code, and what it showed and will show."""

    def __init__(self, api: Api, picture: str) -> None:
        self.api = api
        self.path = picture.removeprefix(BASE_URL)
        services = api.services
        screen = rotating_code.unseal_name(
            self.path.removeprefix("/qr/").removesuffix(".svg"), services.token_keys.rotating_codes
        )
        assert screen is not None
        self._screen, self._key = screen, services.token_keys.codes[screen.kid]

    def code(self, steps_ago: int = 0) -> str:
        """What it showed so many turns ago."""
        at = datetime.now(UTC) - timedelta(seconds=steps_ago * self._screen.rotates_every_s)
        return rotating_code.code_at(self._screen, at, self._key)

    async def picture(self, kind: str = "svg") -> httpx.Response:
        """What it shows."""
        return await self.api.client(None).get(f"{self.path.removesuffix('svg')}{kind}")


@pytest.fixture
async def lobby(links: Links) -> Lobby:
    """A code that is another one every twelve hours: no test meets the end of a turn but at noon and midnight."""
    made = await make_batch(links.api, id="lobby", codes=1, pays="each", rotates_every_s=43_200)
    return Lobby(links.api, made.raise_for_status().json()["screen"])


async def test_a_screen_shows_the_code_of_the_moment(lobby: Lobby) -> None:
    before = lobby.code()
    svg, png = await lobby.picture(), await lobby.picture("png")
    # The code may change between any two of these lines.
    shown = (before, lobby.code())
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    assert any(f"<title>{code}</title>" in svg.text for code in shown)
    assert png.content in [await drawn(f"{BASE_URL}/{code}") for code in shown]
    for answer in svg, png:
        assert answer.headers["cache-control"] == "no-store"
        assert 1 <= int(answer.headers["refresh"]) <= 43_200
    assert (await lobby.api.client(None).get(lobby.path.replace(".svg", "A.svg"))).status_code == 404


async def drawn(url: str) -> bytes:
    picture = io.BytesIO()
    qr_code(url).save(picture, kind="png", scale=10)
    return picture.getvalue()


async def test_who_is_there_is_paid_once_whichever_code_she_read(links: Links, lobby: Lobby) -> None:
    for code in (lobby.code(), lobby.code(1)):
        assert headline(await links.api.client(None).get(f"/{code}")) == "25 Lumens for you"
        assert headline(await enter(links.api, code, EMAIL)) == "25 Lumens added"
    assert (await claim(links.api, lobby.code(), {"email": EMAIL})).json()["replayed"]
    asked = {"customers": [{"email": EMAIL}]}
    assert (await links.api.client("messaging").post("/v1/customers/lookup", json=asked)).json()["results"][0]["balance"] == 25


async def test_an_old_code_says_that_there_is_a_new_one(links: Links, lobby: Lobby) -> None:
    never = lobby.code()[:-1] + ("A" if lobby.code()[-1] != "A" else "B")
    for code in (lobby.code(3), never):
        for page in (await links.api.client(None).get(f"/{code}"), await enter(links.api, code, EMAIL)):
            assert (page.status_code, headline(page)) == (410, "This code has changed")
        assert (await claim(links.api, code)).json()["code"] == "link_expired"
    # The turn before the last can be sent in by who has opened it in time, and not be opened any more.
    assert headline(await links.api.client(None).get(f"/{lobby.code(2)}")) == "This code has changed"
    assert headline(await enter(links.api, lobby.code(2), EMAIL)) == "25 Lumens added"


async def test_a_links_code_that_begins_like_a_screens_is_a_links(
    links: Links, lobby: Lobby, owner: asyncpg.Connection[Any]
) -> None:
    [minted] = await links.mint(links.item(short=True))
    alike = lobby.code()[: rotating_code.HANDLE_CHARACTERS] + "A" * (16 - rotating_code.HANDLE_CHARACTERS)
    await owner.execute("UPDATE rewards.link_code SET code_hash = $1", code_hash(alike))
    page = await links.api.client(None).get(f"/{alike}")
    assert (page.status_code, headline(page)) == (200, "25 Lumens for you")
    assert 'name="email"' not in page.text
    assert minted["status"] == 201


async def test_a_screen_whose_batch_is_taken_back_leads_to_the_page_that_says_so(links: Links, lobby: Lobby) -> None:
    (await links.api.client("messaging").post("/v1/link-revocations", json={"code_batch": "lobby"})).raise_for_status()
    assert (await lobby.picture()).status_code == 200
    for code in (lobby.code(), lobby.code(5)):
        assert headline(await links.api.client(None).get(f"/{code}")) == "This link was withdrawn"


async def test_nothing_is_kept_of_a_turn_and_no_file_is_printed(
    links: Links, lobby: Lobby, owner: asyncpg.Connection[Any]
) -> None:
    await lobby.picture()
    await links.api.client(None).get(f"/{lobby.code()}")
    assert await owner.fetchval("SELECT count(*) FROM rewards.batch_code") == 1
    assert (await links.api.client("messaging").get("/v1/code-batches/lobby/codes")).status_code == 404
    again = await make_batch(links.api, id="lobby", codes=1, pays="each", rotates_every_s=43_200)
    assert (again.status_code, again.json()["screen"].removeprefix(BASE_URL)) == (200, lobby.path)


def test_a_code_is_good_for_its_turn_the_next_and_ten_minutes_to_type() -> None:
    screen = RotatingCode(rotating_code.handle_of(1, "lobby", KEY), EVERY_S, "k")
    code = rotating_code.code_at(screen, NOON, KEY)
    assert len(code) == 16
    assert code == rotating_code.code_at(screen, NOON + timedelta(seconds=EVERY_S - 1), KEY)
    assert code != rotating_code.code_at(screen, NOON + timedelta(seconds=EVERY_S), KEY)

    def ago(seconds: float) -> int | None:
        return rotating_code.steps_ago(code, EVERY_S, NOON + timedelta(seconds=seconds), KEY)

    assert [ago(seconds) for seconds in (-1, 0, EVERY_S - 1, EVERY_S, 2 * EVERY_S)] == [0, 0, 0, 1, 2]
    last_turn = EVERY_S + CLAIMABLE_FOR_S + EVERY_S
    assert (ago(last_turn - 1), ago(last_turn)) == (21, None)
    assert ago(-EVERY_S - 1) is None
    assert rotating_code.steps_ago(code, EVERY_S, NOON, bytes(31) + b"1") is None


def test_two_screens_have_nothing_in_common() -> None:
    handles = {rotating_code.handle_of(brand, batch, KEY) for brand in (1, 2) for batch in ("lobby", "door")}
    assert len(handles) == 4
    codes = {
        rotating_code.code_at(RotatingCode(handle, EVERY_S, "k"), NOON, KEY)[rotating_code.HANDLE_CHARACTERS :]
        for handle in handles
    }
    assert len(codes) == 4
