"""`rewards simulate provider`: what it sends to a real server is taken as the provider's own, and decided."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.brands.actions import create_brand
from service.cli.clients.installation import CommandRefused
from service.cli.clients.simulate import provider as command
from service.cli.clients.simulate.provider import NOT_OURS_TO_SIGN, Simulated, Wanted
from service.ingest.envelope_reader import EnvelopeReader
from service.providers.registry import ADAPTERS
from service.providers.samples.simulate import SAMPLES
from service.providers.types import Trust
from service.services import open_for_agents
from tests.cli import running
from tests.demo_fixtures import Demo, serving_demo

if TYPE_CHECKING:
    import asyncpg

    from tests.conftest import Database

Result = TypeVar("Result")
CAMPAIGN = "all-week"
EVENTS = {
    name: next(each for each in ("clicked", "replied", "read") if each in events)
    for name, events in SAMPLES.items()
    if name not in NOT_OURS_TO_SIGN
}
EARN_NOTHING = {"rcs": [("ignored", "no_message")], "x": [("ignored", "unknown_account")]}
"""A reply by RCS does not say what it answers, and nothing was sent; X has an id of its own for people."""
SIGN_THE_TIME = {"resend", "standard_webhooks", "svix", "cloudevents"}
"""What they signed an hour ago is stale."""


class Installation:
    """A demo, and the agent that decides what comes to it."""

    def __init__(self, demo: Demo, reader: EnvelopeReader) -> None:
        self.demo = demo
        self._reader = reader

    async def reading(self, sending: Coroutine[Any, Any, Result]) -> Result:
        """Decide what comes while something is sent."""
        task = asyncio.create_task(sending)
        while not task.done():
            if not await self._reader.run_once():
                await asyncio.wait({task}, timeout=0.02)
        return await task

    def sent(self, provider: str, event: str, **how: Any) -> Coroutine[Any, Any, Simulated]:
        """One event, as the command sends it."""
        wanted = Wanted(provider=provider, event=event, campaign=CAMPAIGN, **how)
        return command.send(self.demo.base_url, self.demo.keys["messaging"], wanted)

    async def send(self, provider: str, event: str, **how: Any) -> Simulated:
        """Send it, and decide it."""
        return await self.reading(self.sent(provider, event, **how))

    async def send_of_each(self, **how: Any) -> dict[str, Simulated]:
        """The same of every provider, at once."""

        async def send_all() -> list[Simulated]:
            return await asyncio.gather(*(self.sent(name, event, **how) for name, event in EVENTS.items()))

        return dict(zip(EVENTS, await self.reading(send_all()), strict=True))

    async def run(self, *arguments: str, key: str = "messaging") -> Any:
        """Run the command itself."""
        environment = running.environ(Path(self.demo.settings.data_dir))
        given = ("simulate", "provider", *arguments, "--key", self.demo.keys[key])
        return await self.reading(asyncio.to_thread(running.run, environment, *given))

    async def sources(self) -> list[dict[str, Any]]:
        """The brand's sources."""
        async with httpx.AsyncClient(base_url=self.demo.base_url, headers=self.demo.bearer("messaging")) as client:
            return (await client.get("/v1/sources")).raise_for_status().json()["items"]


@pytest.fixture
async def installation(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Installation]:
    # All providers at once take longer on a busy machine than somebody would wait for one.
    monkeypatch.setattr(command, "DECIDED_WITHIN_S", 60.0)
    async with contextlib.AsyncExitStack() as stack:
        demo = await stack.enter_async_context(serving_demo(database, tmp_path))
        services = await stack.enter_async_context(open_for_agents(demo.settings, demo.secrets))
        async with httpx.AsyncClient(base_url=demo.base_url, headers=demo.bearer("admin")) as admin:
            rules = [{"action": action, "points": 5} for action in ("click", "reply", "read")]
            times = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2036-01-01T00:00:00Z"}
            made = {"id": CAMPAIGN, "name": "All week", "budget": 1_000_000, "rules": rules, **times}
            (await admin.post("/v1/campaigns", json=made)).raise_for_status()
        yield Installation(demo, EnvelopeReader(services))


