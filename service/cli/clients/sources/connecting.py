"""Connecting a provider: the source in our API, the webhook in the provider's, and the secrets from one to the other.

    1. source    the brand's own of this name, or the one that is named; made if there is none, with secrets of nobody's where
                 the provider makes them later
    2. secrets   what is known before goes to the source first, so that nothing is refused that comes at once
    3. steps     each looks what is there, then makes it or puts it right
    4. reveal    what the provider made goes to the source

Each of them finds what an earlier run left, so whatever was interrupted is simply run once more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.cli.clients.installation import CommandRefused, check, open_client, said
from service.cli.clients.sources.provider_api import ProviderApi
from service.egress.hosts import HostRefused, is_near, read_host
from service.providers.connecting.setup import (
    P256,
    PASSWORD,
    TITLE,
    URL,
    Assigned,
    Call,
    Listed,
    Revealed,
    Setup,
    Spread,
    filled,
    found_at,
    items_at,
    with_set,
)

PAGES_MAX = 20
PAGE = 1_000
_DISABLED = "disabled"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be connected."""

    provider: str
    name: str
    source: str | None
    campaign: str | None
    given: Mapping[str, str]
    """Credentials and names, by what the set-up asks for."""
    replaces: bool
    """Whether an address of somebody else's may be overwritten."""


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """What was done."""

    source: str
    url: str
    done: Sequence[str]


class _Source(msgspec.Struct, frozen=True):
    id: str
    name: str
    provider: str
    state: str
    ingest_url: str | None
    campaign: str | None


class _Page(msgspec.Struct, frozen=True):
    items: list[_Source]


async def connect(base_url: str, key: str, setup: Setup, api: ProviderApi, wanted: Wanted) -> Connected:
    """Connect a provider, or put right what an earlier run left."""
    async with open_client(base_url, key) as ours:
        await check(ours, "sources:write", "connecting a source")
        source, is_new = await _source(ours, setup, wanted)
        url = _reachable(source)
        values = values_of(setup, wanted.given, url)
        api.withhold(*(values.get(name, "") for name in secret_names(setup)))
        if known := {name: [filled(text, values)] for name, text in setup.secrets.items()}:
            await _give(ours, source, known)
        steps = steps_of(setup, wanted.given)
        done = [f"{step.title} {await _taken(api, step, values, replaces=wanted.replaces)}" for step in steps]
        for revealed in setup.reveals:
            await _give(ours, source, {revealed.secret: [await _told(api, revealed, values)]})
    return Connected(source=source.id, url=url, done=[f"source {source.id} {'made' if is_new else 'was there'}", *done])


def values_of(setup: Setup, given: Mapping[str, str], url: str) -> dict[str, Any]:
    """All that calls are filled in with."""
    made = hmac.digest(given[setup.credential.name].encode(), b"source\0" + url.encode(), "sha256")
    # The same credential makes the same password: running it again changes nothing, and nobody has to store it.
    password = base64.urlsafe_b64encode(made).decode().rstrip("=")
    mark = hashlib.sha256(url.encode()).hexdigest()[:10]
    return {**given, URL: url, PASSWORD: password, TITLE: f"Atomic Rewards {mark}"}


def secret_names(setup: Setup) -> list[str]:
    """Which of the values are secrets."""
    return [PASSWORD, *(ask.name for ask in setup.asks if ask.is_secret)]


def steps_of(setup: Setup, given: Mapping[str, str]) -> list[Listed | Spread | Assigned]:
    """The steps that what was given leads to."""
    return [
        step
        for step in setup.steps
        if (step.when is None or step.when in given) and (step.unless is None or step.unless not in given)
    ]


