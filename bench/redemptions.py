"""Redemptions: as many as there can be, and while a campaign is being reported."""

from __future__ import annotations

import asyncio

from bench.engine import settle
from bench.http import CLIENTS, cost, notes, singles
from bench.load import Load, drive, together
from bench.results import Measured, Turn, rates
from bench.stage import Bench
from bench.traffic import Batches, Tills

CUSTOMERS = 10_000
TILLS = 4
REST_S = 0.02
LONGEST_MS = 100.0


async def redeem(bench: Bench) -> dict[str, Measured]:
    """Pairs of authorization and capture over 10,000 customers on 64 connections, against single grants on as many."""
    station = await bench.station("shop", bench.sizes.shop)
    tills = Tills(station, CUSTOMERS)
    turns: list[Turn] = []
    loads: list[Load] = []
    async with bench.api(station) as api:
        grants = singles(api, station, 64, 4)
        for number in range(bench.sizes.turns + 1):
            reference = await grants(bench.sizes.turn_s)
            settle()
            before = tills.pairs
            load = await drive(api.port, [tills.conversation() for _ in range(64)], seconds=bench.sizes.turn_s)
            load.expect(201)
            if number:
                turns.append(Turn(tills.pairs - before, load.seconds, reference.answers, reference.seconds))
                loads.append(load)
    whole = together(loads)
    pairs = sum(turn.ours for turn in turns)
    return {"redeem": rates(turns, "pairs/s, of grants/s", *notes(whole), cost=cost(whole, pairs))}


async def redeem_under_load(bench: Bench) -> dict[str, Measured]:
    """The slowest in a hundred authorizations while four clients report batches to the same book, against the usual one."""
    station = await bench.station("shop", bench.sizes.shop)
    tills = Tills(station, CUSTOMERS)
    seconds = bench.sizes.turn_s * 3
    async with bench.api(station) as api:
        await drive(api.port, [tills.authorizing()], seconds=bench.sizes.warm_up_s)
        idle = (await drive(api.port, [tills.authorizing()], seconds=bench.sizes.turn_s)).expect(201)
        batches = Batches(station, 1_000)
        saturating = [batches.conversation() for _ in range(CLIENTS)]
        async with asyncio.TaskGroup() as both:
            campaign = both.create_task(drive(api.port, saturating, seconds=seconds + 1.0))
            await asyncio.sleep(0.5)
            till = both.create_task(drive(api.port, [tills.authorizing(REST_S) for _ in range(TILLS)], seconds=seconds))
    campaign.result().expect(200)
    under_load = till.result().expect(201)
    note = f"{under_load.answers} authorizations, while {batches.granted / campaign.result().seconds:,.0f} grants/s were posted"
    return {
        "redeem_under_load": Measured(
            under_load.percentile_ms(99), idle.percentile_ms(50), "ms, p99 of p50 idle", notes=(note,)
        ),
        "redeem_under_load_longest": Measured(under_load.percentile_ms(100), LONGEST_MS, "ms, of the limit"),
    }