def outcomes(report: Simulated) -> list[tuple[str, str | None]]:
    return [(each.outcome, each.reason) for each in report.outcomes]


async def test_each_provider_is_taken_at_its_word_every_time(installation: Installation) -> None:
    assert len(EVENTS) == len(ADAPTERS) - 1
    for _ in range(2):
        sent = await installation.send_of_each()
        assert {name: list(each.answers) for name, each in sent.items()} == {
            name: [ADAPTERS[name].answers.taken] for name in EVENTS
        }
        verdicts = {name: [(d.verdict, d.state) for d in each.deliveries] for name, each in sent.items()}
        assert verdicts == {name: [("verified", "decided")] for name in EVENTS}
        became = {name: outcomes(each) for name, each in sent.items()}
        assert {name: each for name, each in became.items() if each != [("granted", None)]} == EARN_NOTHING
    assert sorted(each["provider"] for each in await installation.sources()) == sorted(EVENTS)


async def test_what_is_sent_again_earns_once(installation: Installation) -> None:
    sent = await installation.send_of_each(doubled=True)
    for name, report in sent.items():
        assert len(report.answers) == 3, name
        if name not in EARN_NOTHING:
            assert Counter(outcomes(report)) == {("granted", None): 1, ("duplicate", None): 2}, name


async def test_what_was_changed_on_the_way_gets_the_providers_own_refusal(installation: Installation) -> None:
    sent = await installation.send_of_each(tampered=True)
    # Of Mailgun's body some is signed: it depends on where the change is.
    del sent["mailgun"]
    for name, report in sent.items():
        answers, is_signed = ADAPTERS[name].answers, ADAPTERS[name].trust is Trust.SIGNED_BODY
        assert list(report.answers) == [answers.forged if is_signed else answers.taken], name
        assert report.outcomes == [] or not is_signed, name
        (delivery,) = report.deliveries
        assert delivery.verdict in ({"forged", "unsigned"} if is_signed else {"verified"}), name


async def test_what_comes_late_counts_unless_the_time_is_signed(installation: Installation) -> None:
    sent = await installation.send_of_each(late=True)
    verdicts = {name: [delivery.verdict for delivery in each.deliveries] for name, each in sent.items()}
    assert verdicts == {name: ["stale" if name in SIGN_THE_TIME else "verified"] for name in EVENTS}
    for name in EVENTS.keys() - SIGN_THE_TIME - EARN_NOTHING.keys():
        assert outcomes(sent[name]) == [("granted", None)], name


@pytest.mark.parametrize(("provider", "requests"), [("sendgrid", 1), ("postmark", 3)])
async def test_events_of_several_people_are_sent_as_the_provider_does(
    installation: Installation, provider: str, requests: int
) -> None:
    report = await installation.send(provider, "clicked", count=3, to="ada@example.org")
    assert (len(report.answers), outcomes(report)) == (requests, [("granted", None)] * 3)
    assert len({each.recipients for each in report.sent}) == 3


async def test_a_reward_link_says_whose_click_it_is(installation: Installation) -> None:
    report = await installation.send("mailgun", "clicked", token=installation.demo.reward_link)
    assert [(each.outcome, each.points) for each in report.outcomes] == [("granted", 25)]
    again = await installation.send("sendgrid", "clicked", token=installation.demo.reward_link)
    assert [(each.outcome, each.grant_id) for each in again.outcomes] == [("duplicate", report.outcomes[0].grant_id)]


