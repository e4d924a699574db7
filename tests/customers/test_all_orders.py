"""An act is paid once, whatever its customer is called and in whichever order that comes to be known.

A story is told in every order its steps can have, each time by a customer of her own. Its steps go by turns to two API
processes, each of which remembers what it has seen, so that every memory is out of date at some point in some order. What must
come of it is said by a model of a few lines: names that are one share what they have, and an act reported under any of them is
paid unless one of them has it already. What two names had earned before anybody knew that they are one stays paid.

Wherever a story ends, the act is reported once more under each name to each process.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api_fixtures import Api
from tests.customers.calls import CLICK, balance, check, merge, put

POINTS = 5
AT_ONCE = 24

REPORT_BY_EMAIL = ("report", "email")
REPORT_AGAIN_BY_EMAIL = ("report", "email", "again")
REPORT_BY_ID = ("report", "c-1")
REPORT_BY_OTHER_ID = ("report", "c-2")
REPORT_BY_BOTH = ("report", "c-1", "email")
ATTACH = ("attach", "c-1", "email")
MERGE = ("merge", "c-2", "c-1")
READ = ("read", "c-1")
REPORT_BY_DEVICE = ("report", "device")
REPORT_BY_EMAIL_ON_DEVICE = ("report", "email", "device")
REPORT_BY_ID_ON_DEVICE = ("report", "c-1", "device")
ATTACH_DEVICE = ("attach", "c-2", "device")

STORIES = {
    "an email that earned gets an id": (REPORT_BY_EMAIL, ATTACH, READ, REPORT_AGAIN_BY_EMAIL, REPORT_BY_ID),
    "an id always comes with the email": (REPORT_BY_EMAIL, ATTACH, READ, REPORT_AGAIN_BY_EMAIL, REPORT_BY_BOTH),
    "and is merged into another id": (REPORT_BY_EMAIL, ATTACH, MERGE, REPORT_BY_ID, REPORT_BY_OTHER_ID),
    "three share a device": (REPORT_BY_DEVICE, REPORT_BY_EMAIL_ON_DEVICE, REPORT_BY_ID_ON_DEVICE, ATTACH_DEVICE, READ),
}


class Model:
    """Who is one with whom, and what each has been paid."""

    def __init__(self) -> None:
        self._people: dict[str, _Person] = {}

    def points(self, name: str) -> int:
        """What whoever has the name has."""
        return POINTS * self._people[name].paid if name in self._people else 0

    def tell(self, step: Sequence[str]) -> bool:
        """Take a step; whether it paid something."""
        match step:
            case ("report", *names):
                person = self._one(self._reported(names))
                pays = person.paid == 0
                person.paid += pays
                return pays
            case ("attach", *names) if not self.is_conflict(step):
                self._one(names)
            case ("merge", *names) if any(name in self._people for name in names):
                self._one(names)
            case _:
                pass
        return False

    def is_conflict(self, step: Sequence[str]) -> bool:
        """Whether the device that is to be attached is that of somebody who has other names."""
        return step[0] == "attach" and self._is_anothers(step[1:])

    def _is_anothers(self, names: Sequence[str]) -> bool:
        """Whether one of these names is the device of somebody who has other names, none of which is among these."""
        owner = self._people.get("device") if "device" in names else None
        hers = {name for name, person in self._people.items() if person is owner}
        return len(names) > 1 and len(hers) > 1 and hers & set(names) == {"device"}

    def _reported(self, names: Sequence[str]) -> list[str]:
        """Which of the names of a report are one customer's by it: not a device, if it is another's who is known."""
        others = [name for name in names if name not in {"device", "again"}]
        known = {self._people[name] for name in others if name in self._people}
        device = self._people.get("device")
        apart = self._is_anothers(names) or (device is not None and bool(known) and device not in known)
        return [name for name in names if name in others or (name == "device" and not apart)]

    def _one(self, names: list[str]) -> _Person:
        known = list(dict.fromkeys(self._people[name] for name in names if name in self._people))
        person = known[0] if known else _Person()
        person.paid = sum(each.paid for each in known)
        same = {name for name, each in self._people.items() if each in known} | set(names)
        self._people |= dict.fromkeys(same, person)
        return person


class _Person:
    def __init__(self) -> None:
        self.paid = 0


def _ref(name: str, order: int) -> dict[str, str]:
    match name:
        case "email":
            return {"email": f"ada{order}@example.org"}
        case "device":
            return {"device": f"Ada's {order}"}
        case _:
            return {"id": f"{name}-{order}"}


async def _take(process: Api, step: Sequence[str], order: int) -> httpx.Response | None:
    refs = [_ref(name, order) for name in step[1:] if name != "again"]
    match step[0]:
        case "report":
            customer = {kind: name for ref in refs for kind, name in ref.items()}
            return await process.client("messaging").post("/v1/grants", json=CLICK | {"customer": customer})
        case "attach":
            return await put(process, refs[0]["id"], **refs[1])
        case "merge":
            return await merge(process, refs[0]["id"], **refs[1])
        case _:
            return None


async def _tell(processes: Sequence[Api], steps: Sequence[Sequence[str]], order: int) -> int:
    """Tell a story in one order; return what was paid in all."""
    model = Model()
    paid = 0
    names = {name for step in steps for name in step[1:] if name != "again"}
    for turn, step in enumerate(steps):
        where = (order, steps[: turn + 1])
        process = processes[(turn + order) % 2]
        is_conflict = model.is_conflict(step)
        pays = model.tell(step)
        answer = await _take(process, step, order)
        if step[0] == "report":
            assert answer is not None
            assert answer.json()["outcome"] == "granted", where
            assert answer.json()["replayed"] is not pays, where
            assert answer.json()["balance"] == model.points(step[1]), where
            paid += POINTS * pays
        elif step[0] == "read":
            assert (await balance(process, f"c-1-{order}"))["balance"] == model.points("c-1"), where
        else:
            assert answer is not None
            assert answer.status_code in ({409} if is_conflict else {200, 404}), where
    for process, name in itertools.product(processes, sorted(names)):
        late: Any = await _take(process, ("report", name), order)
        pays = model.tell(("report", name))
        assert (late.json()["replayed"], late.json()["balance"]) == (not pays, model.points(name)), (order, steps, name)
        paid += POINTS * pays
    for process in processes:
        assert (await balance(process, f"c-1-{order}"))["balance"] == model.points("c-1"), (order, steps)
    return paid


@pytest.mark.parametrize("story", STORIES)
async def test_an_act_is_paid_once_in_every_order(funded: Api, other: Api, reader_pool: asyncpg.Pool[Any], story: str) -> None:
    orders = list(itertools.permutations(STORIES[story]))
    paid: list[int] = []
    for start in range(0, len(orders), AT_ONCE):
        part = list(enumerate(orders))[start : start + AT_ONCE]
        paid += await asyncio.gather(*(_tell((funded, other), steps, order) for order, steps in part))
    for steps, points in zip(orders, paid, strict=True):
        if _is_known_before_a_second_name_is_reported(steps):
            assert points == POINTS, steps
    await check(funded, reader_pool)
    campaign = (await funded.client("admin").get("/v1/campaigns/autumn")).json()
    assert campaign["budget"]["granted"] == sum(paid)


def _is_known_before_a_second_name_is_reported(steps: Sequence[Sequence[str]]) -> bool:
    """Whether nobody is reported under a name that is not yet known to be one with those reported before."""
    model = Model()
    reported: list[str] = []
    for step in steps:
        paid = model.tell(step)
        if step[0] == "report" and paid:
            reported.append(step[1])
    return len(reported) == 1
