"""A brand's book whose days are told by the test, and its reports over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest

from ledger import (
    AccountClass,
    Book,
    CloseOutcome,
    CloseState,
    GrantOutcome,
    Ledger,
    RedemptionOutcome,
    Sweeper,
    Verb,
    track_layers,
)
from ledger.testing import authorize, capture, fund, order, refund, set_clock, void
from tests.api_fixtures import Api
from tests.finance.conftest import make_campaign

NOON = 12


def at(day: str, hour: int = NOON) -> datetime:
    """A time (UTC) on a day."""
    return datetime.fromisoformat(f"{day}T{hour:02}:00:00").replace(tzinfo=UTC)


class Books:
    """Posts to the book of the API's brand, day by day, and reads its reports."""

    def __init__(self, api: Api, owner: asyncpg.Connection[Any], campaign_no: int) -> None:
        self.api = api
        self.owner = owner
        self.campaign_no = campaign_no
        self.messages = 0

    @property
    def ledger(self) -> Ledger:
        return self.api.services.ledger

    @property
    def book(self) -> Book:
        return self.api.brand.book

    async def on(self, day: str, hour: int = NOON) -> None:
        """Let it be this day."""
        await set_clock(self.owner, self.book, at(day, hour))

    async def fund(self, points: int, campaign_no: int | None = None) -> None:
        await self.ledger.fund(fund(self.book, points, campaign_no=campaign_no or self.campaign_no))

    async def grant(
        self,
        customer: int,
        points: int,
        expires_on: str | None = None,
        account_class: AccountClass = AccountClass.ENGAGEMENT,
        **changed: Any,
    ) -> None:
        self.messages += 1
        terms: dict[str, Any] = {"campaign_no": self.campaign_no, **changed}
        result = await self.ledger.grant(
            order(
                self.book,
                customer=customer,
                message_id=f"message {self.messages}",
                points=points,
                expires_on=None if expires_on is None else date.fromisoformat(expires_on),
                account_class=account_class,
                **terms,
            )
        )
        assert result.outcome in {GrantOutcome.GRANTED, GrantOutcome.HELD_BACK, GrantOutcome.WAITING}

    async def redeem(self, customer: int, points: int, *, captured: bool = True, **said: Any) -> int:
        return await self.done(authorize(self.book, customer, points, capture=captured, **said))

    async def capture(self, redemption: int, points: int = 0, **said: Any) -> None:
        await self.done(capture(self.book, redemption, points, **said))

    async def void(self, redemption: int) -> None:
        await self.done(void(self.book, redemption))

    async def refund(self, redemption: int, points: int = 0, **said: Any) -> None:
        await self.done(refund(self.book, redemption, points, **said))

    async def done(self, step: Any) -> int:
        """Post a step; return the redemption's number."""
        result = await self.ledger.redeem(step)
        assert result.outcome is RedemptionOutcome.DONE
        assert result.redemption is not None
        return result.redemption.redemption

    async def post_dues(self, pool: asyncpg.Pool[Any]) -> None:
        """Post all that is due."""
        sweeper = Sweeper(pool, self.book)
        while await sweeper.run_once(limit=100):
            pass

    async def attribute(self, pool: asyncpg.Pool[Any]) -> None:
        """Follow all points from their grants."""
        while await track_layers(pool, self.book):
            pass

    async def close(self, begins_on: str, ends_on: str) -> None:
        """Close a period, and settle the close."""
        begins, ends = date.fromisoformat(begins_on), date.fromisoformat(ends_on)
        outcome, _ = await self.ledger.begin_close(self.book, begins_on=begins, ends_on=ends)
        assert outcome is CloseOutcome.CLOSED
        close = await self.ledger.close(self.book, ends)
        assert close is not None
        for _ in range(5):
            close = await self.ledger.advance_close(self.book, close)
        assert close.state is CloseState.SETTLED

    async def worth(self, day: str, points: int, minor_units: int) -> None:
        """Say what points are worth from a day on."""
        await self.owner.execute(
            """
            INSERT INTO rewards.brand_point_value (brand_id, version, points, minor_units, valid_from, created_by)
            SELECT $1, count(*) + 1, $2, $3, $4, 1 FROM rewards.brand_point_value WHERE brand_id = $1
            """,
            self.api.brand.brand_id,
            points,
            minor_units,
            at(day, 0),
        )

    async def report(self, name: str, **query: str) -> dict[str, Any]:
        """The report. ``since`` and ``until`` are its days."""
        answer = await self.api.client("finance").get(f"/v1/reports/{name}", params=parameters(query))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def csv(self, name: str, **query: str) -> list[dict[str, str]]:
        """The same as CSV."""
        sent = parameters(query) | {"format": "csv"}
        answer = await self.api.client("finance").get(f"/v1/reports/{name}", params=sent)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(answer.text)))

    async def linked(self, path: str) -> list[dict[str, Any]]:
        """All transfers that a link leads to."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            query = {} if after is None else {"after": after}
            link = self.api.client("finance").build_request("GET", path).url.copy_merge_params(query)
            answer = await self.api.client("finance").get(str(link))
            assert answer.status_code == 200, answer.text
            found += answer.json()["items"]
            after = answer.json()["next"]
            if after is None:
                return found


def parameters(query: Mapping[str, str]) -> dict[str, str]:
    """Query parameters; two of them have names that Python keeps to itself."""
    return {{"since": "from", "until": "to"}.get(name, name): value for name, value in query.items()}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is nothing."""
    return {name: value for name, value in row.items() if value not in (0, None, "0", "")}


def verbs(transfers: list[dict[str, Any]]) -> set[str]:
    """The types of transfers, each of which there is."""
    assert all(transfer["verb"] in {verb.name.lower() for verb in Verb} for transfer in transfers)
    return {transfer["verb"] for transfer in transfers}


@pytest.fixture
async def books(api: Api, owner: asyncpg.Connection[Any]) -> Books:
    """An empty book, on 15 January 2030."""
    made = Books(api, owner, await make_campaign(owner, api.brand))
    await made.on("2030-01-15")
    return made
