"""A year of a brand, drawn from a seed: what happens, when, and what a controller is told meanwhile.

Events come in batches, approvals and redemptions one by one and side by side, all over HTTP; the clock is the brand's test
clock. A worker posts what is due now and then, and often late. Months are closed in order, each at its own time after its end.
What happens is drawn before it is sent, so it does not depend on which answer comes first.
"""

from __future__ import annotations

import asyncio
import calendar
import itertools
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import AccountClass, Opening, import_balances
from service.closes.close_keeper import CloseKeeper
from service.finance.due_poster import DuePoster
from service.finance.layers import layer_tracker
from service.offers.offer_lapser import OfferLapser
from tests.acceptance.stopwatch import Stopwatch
from tests.acceptance.wire import Wire
from tests.api_fixtures import Api

YEAR = 2031
ZONE = ZoneInfo("Europe/Berlin")
CHANNELS = ("email", "sms", "push", "app")
CAMPAIGNS: dict[str, dict[str, Any]] = {
    "newsletter": {
        "class": "engagement",
        "expires_after_months": 2,
        "rules": [
            {"action": "click", "points": 7},
            {"action": "click", "channel": "sms", "points": 11},
            {"action": "survey", "points": 40, "hold_back_days": 20},
        ],
        "caps": [{"per": "customer", "window": "day", "max_grants": 20}],
    },
    "shop": {
        "class": "purchase",
        "expires_after_months": 5,
        "rules": [{"action": "purchase", "points_per": {"points": 7, "minor_units": 100}}],
    },
    "partner": {
        "class": "third_party",
        "expires_after_months": None,
        "rules": [{"action": "click", "points": 13}],
        "offers": True,
    },
}
ACTS = (
    *(("newsletter", "click"),) * 9,
    ("newsletter", "survey"),
    *(("shop", "purchase"),) * 4,
    *(("partner", "click"),) * 4,
)
VALUES = {1: (100, 50), 4: (3, 1), 8: (7, 5)}
"""What points are worth from some day of a month on: points, minor units."""
CLOSED_AFTER = (
    timedelta(minutes=5),
    timedelta(hours=12),
    timedelta(days=7),
    timedelta(minutes=5),
    timedelta(days=40),  # together with the next
    timedelta(days=12),
    timedelta(hours=1),
    timedelta(minutes=5),
    timedelta(days=20),
    timedelta(hours=12),
    timedelta(minutes=5),
    timedelta(days=3),
)
"""How long after each month's end it is closed."""
SKIPPED = {
    "grants_to_approve": "The moderators take their time.",
    "campaigns_not_counted": "They are reconciled one by one.",
}
MOMENTS = 6
"""At how many times a month something happens."""
REDEMPTIONS_MAX = 300
APPROVALS_MAX = 150
"""How many of either come at a time, at most. They are single calls, and take most of the time."""
BATCH_ITEMS = 1_000
BATCHES_AT_ONCE = 4
CALLS_AT_ONCE = 64
OVERLOADED = 503
LEDGER_READS = 1_000
"""Of how many customers balances are read at once."""
CLAWED_BACK_MAX = 20
RETURNED_MAX = 5

Happening = Callable[[], Coroutine[Any, Any, None]]
T = TypeVar("T")


def midnight(month: int) -> datetime:
    """When a month begins; 13 is January of the next year."""
    return datetime(YEAR + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=ZONE)


def last_day(month: int) -> date:
    """The last day of a month."""
    return date(YEAR, month, calendar.monthrange(YEAR, month)[1])


def period(month: int) -> str:
    """What a month is called."""
    return f"{YEAR}-{month:02}"


class Redemption(msgspec.Struct):
    """What is known of a redemption at the POS."""

    id: str
    held: int
    captured: int = 0


class Purchase(msgspec.Struct, frozen=True):
    """What somebody has bought, some of which may come back."""

    grant_id: str
    amount_minor: int


class Told(msgspec.Struct, kw_only=True):
    """What a controller was told at a month's end, at midnight and after closing."""

    balances: dict[int, int] = {}
    """What each customer could spend at midnight, by our number."""
    held: int = 0
    close: dict[str, Any] = {}
    report: dict[str, Any] = {}
    settled: dict[str, bytes] = {}
    """What it was told by each path once the close was settled."""


