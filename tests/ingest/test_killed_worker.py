"""A worker that is killed after it has posted and before it has said so: the next one says what was posted, once."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import msgspec

from service.ingest.envelope_reader import EnvelopeReader
from service.settings import write_private
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import SendGrid, click, send
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.conftest import Links
from tests.real_worker import real_worker, until_waiting


async def test_what_a_killed_worker_has_posted_is_said_once_by_the_next(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    api, sender = links.api, SendGrid()
    write_private(api.settings.secrets_path, msgspec.json.encode(api.secrets))
    url = (await make_source(issuer, sender, campaign="autumn", daily_points_max=60))["ingest_url"]
    at = int(datetime.now(UTC).timestamp())
    clicks = [click(f"c{n}@example.org", "m-1", at=at) for n in (0, 0, 1, 2)]
    await send(api, url, sender.signed(clicks[:3]))
    async with owner.transaction():
        # The last thing it does for a batch is to store what became of it.
        await owner.execute("LOCK TABLE rewards.envelope_outcome IN SHARE MODE")
        with real_worker(api.settings) as worker:
            await until_waiting(owner, "envelope_outcome", worker)
            worker.kill()
            worker.wait()
    posted = await owner.fetch("SELECT source, points FROM ledger.event")
    assert [tuple(row) for row in posted] == [("src_1", 25)] * 2
    assert await outcomes(owner) == []

    # What was sent again meanwhile is not the batch's own.
    await send(api, url, sender.signed(clicks))
    await read_all(reader)
    assert [(each.outcome, each.points) for each in await outcomes(owner)] == [
        ("granted", 25),
        ("duplicate", 0),
        ("granted", 25),
        ("duplicate", 0),
        ("duplicate", 0),
        ("duplicate", 0),
        ("ignored", 0),
    ]
    assert (await issuer.get("/v1/sources/src_1")).json()["points_today"] == 50
    await assert_books_are_sound(owner)
