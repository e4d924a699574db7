"""A job does what the same corrections do one by one: drawn histories, drawn lists, on two brands that begin alike."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from tests.api_fixtures import Api, make_brand, make_keys
from tests.corrections.test_adjustments import CARE
from tests.corrections.test_claw_backs import CAMPAIGN
from tests.corrections.test_jobs import Shown, assert_sound, work

PEOPLE = [f"p-{n}" for n in range(5)]
LINES = 14


class Shop(NamedTuple):
    """A brand, and its keys."""

    api: Api
    keys: dict[str, str]

    async def send(self, who: str, method: str, path: str, body: Any = None, key: str = "k") -> httpx.Response:
        client = self.api.client(key=self.keys[who])
        return await client.request(method, path, json=body, headers={"Idempotency-Key": key})

    async def done(self, who: str, method: str, path: str, body: Any = None, key: str = "k") -> Any:
        answer = await self.send(who, method, path, body, key)
        assert answer.is_success, answer.text
        return answer.json()

    async def balances(self) -> list[int]:
        return [(await self.done("storefront", "GET", f"/v1/customers/{who}/balance"))["balance"] for who in PEOPLE]


async def live(shop: Shop, draw: random.Random) -> list[str]:
    """What happened in a shop before anybody corrects anything; its grants."""
    for campaign in (CAMPAIGN, CARE):
        await shop.done("admin", "POST", "/v1/campaigns", campaign | {"budget": 5_000})
    await shop.done("admin", "PUT", "/v1/adjustment-reasons/goodwill", {"name": "Goodwill", "campaign": "care"})
    grants = await earn(shop, draw, 8)
    await spend(shop, draw, 4)
    for n in range(draw.randint(0, 2)):
        one, other = draw.sample(PEOPLE, 2)
        await shop.send("messaging", "POST", f"/v1/customers/{one}/merge", {"from": {"id": other}}, f"g-{n}")
    # Who was merged earns under their own name, and the survivor has it and spends it.
    grants += await earn(shop, draw, 6)
    await spend(shop, draw, 3)
    return grants


async def earn(shop: Shop, draw: random.Random, times: int) -> list[str]:
    grants: list[str] = []
    for _ in range(times):
        event = {"campaign": "autumn", "message_id": f"m-{draw.random()}", "customer": {"id": draw.choice(PEOPLE)}}
        act = {"action": draw.choice(["click", "click", "click", "review"]), "channel": "email"}
        grants.append((await shop.done("messaging", "POST", "/v1/grants", event | act))["grant_id"])
    return grants


async def spend(shop: Shop, draw: random.Random, times: int) -> None:
    for _ in range(times):
        name = f"o-{draw.random()}"
        asked = {"customer": {"id": draw.choice(PEOPLE)}, "points": draw.randint(10, 150), "order_ref": name}
        held = await shop.send("storefront", "POST", "/v1/redemptions", asked, name)
        step = draw.choice(["", "capture", "void", "refund"])
        for verb in {"": [], "refund": ["capture", "refund"]}.get(step, [step]) if held.is_success else []:
            path = f"/v1/redemptions/{held.json()['redemption_id']}/{verb}"
            await shop.done("storefront", "POST", path, {}, f"{verb} {name}")


def drawn_lines(grants: list[str], draw: random.Random) -> list[dict[str, Any]]:
    wanted: list[dict[str, Any]] = [
        {"grant_id": grant} | draw.choice([{}, {"points": draw.choice([1, 30, 50, 100, 101])}])
        for grant in draw.sample(grants, LINES - len(PEOPLE))
    ]
    wanted += [{"customer": {"id": who}, "points": draw.choice([-250, -90, -20, 15, 40])} for who in PEOPLE]
    draw.shuffle(wanted)
    return wanted


async def alone(shop: Shop, line: dict[str, Any], key: str) -> tuple[str, int, int]:
    """What a line comes to that is sent alone: done or a code, points moved, and its shortfall."""
    if "customer" in line:
        answer = await shop.send("care", "POST", "/v1/adjustments", line | {"reason": "goodwill"}, key)
        return ("done", abs(line["points"]), 0) if answer.is_success else (answer.json()["code"], 0, 0)
    asked = {"reason": "goodwill"} | {name: line[name] for name in ("points",) if name in line}
    answer = await shop.send("care", "POST", f"/v1/grants/{line['grant_id']}/clawback", asked, key)
    told = answer.json()
    return ("done", told["clawed_back"], told["shortfall"]) if answer.is_success else (told["code"], 0, 0)


async def checked(shop: Shop, wanted: list[dict[str, Any]], key: str) -> tuple[Shown, list[Shown]]:
    job = await shop.done("care", "POST", "/v1/corrections/batch?reason=goodwill", wanted, key)
    await work(shop.api)
    return await as_it_is(shop, job["id"])


async def as_it_is(shop: Shop, job: str) -> tuple[Shown, list[Shown]]:
    lines = await shop.done("care", "GET", f"/v1/corrections/{job}/lines")
    return await shop.done("care", "GET", f"/v1/corrections/{job}"), lines["items"]


@pytest.mark.parametrize("seed", range(8))
async def test_a_job_does_what_its_lines_do_alone(api: Api, owner: asyncpg.Connection[Any], seed: int) -> None:
    one = Shop(api, api.keys)
    other_brand = await make_brand(owner, "other")
    other = Shop(api, await make_keys(owner, other_brand))
    grants, theirs = await live(one, random.Random(seed)), await live(other, random.Random(seed))
    assert await one.balances() == await other.balances()
    wanted = drawn_lines(grants, random.Random(seed))

    # What the check refuses is refused alone too, with the same code, as long as nothing has been done.
    _, lines = await checked(one, wanted, "first")
    same = dict(zip(grants, theirs, strict=True))
    for n, (line, of_job) in enumerate(zip(wanted, lines, strict=True)):
        # Of customers who are one the second is refused: an agent may adjust them twice, and a list is probably wrong.
        if of_job["state"] == "refused" and "names what line" not in of_job["detail"]:
            assert (await alone(other, moved(line, same), f"r-{n}"))[0] == of_job["code"], line
    good = [line for line, of_job in zip(wanted, lines, strict=True) if of_job["state"] != "refused"]

    job, lines = await checked(one, good, "second")
    assert (job["refused"], len(good) > 3) == (0, True)
    await one.done("care", "POST", f"/v1/corrections/{job['id']}/start")
    await work(api)
    ended, lines = await as_it_is(one, job["id"])
    assert ended["status"] == "done"
    for n, (line, of_job) in enumerate(zip(good, lines, strict=True)):
        came_of_it = (of_job["code"] or "done", of_job["moved"] or 0, of_job["shortfall"] or 0)
        single = ("done", 0, 0) if of_job["state"] == "skipped" else await alone(other, moved(line, same), f"s-{n}")
        assert came_of_it == single, line
    assert await one.balances() == await other.balances()
    await assert_sound(api, owner)


def moved(line: dict[str, Any], same: dict[str, str]) -> dict[str, Any]:
    """The same line about the other brand's grant."""
    return line | {"grant_id": same[line["grant_id"]]} if "grant_id" in line else line