class SimulatedYear:
    """Lets a year pass. ``transfers`` is how many the log should have at its end, roughly."""

    def __init__(
        self,
        api: Api,
        owner: asyncpg.Connection[Any],
        worker: tuple[asyncpg.Pool[Any], AsyncEngine],
        *,
        transfers: int,
        seed: int,
    ) -> None:
        self.api = api
        self.told = {month: Told() for month in range(1, 13)}
        self.stopwatch = Stopwatch()
        self._wire = Wire(api)
        self._owner = owner
        self._worker = worker
        self._due_poster = DuePoster(*worker, limit=100)
        self._close_keeper = CloseKeeper(*worker)
        self._offer_lapser = OfferLapser(api.services)
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self.redemptions: list[Redemption] = []
        self._held_back: list[str] = []
        self._granted: list[str] = []
        self._bought: list[Purchase] = []
        self.returned = Counter[str]()
        self._merged: list[tuple[str, str]] = []
        self._valued = False
        # The rest is what becomes of the points.
        self._acts = max(10, transfers * 3 // (12 * MOMENTS * 4))
        self._redemptions_at_once = max(2, min(self._acts // 5, REDEMPTIONS_MAX))
        self._customers = [f"crm-{number}" for number in range(max(20, transfers // 200))]

    async def pass_by(self) -> None:
        """All of it, up to the end of the next January."""
        await self._advance(midnight(1) + timedelta(hours=10))
        await self._begin()
        happenings: list[tuple[datetime, Happening]] = []
        for month in range(1, 13):
            happenings += self._month(month)
        for at, happen in sorted(happenings, key=lambda each: each[0]):
            await self._advance(at)
            await happen()
        await self._advance(midnight(13) + timedelta(days=25))
        await self.work()

    async def work(self) -> None:
        """Let the worker do all that there is to do."""
        with self.stopwatch.timing("worker: dues"):
            while await self._due_poster.run_once():
                pass
        with self.stopwatch.timing("worker: offers"):
            while await self._offer_lapser.run_once():
                pass
        with self.stopwatch.timing("worker: layers"):
            while await layer_tracker.run_once(*self._worker):
                pass
        with self.stopwatch.timing("worker: closes"):
            while await self._close_keeper.run_once():
                pass
        for month, told in self.told.items():
            if told.close and not told.settled:
                told.settled = await self.closed_month(month)

    async def closed_month(self, month: int) -> dict[str, bytes]:
        """All that is said of a closed month, by path."""
        report = f"/v1/reports/roll-forward?from={period(month)}-01&to={last_day(month)}&by=class&format="
        paths = [f"/v1/closes/{period(month)}", f"{report}json", f"{report}csv"]
        finance = self.api.client("finance")
        return {path: (await finance.get(path)).raise_for_status().content for path in paths}

    def _month(self, month: int) -> list[tuple[datetime, Happening]]:
        first, end = midnight(month), midnight(month + 1)
        begin = first + timedelta(hours=11)
        span = (end - timedelta(hours=4) - begin).total_seconds()
        times = [begin + timedelta(seconds=self._random.uniform(0, span)) for _ in range(MOMENTS)]
        found: list[tuple[datetime, Happening]] = [(at, self._some_of_everything) for at in times]
        found.append((end - timedelta(hours=3), self._hold_over_midnight))
        found.append((end, lambda: self._look(month)))
        found.append((end + CLOSED_AFTER[month - 1] + timedelta(seconds=month), lambda: self._close(month)))
        if month in VALUES:
            found.append((begin + timedelta(seconds=span / 3), lambda: self._revalue(*VALUES[month])))
        return found

    async def _begin(self) -> None:
        for name, terms in CAMPAIGNS.items():
            described = {
                "id": name,
                "name": name.title(),
                "starts_at": "2026-01-01T00:00:00Z",
                "ends_at": "2035-01-01T00:00:00Z",
            }
            await self._call("admin", "/v1/campaigns", described | terms)
        (await self.api.client("admin").patch("/v1/brand", json={"late_capture_grace_s": 10 * 86_400})).raise_for_status()
        for name in CAMPAIGNS:
            reason = {"name": name, "campaign": name}
            (await self.api.client("admin").put(f"/v1/adjustment-reasons/{name}", json=reason)).raise_for_status()
            await self._call("finance", f"/v1/campaigns/{name}/fund", {"points": 10**9}, key=f"fund {name}")
        await self._earn(2 * len(self._customers))
        openings = [
            Opening(number, 100 + number, date(YEAR, 6, 30) if number % 2 else None, AccountClass(number % 3))
            for number in (await self._numbers_of_customers())[:30]
        ]
        total = sum(each.points for each in openings)
        await import_balances(self._owner, self.api.brand.book, openings, hashes=[bytes(32)], rows=len(openings), points=total)

    # ---- What happens

    async def _some_of_everything(self) -> None:
        await self._earn(self._acts)
        await self._approve()
        lasting_s = self._random.choices((1_800, 86_400, 5 * 86_400, 20 * 86_400), k=self._redemptions_at_once)
        await self._authorize(lasting_s)
        open_ones = [each for each in self.redemptions if each.held or each.captured]
        steps = self._random.sample(open_ones, min(len(open_ones), self._redemptions_at_once))
        with self.stopwatch.timing("steps of redemptions"):
            await side_by_side([self._step(redemption) for redemption in steps])
        await self._claw_back()
        await self._return_goods()
        await self._adjust()
        await self._make_offers()
        for _ in range(max(1, self._acts // 500)):
            await self._group()
        if self._random.random() < 0.5:
            await self.work()

    async def _earn(self, acts: int) -> None:
        drawn = [self._act() for _ in range(acts)]
        with self.stopwatch.timing("batches of events"):
            batches = [self._batch(drawn[begin : begin + BATCH_ITEMS]) for begin in range(0, acts, BATCH_ITEMS)]
            held_back = await side_by_side(batches, BATCHES_AT_ONCE)
            self._held_back += itertools.chain.from_iterable(held_back)

    def _act(self) -> dict[str, Any]:
        campaign, action = self._random.choice(ACTS)
        act: dict[str, Any] = {
            "campaign": campaign,
            "message_id": f"message-{next(self._numbers)}",
            "customer": {"id": self._random.choice(self._customers)},
            "action": action,
            "channel": self._random.choice(CHANNELS),
            "evidence": self._random.choice("ABC"),
        }
        if action == "purchase":
            amount = {"amount_minor": self._random.randint(100, 2_999), "currency": "EUR"}
            act["purchase"] = amount | {"order_ref": f"order of {act['message_id']}"}
        if self._random.random() < 0.05:  # reported late
            act["occurred_at"] = (self._now - timedelta(days=self._random.uniform(1, 40))).isoformat()
        return act

    async def _batch(self, acts: list[dict[str, Any]]) -> list[str]:
        """Report acts, again if the service is overloaded; returns which are held back."""
        held_back: list[str] = []
        while acts:
            results = (await self._call("messaging", "/v1/grants/batch", acts))["results"]
            assert (statuses := {result["status"] for result in results}) <= {200, 201, 503}, statuses
            self._granted += [result["grant_id"] for result in results[:CLAWED_BACK_MAX] if result.get("outcome") == "granted"]
            self._bought += [
                Purchase(result["grant_id"], act["purchase"]["amount_minor"])
                for act, result in zip(acts, results, strict=True)
                if "purchase" in act and result.get("outcome") == "granted"
            ][:RETURNED_MAX]
            held_back += [result["grant_id"] for result in results if result.get("outcome") == "held_back"]
            acts = [act for act, result in zip(acts, results, strict=True) if result["status"] == OVERLOADED]
        return held_back

    async def _approve(self) -> None:
        """A third is approved, a third rejected, and the rest is left until it is too late."""
        held_back, self._held_back = self._held_back[:APPROVALS_MAX], []
        decisions = [(grant_id, self._random.choice(("mature", "reject", None))) for grant_id in held_back]
        paths = [f"/v1/grants/{grant_id}/{decision}" for grant_id, decision in decisions if decision]
        with self.stopwatch.timing("approvals"):
            await side_by_side([self._call("approver", path, None, also=(409,)) for path in paths])

    async def _claw_back(self) -> None:
        """A few grants turn out to be mistakes, as old as they may be; their points may be set aside, spent or gone."""
        for grant_id in self._random.sample(self._granted, min(len(self._granted), CLAWED_BACK_MAX)):
            wanted = {"reason": "mistake"} | self._random.choice(({}, {"points": 5}))
            path = f"/v1/grants/{grant_id}/clawback"
            await self._call("care", path, wanted, key=f"mistake {next(self._numbers)}", also=(409,))

    async def _return_goods(self) -> None:
        """Some of what was bought comes back, in parts or more than there is; what was spent of it some pay for in money."""
        for bought in self._random.sample(self._bought, min(len(self._bought), RETURNED_MAX)):
            part = self._random.choice((bought.amount_minor, 1 + bought.amount_minor // 3, 100))
            wanted = {
                "reference": f"return {next(self._numbers)}",
                "amount_minor": part,
                "currency": "EUR",
                "withhold": self._valued and self._random.random() < 0.4,
            }
            told = await self._call("storefront", f"/v1/grants/{bought.grant_id}/returns", wanted, also=(409,))
            self.returned.update({name: told.get(name, 0) for name in ("clawed_back", "shortfall", "withheld_minor")})

    async def _adjust(self) -> None:
        """Care says sorry to a few."""
        for campaign in CAMPAIGNS:
            wanted = {"customer": {"id": self._random.choice(self._customers)}, "points": 25, "reason": campaign}
            await self._call("care", "/v1/adjustments", wanted, key=f"sorry {next(self._numbers)}", also=(404,))

    async def _make_offers(self) -> None:
        """Two customers get an offer by email and by text message: one answers both, the other lets it lapse."""
        group, customers = f"offer-{next(self._numbers)}", self._random.sample(self._customers, 2)
        messages = [
            {
                "message_id": f"{group}-by-{channel}",
                "campaign": "partner",
                "channel": channel,
                "customer": {"id": customer},
                "provider": "twilio",
                "offer_group": group,
                "lapses_at": (self._now + timedelta(hours=12)).isoformat(),
            }
            for customer in customers
            for channel in ("email", "sms")
        ]
        await self._call("messaging", "/v1/messages", {"messages": messages})
        of_an_act = ("message_id", "campaign", "channel", "customer")
        acts = [{name: each[name] for name in of_an_act} | {"action": "click"} for each in messages]
        await self._batch([act for act in acts if act["customer"] == {"id": customers[0]}])

    async def _authorize(self, lasting_s: Sequence[int]) -> None:
        """Begin redemptions that last so long, each of another customer."""
        customers = self._random.sample(self._customers, min(len(lasting_s), len(self._customers)))
        wanted = [self._wanted(customer, lasts_s) for customer, lasts_s in zip(customers, lasting_s, strict=False)]
        with self.stopwatch.timing("authorizations"):
            self.redemptions += filter(None, await side_by_side([self._redeem(each) for each in wanted]))

    def _wanted(self, customer: str, lasts_s: int) -> dict[str, Any]:
        return {
            "customer": {"id": customer},
            "points": self._random.randint(3, 90),
            "order_ref": f"order {next(self._numbers)}",
            "expires_in_s": lasts_s,
            "capture": self._random.random() < 0.3,
            "store_id": self._random.choice(("Mitte", "Nord", None)),
        }

    async def _redeem(self, wanted: dict[str, Any]) -> Redemption | None:
        made = await self._call("storefront", "/v1/redemptions", wanted, key=wanted["order_ref"], also=(402,))
        if "redemption_id" not in made:
            return None
        return Redemption(made["redemption_id"], made["authorized"] - made["captured"], made["captured"])

    def _step(self, redemption: Redemption) -> Coroutine[Any, Any, None]:
        step, body = self._random.choice(
            [
                ("capture", {"points": 1 + redemption.held // 2, "final": False, "store_id": "Nord"}),
                ("capture", {}),
                ("void", {}),
            ]
            if redemption.held
            else [("refund", {"points": 1 + redemption.captured // 3, "ref": "credit note"}), ("refund", {})]
        )
        return self._take_step(redemption, step, body, f"step {next(self._numbers)}")

    async def _take_step(self, redemption: Redemption, step: str, body: dict[str, Any], key: str) -> None:
        done = await self._call("storefront", f"/v1/redemptions/{redemption.id}/{step}", body, key=key, also=(409, 422))
        if "captured" in done:
            redemption.captured = done["captured"] - done["refunded"]
            redemption.held = done["authorized"] - done["captured"] - done["released"]
        else:  # it has timed out
            redemption.held = 0

    async def _group(self) -> None:
        if self._merged and self._random.random() < 0.4:
            loser, survivor = self._merged.pop()
            await self._call("admin", f"/v1/customers/{survivor}/split", {"customer": {"id": loser}}, also=(404, 409))
        elif self._random.random() < 0.7:
            loser, survivor = self._random.sample(self._customers, 2)
            await self._call("admin", f"/v1/customers/{survivor}/merge", {"from": {"id": loser}}, also=(404, 409))
            self._merged.append((loser, survivor))

    async def _hold_over_midnight(self) -> None:
        """Some holds end before midnight, some after it; the points of many of them end with it."""
        for lasts_s in (3_600, 2 * 3_600, 4 * 3_600, 86_400):
            await self._authorize([lasts_s] * max(2, min(self._acts // 20, REDEMPTIONS_MAX)))

    async def _revalue(self, points: int, minor_units: int) -> None:
        value = {"point_value": {"points": points, "minor_units": minor_units}}
        (await self.api.client("admin").patch("/v1/brand", json=value)).raise_for_status()
        self._valued = True

    # ---- What a controller is told

    async def _look(self, month: int) -> None:
        """What all customers have at midnight."""
        told, wanted = self.told[month], [(self.api.brand.book, number) for number in await self._numbers_of_customers()]
        for begin in range(0, len(wanted), LEDGER_READS):
            with self.stopwatch.timing("balances of customers"):
                found = await self.api.services.ledger.balances(wanted[begin : begin + LEDGER_READS])
            told.balances |= {number: balance.spendable for (_, number), balance in found.items() if balance.spendable}
            told.held += sum(balance.held for balance in found.values())

    async def _close(self, month: int) -> None:
        told = self.told[month]
        with self.stopwatch.timing("POST /v1/closes"):
            told.close = await self._call("finance", "/v1/closes", {"period": period(month), "skip": SKIPPED})
        report = f"/v1/reports/roll-forward?from={period(month)}-01&to={last_day(month)}&by=class"
        with self.stopwatch.timing("roll-forward, just closed"):
            told.report = (await self.api.client("finance").get(report)).raise_for_status().json()

    async def _numbers_of_customers(self) -> list[int]:
        rows = await self._owner.fetch(
            "SELECT customer FROM rewards.customer WHERE brand_id = $1 ORDER BY customer", self.api.brand.brand_id
        )
        return [row["customer"] for row in rows]

    # ---- The wire

    async def _advance(self, to: datetime) -> None:
        said = await self._call("admin", "/v1/test/clock/advance", {"to": to.astimezone(UTC).isoformat()})
        self._now = datetime.fromisoformat(said["now"])

    async def _call(
        self, client: str, path: str, body: Any, *, key: str | None = None, also: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        status, answer = OVERLOADED, dict[str, Any]()
        while status == OVERLOADED:
            status, answer = await self._wire.post(client, path, body, key=key)
        assert status < 300 or status in also, f"{path}: {answer}"
        return answer


async def side_by_side(calls: Iterable[Coroutine[Any, Any, T]], at_once: int = CALLS_AT_ONCE) -> list[T]:
    """What calls on several connections return, in their order."""
    waiting, answers = iter(list(enumerate(calls))), dict[int, T]()

    async def connection() -> None:
        for place, call in waiting:
            answers[place] = await call

    async with asyncio.TaskGroup() as connections:
        for _ in range(at_once):
            connections.create_task(connection())
    return [answers[place] for place in sorted(answers)]
