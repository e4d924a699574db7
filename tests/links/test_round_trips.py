"""What a visit asks of the database: one look-up, and one more for what it is about; many at once share them."""

from __future__ import annotations

import asyncio

import pytest

from tests.links.conftest import Links
from tests.statements_sent import statements_sent

pytestmark = pytest.mark.one_process("it counts what one process asks of the database")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements on links, customers and the book that this process sends."""
    # Keys, brands, campaigns and the book's clock are read again now and then, whichever request is served meanwhile.
    return statements_sent(
        monkeypatch,
        lambda query: (
            "rewards.link" in query
            or "rewards.customer" in query
            or ("ledger." in query and not query.startswith("SELECT clock_offset"))
        ),
    )


async def test_a_claim_is_one_look_up_and_one_grant(links: Links, asked: list[str]) -> None:
    paths = [await links.path(message_id=f"newsletter-{number}") for number in range(42)]
    client = links.api.client(None)
    assert (await client.post(paths[0])).status_code == 303
    for visit, statements in (
        (client.post, ["rewards.link", "ledger.post_grants"]),
        (client.get, ["rewards.link", "ledger.event"]),
    ):
        asked.clear()
        assert (await visit(paths[1])).status_code in {200, 303}
        assert len(asked) == 2, asked
        assert all(named in query for named, query in zip(statements, asked, strict=True)), asked
        asked.clear()
        answers = await asyncio.gather(*(visit(path) for path in paths[2:]))
        assert {answer.status_code for answer in answers} <= {200, 303}
        assert len(asked) < 20, asked
