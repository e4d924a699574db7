"""`rewards simulate provider`: what a messaging provider would send to a source, signed as it signs.

    1. source     one of the brand's, or one made for it with secrets that we can sign with
    2. requests   of the provider's documented shape; one for each event where it sends them singly
    3. send       to the address of the source, as the provider does: without an API key
    4. look       at the source's deliveries, until a worker has decided them

The private keys of providers are theirs: with a key pair, only a source that holds our public key takes what we sign.
"""

from __future__ import annotations

import asyncio
import collections
import re
import secrets as random_names
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Any, TypeVar

import click
import httpx
import msgspec

from service import settings
from service.cli.clients.installation import CommandRefused, Meta, check, missing, open_client, said
from service.demo_shop import demo_file
from service.providers.adapter import Adapter, missing_secret, parse, problem_of_secret, verify
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import SAMPLES, doubled, secrets_for, simulate, tampered
from service.providers.types import ProviderEvent, ProviderRequest, Secrets

COUNT_MAX = 100
DECIDED_WITHIN_S = 10.0
"""How long we wait for a worker."""
ASKED_EVERY_S = 0.1
BUSY_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""How long we wait before we ask again who is overloaded."""
_OVERLOADED = 503
LATE = timedelta(hours=1)
PAGE = 1_000
"""The most that the API lists at once: more than what one call sends."""

NOT_OURS_TO_SIGN = {
    "ses": "Amazon signs what SES reports, and the service checks it with a certificate that it fetches from Amazon: nobody "
    "else can send it. Write to Amazon's mailbox simulator instead (success@simulator.amazonses.com)"
}

HINTS = {
    "no_campaign": "say what it counts for: --campaign, or the source's campaign",
    "no_message": "a reply that names no message answers the last one sent to the customer on its channel: mint a reward link "
    "for them, or register the message with POST /v1/messages",
    "no_rule": "the campaign has no rule for this action; POST /v1/campaigns/{id}/versions adds one",
    "unknown_account": "only a token says who it is: --token with a reward link",
    "repeated_reply": "the same words were said before: name somebody else with --to",
}
"""What to do about the reasons that whoever tries a source meets first."""

_Answer = TypeVar("_Answer")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent."""

    provider: str
    event: str
    campaign: str | None = None
    """Absent: the source says it."""
    source: str | None = None
    """Its id or address. Absent: one is made."""
    secrets: Secrets | None = None
    """Absent: those that we give to a source that we make."""
    message: str = ""
    to: str | None = None
    token: str = ""
    late: bool = False
    doubled: bool = False
    tampered: bool = False
    count: int = 1


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, and what became of it."""

    source: str
    url: str
    sent: Sequence[ProviderEvent]
    answers: Sequence[int]
    deliveries: Sequence[Delivery]
    outcomes: Sequence[Outcome]


class Delivery(msgspec.Struct, frozen=True):
    """A request, as the source lists it."""

    delivery: int
    verdict: str
    reason: str | None
    state: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of an event."""

    kind: str
    outcome: str
    reason: str | None
    grant_id: str | None
    points: int


class _Source(msgspec.Struct, frozen=True):
    id: str
    name: str
    provider: str
    ingest_url: str
    state: str
    campaign: str | None
    secrets_readable: bool


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


