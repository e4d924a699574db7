"""`rewards sources connect`: one webhook at the provider, whatever happens meanwhile, and a source that takes what it sends."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import uvicorn

from service.app import create_app
from service.auth.actions import create_key
from service.auth.scopes import Scope
from service.providers.connecting.registry import BY_HAND, SETUPS
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import SAMPLES, simulate
from tests.cli import provider_apis, running
from tests.cli.provider_apis import CREDENTIALS, KEY, SIGNING_KEY, ProviderApis

if TYPE_CHECKING:
    import asyncpg

    from tests.api_fixtures import Api

BASE_URL = "https://rewards.example"


class Installation:
    """Our API on a port, a key that may set up sources, and the accounts at the providers."""

    def __init__(self, key: str, url: str, apis: ProviderApis, data: Path, client: httpx.AsyncClient) -> None:
        self.key, self.url, self.apis, self._data, self.client = key, url, apis, data, client

    def environment(self, provider: str) -> dict[str, str]:
        environment = running.environ(self._data)
        return {**environment, "REWARDS_API_KEY": self.key, **CREDENTIALS.get(provider, {})}

    def arguments(self, provider: str, *more: str) -> list[str]:
        return ["sources", "connect", provider, "--base-url", self.url, "--api-url", self.apis.url, *more]

    async def connect(self, provider: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command; what it says never holds a credential."""
        given = self.environment(provider) | environment
        ran = await asyncio.to_thread(running.run, given, *self.arguments(provider, *more))
        for secret in (KEY, SIGNING_KEY):
            assert secret not in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
        return ran

    async def sources(self) -> list[dict[str, Any]]:
        return (await self.client.get("/v1/sources")).raise_for_status().json()["items"]

    def held(self, provider: str) -> dict[str, list[str]]:
        """The secrets with which the provider signs, or which it presents, as the account has them."""
        made = self.apis.of(provider)
        match provider:
            case "sendgrid":
                return {"verification_key": [made[0]["public_key"]]}
            case "postmark":
                auth = made[0]["made"]["HttpAuth"]
                return {"basic_auth": [f"{auth['Username']}:{auth['Password']}"]}
            case "sparkpost":
                return {"basic_auth": ["{username}:{password}".format(**made[0]["auth"])]}
            case "brevo":
                return {"bearer_token": [made[0]["token"]]}
            case "resend" | "mandrill" | "klaviyo":
                return {ADAPTERS[provider].secrets[0].name: [made[0]["secret"]]}
            case "twilio":
                return {"auth_token": [KEY]}
            case "meta":
                return {"app_secret": [KEY], "verify_token": [self.apis.application["verify_token"]]}
            case _:
                return {ADAPTERS[provider].secrets[0].name: [SIGNING_KEY]}

    def addresses(self, provider: str) -> list[str]:
        """The addresses that are set up."""
        match provider:
            case "meta":
                return [self.apis.application["whatsapp_business_account"]]
            case "vonage":
                webhooks = self.apis.application["capabilities"]["messages"]["webhooks"]
                return sorted({each["address"] for each in webhooks.values()})
            case "mailgun":
                assert len({each["event"] for each in self.apis.of("mailgun")}) == len(self.apis.of("mailgun")) == 8
                return sorted({each["url"] for each in self.apis.of("mailgun")})
            case _:
                return [each["url"] for each in self.apis.of(provider)]

    async def is_taken(self, provider: str) -> bool:
        """Whether the source takes what the provider sends, signed with what the account has."""
        url, held, now = self.addresses(provider)[0], self.held(provider), datetime.now(UTC)
        event = next(each for each in ("clicked", "replied", "read") if each in SAMPLES[provider])
        request = simulate(provider, event, Occasion(url=url, at=now, token=""), now, held)
        path = request.url.removeprefix(BASE_URL)
        async with httpx.AsyncClient(base_url=self.url) as its:
            answer = await its.post(path, content=request.body, headers=dict(request.headers))
        return answer.status_code == ADAPTERS[provider].answers.taken


@pytest.fixture
def apis() -> Iterator[ProviderApis]:
    with provider_apis.serving() as served:
        yield served


