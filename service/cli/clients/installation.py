"""The running installation that a command talks to, through its API."""

from __future__ import annotations

from typing import Any, NoReturn

import click
import httpx
import msgspec

CHECK_TIMEOUT_S = 5.0
"""Who does not answer one small question by then is not there."""
PORT_MAX = 65_535


class CommandRefused(Exception):
    """What was asked for cannot be done. The message says why, and what to do."""


class Problem(msgspec.Struct, frozen=True):
    """What the service says of a request that it refuses."""

    code: str
    retryable: bool = False
    detail: str = ""


class Meta(msgspec.Struct, frozen=True):
    """Whose key it is."""

    scopes: list[str]
    mode: str = "live"


_decode_problem = msgspec.json.Decoder(Problem).decode
_decode_meta = msgspec.json.Decoder(Meta).decode


def open_client(base_url: str, key: str, **how: Any) -> httpx.AsyncClient:
    """Open a client of the API. Raises `CommandRefused` for what is no address, or no key."""
    if not key.isascii() or not key.isprintable():
        raise CommandRefused("The key of --key is none: keys are letters, digits, - and _")
    headers = {"Authorization": f"Bearer {key}", **how.pop("headers", {})}
    try:
        client = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60.0, trust_env=False, **how)
        if client.base_url.port is not None and client.base_url.port > PORT_MAX:
            raise httpx.InvalidURL(f"there is no port {client.base_url.port}")
    except httpx.InvalidURL as error:
        raise CommandRefused(f"{base_url} of --base-url is not a URL: {error}") from None
    return client


async def check(client: httpx.AsyncClient, scope: str, what: str) -> Meta:
    """Ask who we are, once. Raises `CommandRefused` where nothing answers, or if the key lacks what ``what`` takes."""
    try:
        answer = await client.get("/v1/meta", timeout=CHECK_TIMEOUT_S)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise CommandRefused(
            f"Nothing answers at {client.base_url} ({why}): start it with `rewards up`, or say where it is with --base-url"
        ) from None
    if not answer.is_success:
        raise CommandRefused(f"{client.base_url} refuses the key of --key: {said(answer)}")
    try:
        meta = _decode_meta(answer.content)
    except msgspec.MsgspecError:
        raise CommandRefused(f"What answers at {client.base_url} is not this API; --base-url says where that is") from None
    if scope not in meta.scopes:
        raise CommandRefused(f"The key of --key has not the scope {scope}, which {what} takes")
    return meta


def said(answer: httpx.Response) -> str:
    """What a refusal says, in words; else the beginning of whatever came."""
    try:
        problem = _decode_problem(answer.content)
    except msgspec.MsgspecError:
        return f"{answer.status_code} {answer.text[:200]}"
    return f"{answer.status_code} {problem.code}: {problem.detail}"


def missing(option: str) -> NoReturn:
    """Say that an option must be given, because there is no demo."""
    raise click.UsageError(f"There is no demo.json: start `rewards up` first, or give {option}.")