def shown_calls(api: ProviderApi, setup: Setup, values: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """The calls of a set-up, as they would be made one after the other."""
    lines: list[str] = []
    for step in steps_of(setup, given):
        filled_in = {"missing": list(step.kinds), **values} if isinstance(step, Spread) else values
        made = step.create if isinstance(step, Listed) else step.add if isinstance(step, Spread) else _written(step, step.sets)
        lines += [api.shown(step.look, values), f"  if it is not there: {api.shown(made, filled_in)}"]
        if isinstance(step, Listed) and step.update is not None:
            lines.append(f"  if it is there: {api.shown(step.update, values)}")
    return lines + [api.shown(call, values) for revealed in setup.reveals for call in revealed.calls]


async def _source(ours: httpx.AsyncClient, setup: Setup, wanted: Wanted) -> tuple[_Source, bool]:
    """The source, and whether it was made just now."""
    page = msgspec.json.decode(_must(await ours.get(f"/v1/sources?limit={PAGE}")).content, type=_Page)
    if wanted.source is None:
        ours_by_name = (each for each in page.items if (each.provider, each.name) == (wanted.provider, wanted.name))
        found = next((each for each in ours_by_name if each.state != _DISABLED), None)
        return (found, False) if found else (await _made(ours, setup, wanted), True)
    found = next((each for each in page.items if wanted.source in {each.id, each.ingest_url}), None)
    if found is None:
        there_are = ", ".join(f"{each.id} ({each.provider})" for each in page.items) or "none"
        raise CommandRefused(f"The brand of the key of --key has no source {wanted.source}; there are: {there_are}")
    if found.provider != wanted.provider:
        raise CommandRefused(f"{found.id} is a source of {found.provider}, not of {wanted.provider}")
    return found, False


async def _made(ours: httpx.AsyncClient, setup: Setup, wanted: Wanted) -> _Source:
    # What depends on the address follows at once; until then the source takes nothing from anybody.
    until = {**_until_known(setup), **{revealed.secret: _nobodys(revealed.until) for revealed in setup.reveals}}
    body = {
        "provider": wanted.provider,
        "name": wanted.name,
        "campaign": wanted.campaign,
        "secrets": {name: [value] for name, value in until.items()},
    }
    return msgspec.json.decode(_must(await ours.post("/v1/sources", json=body)).content, type=_Source)


def _until_known(setup: Setup) -> dict[str, str]:
    drawn = {name: random.token_urlsafe(32) for name in (PASSWORD, *(ask.name for ask in setup.asks))}
    return {name: filled(text, drawn) for name, text in setup.secrets.items()}


def _nobodys(until: str) -> str:
    """A secret that nobody knows, in the form of one."""
    if until == P256:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    return filled(until, {"random": base64.b64encode(random.token_bytes(32)).decode()})


async def _give(ours: httpx.AsyncClient, source: _Source, secrets: Mapping[str, Sequence[str]]) -> None:
    answer = await ours.patch(f"/v1/sources/{source.id}", json={"secrets": secrets})
    if not answer.is_success:
        raise CommandRefused(f"{source.id} does not take {', '.join(secrets)}: {said(answer)}")


def _reachable(source: _Source) -> str:
    """The address of the source, if a provider can reach it."""
    url = source.ingest_url or ""
    parts = urlsplit(url)
    try:
        is_here = is_near(read_host(parts.netloc)[0])
    except HostRefused:
        is_here = True
    if is_here or parts.scheme != "https":
        raise CommandRefused(
            f"No provider reaches {url or 'the address'} of {source.id}: set REWARDS_BASE_URL to the https:// "
            "address at which this service is reached from outside, or the source's public_url, and run this again"
        )
    return url


async def _taken(api: ProviderApi, step: Listed | Spread | Assigned, values: dict[str, Any], *, replaces: bool) -> str:
    if isinstance(step, Listed):
        return await _listed(api, step, values)
    if isinstance(step, Spread):
        return await _spread(api, step, values)
    return await _assigned(api, step, values, replaces=replaces)


async def _listed(api: ProviderApi, step: Listed, values: dict[str, Any]) -> str:
    found = await _of_list(api, step, values)
    if found is not None:
        values[step.saved_as] = found_at(found, step.id)
        if step.update is not None:
            await api.call(step.update, {**values, "id": values[step.saved_as]})
        return "was there"
    answer = await api.call(step.create, values)
    values[step.saved_as] = found_at(answer, step.made_id)
    if values[step.saved_as] is None:
        raise CommandRefused(f"The answer to {step.create.method} of the {step.title} names no {step.made_id}")
    return "made"


async def _of_list(api: ProviderApi, step: Listed, values: Mapping[str, Any]) -> dict[str, Any] | None:
    marks = {path: filled(text, values) for path, text in step.marks.items()}
    call: Call | None = step.look
    for _ in range(PAGES_MAX):
        if call is None:
            return None
        answer = await api.call(call, values, none=step.none)
        for item in items_at(answer, step.items):
            if all(found_at(item, path) == wanted for path, wanted in marks.items()):
                return item
        call = _next_page(step, answer)
    raise CommandRefused(f"There are more than {PAGES_MAX} pages of {step.title}: nothing was made, as ours may be among them")


def _next_page(step: Listed, answer: Any) -> Call | None:
    """The call for the next page of a list. Our credentials go with it, so only to where the first page was."""
    url = found_at(answer, step.next_page) if step.next_page else None
    if not isinstance(url, str) or urlsplit(url)[:2] != urlsplit(step.look.url)[:2]:
        return None
    return Call("GET", url)


async def _spread(api: ProviderApi, step: Spread, values: Mapping[str, Any]) -> str:
    lists = found_at(await api.call(step.look, values), step.lists)
    missing = [kind for kind in step.kinds if values[URL] not in (found_at(lists, f"{kind}.{step.addresses}") or [])]
    if not missing:
        return "were there"
    await api.call(step.add, {**values, "missing": missing})
    return f"made for {', '.join(missing)}"


async def _assigned(api: ProviderApi, step: Assigned, values: Mapping[str, Any], *, replaces: bool) -> str:
    answer = await api.call(step.look, values)
    if step.item:
        marked = [each for each in items_at(answer, step.item) if all(each.get(k) == v for k, v in step.marks.items())]
        answer = marked[0] if marked else {}
    there = [found_at(answer, path) for path in step.addresses]
    if all(each == values[URL] for each in there):
        return "was there"
    others = sorted({str(each) for each in there if each and each != values[URL]})
    if others and not replaces:
        raise CommandRefused(f"The {step.title} has another address, {', '.join(others)}: give --replace to overwrite it")
    kept = {name: answer[name] for name in step.keeps if name in answer}
    await api.call(_written(step, with_set(kept, filled(dict(step.sets), values))), values)
    return "set"


def _written(step: Assigned, whole: Mapping[str, Any]) -> Call:
    """The call that writes the address, with all that is written back with it."""
    return msgspec.structs.replace(step.write, body=dict(whole)) if step.keeps else step.write


async def _told(api: ProviderApi, revealed: Revealed, values: dict[str, Any]) -> str:
    """A secret that the provider made."""
    for call in revealed.calls:
        secret = found_at(await api.call(call, values), revealed.path)
        if isinstance(secret, str) and secret:
            return secret
    raise CommandRefused(f"The provider does not tell {revealed.path}, which is the source's {revealed.secret}")


def _must(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise CommandRefused(f"{answer.request.url.path} answered {said(answer)}")
    return answer