@pytest.fixture
async def installation(
    api: Api, owner: asyncpg.Connection[Any], apis: ProviderApis, tmp_path: Path
) -> AsyncGenerator[Installation]:
    key, _ = await create_key(owner, "lumen", "sources", [Scope.SOURCES_WRITE, Scope.SOURCES_READ], "A")
    settings = msgspec.structs.replace(api.settings, base_url=BASE_URL, data_dir=str(tmp_path / "served"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, api.secrets), log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            yield Installation(key, url, apis, tmp_path, client)
    finally:
        server.should_exit = True
        await serving


@pytest.mark.one_process("serves our API on a port")
@pytest.mark.parametrize("provider", SETUPS)
async def test_a_provider_is_connected_once_and_its_events_are_taken(installation: Installation, provider: str) -> None:
    ran = await installation.connect(provider)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "source src_1 made" in ran.stdout
    (source,) = await installation.sources()
    url = f"{BASE_URL}/v1/ingest/"
    assert source["ingest_url"].startswith(url)
    assert installation.addresses(provider) == [source["ingest_url"]]
    assert await installation.is_taken(provider)
    held, addresses = installation.held(provider), installation.addresses(provider)
    again = await installation.connect(provider)
    assert (again.returncode, again.stderr) == (0, "")
    assert "source src_1 was there" in again.stdout
    assert (installation.held(provider), installation.addresses(provider)) == (held, addresses)
    assert len(await installation.sources()) == 1
    assert await installation.is_taken(provider)


@pytest.mark.one_process("serves our API on a port")
@pytest.mark.parametrize("provider", ["sendgrid", "mailgun", "twilio", "vonage"])
async def test_what_ended_after_any_call_is_put_right_by_running_it_again(installation: Installation, provider: str) -> None:
    apis, at = installation.apis, 1
    while True:
        apis.interrupts = at
        apis.calls.clear()
        apis.webhooks.clear()
        apis.application.clear()
        cut_short = await installation.connect(provider, "--name", f"number {at}")
        apis.interrupts = None
        if cut_short.returncode == 0:
            break
        assert "cannot be asked" in cut_short.stderr, cut_short.stderr
        ran = await installation.connect(provider, "--name", f"number {at}")
        assert (ran.returncode, ran.stderr) == (0, ""), f"after call {at}"
        assert len(installation.addresses(provider)) == 1, f"after call {at}"
        assert await installation.is_taken(provider), f"after call {at}"
        at += 1
    assert at > 2


@pytest.mark.one_process("serves our API on a port")
async def test_a_command_that_is_killed_is_simply_run_again(installation: Installation) -> None:
    apis = installation.apis
    await installation.connect("mandrill", "--name", "another of this brand")
    for calls in (1, 2, 3):
        apis.holds = threading.Event()
        apis.calls.clear()
        arguments = running.command(*installation.arguments("mandrill"))
        process = await asyncio.create_subprocess_exec(*arguments, env=installation.environment("mandrill"))
        for n in range(calls):
            assert await asyncio.to_thread(apis.held.wait, 30)
            apis.held.clear()
            if n < calls - 1:
                release, apis.holds = apis.holds, threading.Event()
                release.set()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        release, apis.holds = apis.holds, None
        release.set()
        ran = await installation.connect("mandrill")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert len(apis.of("mandrill")) == 2
        assert len(await installation.sources()) == 2


@pytest.mark.one_process("serves our API on a port")
async def test_webhooks_of_others_are_left_alone(installation: Installation) -> None:
    others = installation.apis.make(kind="sendgrid", url="https://elsewhere.example/hook", public_key="theirs")
    before = dict(others)
    await installation.connect("sendgrid")
    assert others == before
    assert len(installation.apis.of("sendgrid")) == 2


@pytest.mark.one_process("serves our API on a port")
async def test_twilio_reports_incoming_messages_by_one_of_two_ways(installation: Installation) -> None:
    apis = installation.apis
    ran = await installation.connect("twilio", "--with", "messaging_service=MG1")
    assert (ran.returncode, ran.stderr) == (0, "")
    types = [kind for each in apis.of("twilio subscription") for kind in each["types"]]
    assert "com.twilio.messaging.inbound-message.received" not in types
    assert "com.twilio.messaging.message.read" in types
    assert apis.application == dict.fromkeys(("inbound_request_url", "status_callback"), installation.addresses("twilio")[0])
    assert "Messaging Service set" in ran.stdout


THEIRS = "https://elsewhere.example/hook"
PLACES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "twilio": ({"inbound_request_url": THEIRS, "status_callback": None}, ("--with", "messaging_service=MG1")),
    "meta": ({"whatsapp_business_account": THEIRS, "page": THEIRS}, ()),
    "vonage": (
        {
            "name": "Shop",
            "capabilities": {
                "voice": {"webhooks": {"answer_url": {"address": THEIRS}}},
                "messages": {"version": "v1", "webhooks": {"status_url": {"address": THEIRS}}},
            },
            "keys": {"public_key": "PEM"},
        },
        (),
    ),
}


@pytest.mark.one_process("serves our API on a port")
@pytest.mark.parametrize("provider", PLACES)
async def test_an_address_of_somebody_else_is_overwritten_only_when_asked(installation: Installation, provider: str) -> None:
    apis, (there, given) = installation.apis, PLACES[provider]
    apis.application = msgspec.json.decode(msgspec.json.encode(there))
    ran = await installation.connect(provider, *given)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"has another address, {THEIRS}: give --replace" in ran.stderr
    assert apis.application == there
    ran = await installation.connect(provider, *given, "--replace")
    assert (ran.returncode, ran.stderr) == (0, "")
    (source,) = await installation.sources()
    written = msgspec.json.encode(apis.application).decode()
    assert source["ingest_url"] in written
    if provider == "vonage":
        # What else the application is stays as it was.
        assert apis.application["capabilities"]["voice"] == there["capabilities"]["voice"]
        assert apis.application["capabilities"]["messages"]["version"] == "v1"
        assert apis.application["keys"] == there["keys"]
    if provider == "meta":
        assert apis.application["page"] == THEIRS


