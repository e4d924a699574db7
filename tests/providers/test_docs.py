"""The page on providers has every adapter, as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.providers.adapter import Adapter, AnswerCodes
from service.providers.connecting.registry import BY_HAND, SETUPS
from service.providers.connecting.setup import Setup
from service.providers.jwt import BodyJwt
from service.providers.registry import ADAPTERS
from service.providers.schemes import Presented, Scheme, Signature
from service.providers.signed_bytes import FormField, Header, JsonField, Query

PAGE = (Path(__file__).parents[2] / "docs/providers.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.partition("*Checked with*")[0], re.MULTILINE))
SECTIONS = dict(re.findall(r"^### (.+)\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE))
_MACS = {"sha1": "HMAC-SHA1", "sha256": "HMAC-SHA256", "sha512": "HMAC-SHA512", "ecdsa": "ECDSA P-256", "ed25519": "Ed25519"}


def place_of(scheme: Scheme) -> str:
    """Where a scheme finds its signature or password."""
    place = scheme.place if isinstance(scheme, Signature | Presented | BodyJwt) else None
    if isinstance(place, Header | Query | FormField):
        return place.name
    return ".".join(place.path) if isinstance(place, JsonField) else ""


def method_of(scheme: Scheme) -> str:
    """How a scheme recognises its provider, in a few words."""
    if isinstance(scheme, Signature):
        return f"{_MACS[scheme.algorithm.value]} in `{place_of(scheme)}`"
    if isinstance(scheme, BodyJwt):
        return f"JWT in `{place_of(scheme)}`"
    return f"password in `{place_of(scheme)}`" if isinstance(scheme, Presented) else "RSA, in the message"


def row_of(adapter: Adapter) -> str:
    """The row of an adapter, as the page should have it."""
    methods = "; ".join(dict.fromkeys(method_of(scheme) for scheme in adapter.schemes))
    answers, usual = adapter.answers, AnswerCodes()
    names = ("unsigned", "forged", "unreadable")
    codes = [f"{name} {getattr(answers, name)}" for name in names if getattr(answers, name) != getattr(usual, name)]
    cells = (
        ", ".join(adapter.channels),
        methods,
        adapter.trust.name.lower(),
        adapter.verified_by,
        ", ".join(codes),
        adapter.token_field,
    )
    return " | ".join(cells)


def test_the_page_has_every_provider_and_no_other() -> None:
    assert set(ROWS) == set(ADAPTERS)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_a_row_says_what_the_adapter_is(adapter: Adapter) -> None:
    assert ROWS[adapter.name] == row_of(adapter)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_a_section_says_where_each_secret_comes_from(adapter: Adapter) -> None:
    section = next(text for title, text in SECTIONS.items() if f"`{adapter.name}`" in title)
    assert [shape.name for shape in adapter.secrets if f"`{shape.name}`" not in section] == []


def test_the_page_says_what_connecting_a_provider_takes_and_where_that_is_from() -> None:
    section = PAGE.partition("## Connect through their API")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    assert rows == {name: row_of_setup(setup) for name, setup in SETUPS.items()}
    for name in BY_HAND:
        assert name in ROWS


def row_of_setup(setup: Setup) -> str:
    """The row of a set-up, as the page should have it."""
    needed = [ask for ask in setup.asks if ask.is_required and ask.default is None]
    others = [ask for ask in setup.asks if ask not in needed]
    cells = [", ".join(f"`{ask.variable}`" for ask in asks) for asks in (needed, others)]
    return " | ".join([*cells, "; ".join(step.title for step in setup.steps), f"[documentation]({setup.source})"])