async def test_a_source_of_the_brands_own_takes_what_its_secrets_sign(installation: Installation, tmp_path: Path) -> None:
    secrets = {"signing_key": ["a-key-that-nobody-knows"]}
    demo = installation.demo
    async with httpx.AsyncClient(base_url=demo.base_url, headers=demo.bearer("messaging")) as client:
        made = {"provider": "mailgun", "name": "news", "secrets": secrets, "campaign": CAMPAIGN}
        source = (await client.post("/v1/sources", json=made)).raise_for_status().json()
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    clicked = ("mailgun", "clicked", "--message", "m-1", "--to", "ada@example.org")
    given = ("--secrets", str(tmp_path / "secrets.json"))
    ran = await installation.run(*clicked, "--source", source["id"], *given)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"To {source['id']}, {source['ingest_url']}" in ran.stdout
    assert "1  sent clicked by email, email ada@example.org, message m-1@shop.example" in ran.stdout
    assert "1  event clicked granted, grant " in ran.stdout
    assert "5  points" in ran.stdout
    answered = await installation.run("rcs", "replied")
    assert "1  event replied ignored (no_message)" in answered.stdout
    assert "no_message: a reply that names no message answers the last one sent" in answered.stdout
    other = await installation.run(*clicked, "--source", source["ingest_url"])
    assert other.returncode == 0
    assert "1  answered 401" in other.stdout
    assert "1  delivery forged: no secret of the source made this signature" in other.stdout
    assert [each["id"] for each in await installation.sources() if each["provider"] == "mailgun"] == [source["id"]]


OTHERS = json.dumps(
    {
        "verification_key": [
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
        ]
    }
)
REFUSED = {
    ("pigeon", "clicked"): "There are sendgrid, mailgun,",
    ("sendgrid", "cliqued"): "It has sent, delivered, opened,",
    ("ses", "clicked"): "Amazon signs",
    ("sendgrid", "clicked", "--to", "+4930901820"): "names people in this event by email",
    ("sendgrid", "clicked", "--source", "src_99"): "has no source src_99",
    ("sendgrid", "clicked", "--count", "0"): "--count",
    ("sendgrid", "clicked", "--secrets", "none.json"): "none.json",
}


async def test_what_cannot_be_sent_says_why_and_sends_nothing(installation: Installation, tmp_path: Path) -> None:
    for arguments, says in REFUSED.items():
        ran = await installation.run(*arguments)
        assert (ran.returncode > 0, ran.stdout) == (True, ""), arguments
        assert says in " ".join(ran.stderr.split()), ran.stderr
    may_not = await installation.run("sendgrid", "clicked", key="finance")
    assert "has not the scope sources:write" in may_not.stderr
    for written, says in {
        "[]": "must be like",
        "{}": "needs",
        '{"key": ["x"]}': "no secret of this name",
        OTHERS: "only it has",
    }.items():
        (tmp_path / "secrets.json").write_text(written)
        ran = await installation.run("sendgrid", "clicked", "--secrets", str(tmp_path / "secrets.json"))
        assert (ran.returncode, ran.stdout) == (1, ""), written
        assert says in ran.stderr
        assert "Traceback" not in ran.stderr
    for each in await installation.sources():
        assert each["state"] == "new"


async def test_nobody_else_is_given_a_source_with_secrets_that_all_can_read(
    installation: Installation, owner: asyncpg.Connection[Any]
) -> None:
    named: dict[str, Any] = {"code": "live", "name": "Live", "points_code": "PTS", "points_name": "Points"}
    await create_brand(owner, **named, mode="live", currency="EUR", time_zone="Europe/Berlin")
    scopes = [Scope.SOURCES_WRITE, Scope.SOURCES_READ]
    key, _ = await create_key(owner, "live", "sources", scopes, "A")
    with pytest.raises(CommandRefused, match="live brand"):
        await command.send(installation.demo.base_url, key, Wanted(provider="sendgrid", event="clicked"))
    assert await installation.sources() == []


async def test_the_options_of_traffic_are_not_taken_for_those_of_a_provider(tmp_path: Path) -> None:
    ran = await asyncio.to_thread(
        running.run, running.environ(tmp_path), "simulate", "--events", "5", "provider", "ses", "clicked"
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Options of `simulate provider` stand behind it" in ran.stderr


async def test_the_help_lists_all_providers(tmp_path: Path) -> None:
    ran = await asyncio.to_thread(running.run, running.environ(tmp_path), "simulate", "provider", "--help")
    assert f"NAME is one of: {', '.join(ADAPTERS)}." in " ".join(ran.stdout.split())