@click.command(epilog=f"NAME is one of: {', '.join(ADAPTERS)}. A wrong EVENT is answered with those that the provider has.")
@click.argument("name", metavar="NAME")
@click.argument("event", metavar="EVENT")
@click.option("--source", help="A source's id or address.  [default: one of its own, made if there is none]")
@click.option(
    "--secrets",
    "secrets_file",
    type=click.File("rb"),
    help="The source's secrets, as POST /v1/sources takes them.  [default: those of the source that is made]",
)
@click.option("--message", help="The provider's id of the message.  [default: a new one]")
@click.option("--to", help="Whose event it is: an email address, a phone number (+49...) or your own id.")
@click.option("--token", "--link", "token", default="", help="The token of a reward link, or the link.")
@click.option("--late", is_flag=True, help="It happened, and was signed, an hour ago.")
@click.option("--doubled", "is_doubled", is_flag=True, help="Send each request three times, as the provider does.")
@click.option("--tampered", "is_tampered", is_flag=True, help="Change one byte after signing.")
@click.option("--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="Events of as many people.")
@click.option("--base-url", help="Where the API is.  [default: as in demo.json]")
@click.option("--key", envvar="REWARDS_API_KEY", help="An API key with sources:write and sources:read.  [default: the demo's]")
@click.option("--campaign", help="What the event counts for.  [default: the source's, or the demo's]")
def provider(
    *,
    name: str,
    event: str,
    source: str | None,
    secrets_file: IO[bytes] | None,
    message: str | None,
    to: str | None,
    token: str,
    late: bool,
    is_doubled: bool,
    is_tampered: bool,
    count: int,
    base_url: str | None,
    key: str | None,
    campaign: str | None,
) -> None:
    """Send EVENT as the provider NAME would, correctly signed, to a source of a test brand, and say what became of it.

    Reads .rewards/demo.json, which `rewards up` writes, for what is not given.
    """
    adapter = _adapter(name, event)
    known = demo_file.read(demo_file.path_of(settings.load()))
    wanted = Wanted(
        provider=name,
        event=event,
        campaign=campaign or (known.campaign if known and source is None else None),
        source=source,
        secrets=None if secrets_file is None else _secrets(adapter, secrets_file.read()),
        message=message or "",
        to=to,
        token=token,
        late=late,
        doubled=is_doubled,
        tampered=is_tampered,
        count=count,
    )
    base_url = base_url or (known.base_url if known else None) or missing("--base-url")
    key = key or (known.keys.get("messaging") if known else None) or missing("--key")
    _tell(asyncio.run(send(base_url, key, wanted)), base_url)


def _adapter(name: str, event: str) -> Adapter:
    if name not in ADAPTERS:
        raise click.UsageError(f"There is no provider {name!r}. There are {', '.join(ADAPTERS)}.")
    if name in NOT_OURS_TO_SIGN:
        raise CommandRefused(NOT_OURS_TO_SIGN[name])
    if event not in SAMPLES[name]:
        raise click.UsageError(f"{ADAPTERS[name].title} has no event {event!r}. It has {', '.join(SAMPLES[name])}.")
    return ADAPTERS[name]


def _secrets(adapter: Adapter, written: bytes) -> Secrets:
    try:
        secrets = msgspec.json.decode(written, type=dict[str, list[str]])
    except msgspec.MsgspecError as error:
        raise CommandRefused(f'--secrets must be like {{"signing_secret": ["whsec_..."]}}: {error}') from None
    problems = [
        f"{name} {problem}"
        for name, values in secrets.items()
        for value in values
        if (problem := problem_of_secret(adapter, name, value)) is not None
    ]
    if problem := next(iter(problems), missing_secret(adapter, secrets)):
        raise CommandRefused(f"--secrets: {problem}")
    return secrets


async def send(base_url: str, key: str, wanted: Wanted) -> Simulated:
    """Send it, and wait until it is decided, or long enough."""
    async with open_client(base_url, key) as api:
        source = await _source(api, await check(api, "sources:write", "setting up a source"), wanted)
        now = datetime.now(UTC) - (LATE if wanted.late else timedelta())
        sent, requests = _requests(wanted, _occasion(wanted, source, now), now)
        before = await _list(api, f"/v1/sources/{source.id}/deliveries?limit=1", Delivery)
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as its:
            answers = [await _post(its, request) for request in requests]
        deliveries = await _decided(api, source, since=before[0].delivery if before else 0)
        outcomes: list[Outcome] = []
        for each in deliveries:
            if each.state == "decided":
                outcomes += await _list(api, f"/v1/sources/{source.id}/deliveries/{each.delivery}/events?limit={PAGE}", Outcome)
    return Simulated(
        source=source.id, url=source.ingest_url, sent=sent, answers=answers, deliveries=deliveries, outcomes=outcomes
    )


async def _source(api: httpx.AsyncClient, meta: Meta, wanted: Wanted) -> _Source:
    sources = await _list(api, f"/v1/sources?limit={PAGE}", _Source)
    if wanted.source is None:
        return next((each for each in sources if _is_made_for(wanted, each)), None) or await _made(api, meta, wanted)
    found = next((each for each in sources if wanted.source in {each.id, each.ingest_url}), None)
    if found is None:
        there_are = ", ".join(f"{each.id} ({each.provider})" for each in sources) or "none"
        raise CommandRefused(f"The brand of the key of --key has no source {wanted.source}; there are: {there_are}")
    if found.provider != wanted.provider:
        raise CommandRefused(f"{found.id} is a source of {found.provider}, which takes nothing from {wanted.provider}")
    return found


def _name(wanted: Wanted) -> str:
    return f"simulated {wanted.provider}"


def _is_made_for(wanted: Wanted, source: _Source) -> bool:
    is_ours = source.name == _name(wanted) and (source.provider, source.campaign) == (wanted.provider, wanted.campaign)
    return is_ours and source.state not in {"disabled", "stopped"} and source.secrets_readable


async def _made(api: httpx.AsyncClient, meta: Meta, wanted: Wanted) -> _Source:
    if meta.mode != "test":
        # Our secrets are no secrets.
        raise CommandRefused(
            "This is a live brand, and whoever reads our code can sign for a source that we make: name one with --source"
        )
    secrets = secrets_for(ADAPTERS[wanted.provider]) if wanted.secrets is None else wanted.secrets
    body = {"provider": wanted.provider, "name": _name(wanted), "secrets": secrets, "campaign": wanted.campaign}
    return msgspec.json.decode(_must(await api.post("/v1/sources", json=body)).content, type=_Source)


def _occasion(wanted: Wanted, source: _Source, now: datetime) -> Occasion:
    message = wanted.message or f"simulated-{random_names.token_hex(6)}"
    return Occasion(
        **_person(wanted.to),
        token=wanted.token,
        campaign=wanted.campaign or source.campaign or "",
        message=message,
        replied_to=message,
        event=f"evt-{random_names.token_hex(6)}",
        said=f"Yes, please, as I said of {random_names.token_hex(6)}!",
        at=now,
        url=source.ingest_url,
        count=wanted.count,
    )


def _person(to: str | None) -> dict[str, str]:
    if to is None:
        return {}
    if re.fullmatch(r"\+\d{6,15}", to):
        return {"phone": to}
    return {"email" if "@" in to else "customer": to}


def _requests(wanted: Wanted, occasion: Occasion, now: datetime) -> tuple[list[ProviderEvent], list[ProviderRequest]]:
    """The events, and the requests that they are sent in. Raises `CommandRefused` if they cannot be what is wanted."""
    adapter = ADAPTERS[wanted.provider]
    held = secrets_for(adapter) if wanted.secrets is None else wanted.secrets
    occasions = [occasion]
    if len(parse(adapter, simulate(wanted.provider, wanted.event, occasion, now, held)).events) < wanted.count:
        # This provider sends them one by one.
        occasions = occasion.each()
    sent: list[ProviderEvent] = []
    requests: list[ProviderRequest] = []
    for each in occasions:
        request = simulate(wanted.provider, wanted.event, each, now, held)
        _check_signed(adapter, request, held, now)
        sent += parse(adapter, request).events
        copies = doubled(wanted.provider, wanted.event, each, now, held) if wanted.doubled else [request]
        requests += [tampered(copy) for copy in copies] if wanted.tampered else copies
    _check_person(adapter, wanted, sent)
    return sent, requests


def _check_signed(adapter: Adapter, request: ProviderRequest, held: Secrets, now: datetime) -> None:
    if not verify(adapter, request, held, now).accepted:
        raise CommandRefused(
            f"{adapter.title} signs with a private key that only it has, which cannot be simulated for a source of yours: "
            "leave --source and --secrets away"
        )


def _check_person(adapter: Adapter, wanted: Wanted, sent: Sequence[ProviderEvent]) -> None:
    """Nobody is to look for an event of a person whom the provider knows by another name."""
    named = [identity for event in sent for identity in event.recipients]
    if wanted.to is None or any(identity.value.casefold().endswith(wanted.to.casefold().lstrip("+")) for identity in named):
        return
    if wanted.count > 1 and _person(wanted.to).keys() & {identity.kind.value for identity in named}:
        return
    kinds = ", ".join(sorted({identity.kind.value for identity in named})) or "nothing"
    raise CommandRefused(f"{adapter.title} names people in this event by {kinds}, so --to cannot be {wanted.to!r}")


async def _post(its: httpx.AsyncClient, request: ProviderRequest) -> int:
    try:
        answer = await its.request(request.method, request.url, content=request.body, headers=dict(request.headers))
    except httpx.HTTPError as error:
        raise CommandRefused(f"Nothing answers at {request.url} ({str(error) or type(error).__name__})") from None
    return answer.status_code


async def _decided(api: httpx.AsyncClient, source: _Source, *, since: int) -> list[Delivery]:
    """What came since then, oldest first, as soon as none of it waits."""
    until = time.monotonic() + DECIDED_WITHIN_S
    while True:
        newest = await _list(api, f"/v1/sources/{source.id}/deliveries?limit={PAGE}", Delivery)
        came = [each for each in reversed(newest) if each.delivery > since]
        if time.monotonic() > until or not any(each.state == "waiting" for each in came):
            return came
        await asyncio.sleep(ASKED_EVERY_S)


async def _list(api: httpx.AsyncClient, path: str, kind: type[_Answer]) -> list[_Answer]:
    answer = await api.get(path)
    for wait_s in BUSY_WAITS_S:
        if answer.status_code != _OVERLOADED:
            break
        await asyncio.sleep(wait_s)
        answer = await api.get(path)
    page = msgspec.json.decode(_must(answer).content, type=_Page)
    return [msgspec.json.decode(each, type=kind) for each in page.items]


def _must(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise CommandRefused(f"{answer.request.url.path} answered {said(answer)}")
    return answer


def _tell(report: Simulated, base_url: str) -> None:
    click.echo(f"To {report.source}, {report.url}")
    _count("sent", [_event(each) for each in report.sent])
    _count("answered", [str(each) for each in report.answers])
    _count("delivery", [": ".join(part for part in (each.verdict, each.reason) if part) for each in report.deliveries])
    _count("event", [_outcome(each) for each in report.outcomes])
    click.echo(f"  {sum(each.points for each in report.outcomes):>10,}  points")
    for reason in dict.fromkeys(each.reason for each in report.outcomes):
        if reason in HINTS:
            click.echo(f"{reason}: {HINTS[reason]}")
    if any(each.state == "waiting" for each in report.deliveries):
        click.echo(f"Not decided within {DECIDED_WITHIN_S:.0f} s: does a `rewards worker` run?")
    elif not report.deliveries:
        click.echo("Nothing is listed: of many refused within a minute only some are, and nothing while the database is away.")
    click.echo(f"Look at {base_url}/v1/sources/{report.source}/deliveries")


def _count(what: str, named: Sequence[Any]) -> None:
    for name, number in collections.Counter(named).items():
        click.echo(f"  {number:>10,}  {what} {name}")


def _event(event: ProviderEvent) -> str:
    whom = ", ".join(f"{each.kind.value} {each.value}" for each in event.recipients) or "nobody named"
    message = event.in_reply_to or event.provider_message_id or "none"
    return f"{event.kind.value} by {event.channel}, {whom}, message {message}"


def _outcome(outcome: Outcome) -> str:
    reason = f" ({outcome.reason})" if outcome.reason else ""
    grant = f", grant {outcome.grant_id}" if outcome.grant_id else ""
    return f"{outcome.kind} {outcome.outcome}{reason}{grant}"
