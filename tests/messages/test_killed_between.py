"""A batch that ended before its outcomes were stored is read again: a reply is still an answer to the message it answered."""

from __future__ import annotations

import httpx
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from tests.ingest.conftest import Owner, make_source
from tests.ingest.senders import StandardWebhooks, send
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.conftest import Links
from tests.messages.conftest import message, register


@pytest.mark.own_database("makes a trigger")
async def test_a_batch_that_is_read_again_matches_as_it_did(
    links: Links, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader
) -> None:
    api, sender = links.api, StandardWebhooks()
    (await api.client("admin").put("/v1/customers/C-1", json={"phone": "+4915112345678"})).raise_for_status()
    await register(api, message("m-1"))
    url = (await make_source(issuer, sender))["ingest_url"]
    said = {"phone": "+4915112345678", "channel": "sms", "text": "Yes, please!"}
    await send(api, url, sender.signed({"type": "message.replied", "data": said}))
    # Points are posted, and then the end of the batch is lost.
    await owner.execute("CREATE FUNCTION rewards.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    await owner.execute(
        "CREATE TRIGGER fails BEFORE UPDATE OF read_no ON rewards.source_reader FOR EACH ROW EXECUTE FUNCTION rewards.fails()"
    )
    await reader.run_once()
    assert await owner.fetchval("SELECT count(*) FROM rewards.envelope_outcome") == 0
    assert await links.balance("C-1") == 50
    await owner.execute("DROP TRIGGER fails ON rewards.source_reader")
    await register(api, message("m-2"))
    await read_all(reader)
    assert [(each.outcome, each.points, each.matched_by) for each in await outcomes(owner)] == [("granted", 50, "last_message")]
    assert await links.balance("C-1") == 50
    await assert_books_are_sound(owner)