@pytest.mark.one_process("serves our API on a port")
async def test_a_refusal_is_told_in_the_providers_words_without_the_credential(installation: Installation) -> None:
    wrong = "another-credential-of-theirs"
    for provider in SETUPS:
        environment = {name: wrong if value == KEY else value for name, value in CREDENTIALS[provider].items()}
        ran = await installation.connect(provider, **environment)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"{ADAPTERS[provider].title} refuses" in ran.stderr
        assert '"message": "' in ran.stderr
        assert wrong not in ran.stderr
        assert SETUPS[provider].basic is None or "Basic (withheld)" in ran.stderr
    assert installation.apis.webhooks == []


@pytest.mark.one_process("serves our API on a port")
async def test_a_dry_run_shows_the_calls_and_makes_none(installation: Installation) -> None:
    for provider in SETUPS:
        ran = await installation.connect(provider, "--dry-run")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "<address of the source>" in ran.stdout
        assert ran.stdout.count(installation.apis.url) >= 2
    assert (installation.apis.calls, await installation.sources()) == ([], [])


@pytest.mark.one_process("serves our API on a port")
async def test_a_source_that_there_is_can_be_taken(installation: Installation) -> None:
    client = installation.client
    made = {"provider": "mailgun", "name": "by hand", "secrets": {"signing_key": ["something-else"]}}
    source = (await client.post("/v1/sources", json=made)).raise_for_status().json()
    ran = await installation.connect("mailgun", "--source", source["id"])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert await installation.is_taken("mailgun")
    assert [each["name"] for each in await installation.sources()] == ["by hand"]
    for wanted, says in {"src_99": "has no source src_99", source["id"]: "is a source of mailgun, not of resend"}.items():
        ran = await installation.connect("resend", "--source", wanted)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert says in ran.stderr


REFUSED: dict[tuple[str, ...], str] = {
    ("pigeon",): "There are sendgrid, mailgun,",
    ("sendgrid", "--with", f"api_key={KEY[:8]}"): "is a secret, and what is on a command line can be read by others",
    ("mailgun", "--with", "town=Berlin"): "--with takes domain=...",
    ("sendgrid", "--with", "town=Berlin"): "--with takes none for this provider",
    ("sendgrid", "--api-url", "http://api.sendgrid.example"): "must begin with https://",
    ("sendgrid", "--api-url", "https://10.0.0.1/"): "not an address on the public internet",
    ("sendgrid", "--api-url", "nonsense"): "--api-url",
}


@pytest.mark.one_process("serves our API on a port")
async def test_what_cannot_be_connected_says_why(installation: Installation) -> None:
    for (provider, *more), says in REFUSED.items():
        ran = await installation.connect(provider, *more)
        assert (ran.returncode > 0, ran.stdout) == (True, ""), more
        assert says in " ".join(ran.stderr.split()), ran.stderr
    ran = await installation.connect("sendgrid", SENDGRID_API_KEY="")
    assert "The SendGrid API key is missing: set SENDGRID_API_KEY." in ran.stderr
    ran = await installation.connect("sendgrid", SENDGRID_API_KEY="two\nlines")
    assert "SENDGRID_API_KEY is no SendGrid API key" in ran.stderr
    assert installation.apis.calls == []


@pytest.mark.one_process("serves our API on a port")
async def test_an_address_that_no_provider_reaches_is_not_given_to_one(installation: Installation) -> None:
    client = installation.client
    here = {"public_url": "https://192.168.1.5/hook", "provider": "resend", "name": "resend"}
    made = await client.post("/v1/sources", json={**here, "secrets": {"signing_secret": ["whsec_" + "A" * 32]}})
    made.raise_for_status()
    ran = await installation.connect("resend")
    assert ran.returncode == 1
    assert "No provider reaches https://192.168.1.5/hook of src_1: set REWARDS_BASE_URL" in ran.stderr
    assert installation.apis.calls == []


@pytest.mark.one_process("serves our API on a port")
async def test_the_next_page_is_asked_for_at_the_provider_alone(installation: Installation) -> None:
    await installation.connect("twilio")
    assert installation.apis.calls.count("GET /v1/Sinks") == 2
    assert [each["kind"] for each in installation.apis.webhooks].count("twilio") == 1


def test_every_provider_is_connected_or_says_where_its_console_is() -> None:
    assert SETUPS.keys() | BY_HAND.keys() == ADAPTERS.keys()
    assert not SETUPS.keys() & BY_HAND.keys()
    for name, setup in SETUPS.items():
        held = {*setup.secrets, *(revealed.secret for revealed in setup.reveals)}
        assert held <= {shape.name for shape in ADAPTERS[name].secrets}
        assert setup.source.startswith("https://")


@pytest.mark.parametrize("provider", BY_HAND)
async def test_a_provider_without_such_an_api_says_what_to_do_in_its_console(tmp_path: Path, provider: str) -> None:
    ran = await asyncio.to_thread(running.run, running.environ(tmp_path), "sources", "connect", provider)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "in their console: " in ran.stderr
    named = [shape.name for shape in ADAPTERS[provider].secrets]
    assert any(name in ran.stderr for name in named)
