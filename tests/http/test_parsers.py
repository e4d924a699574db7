"""Everything that a stranger's text is read by: twice the text is at most twice the work, and no text is an error of ours."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.api_keys import read_authorization
from service.brands.destinations import DestinationRefused, normal_form
from service.customers.balance_file import BalanceFileInvalid, read_balances
from service.egress import hosts
from service.evidence.bot_detection import grade
from service.http import identifiers
from service.http.bodies import Identifier
from service.http.idempotency import parse_key
from service.http.names import refusal_of
from service.http.problems import Problem
from service.pages.words import best_language
from service.preferences.pages import read_form
from service.preferences.schemas import PreferencesResponse
from service.tokens import code as codes
from service.tokens import customer as customer_tokens
from service.tokens import offline as offline_tokens
from service.tokens import receipt as claim_receipts
from service.tokens import rotating_code
from service.tokens.customer import CustomerTokenKind, PageClosed
from service.tokens.link import LinkRefused, link_keys, trimmed, verify
from tests.api_fixtures import make_secrets
from tests.steps import steps

SECRETS = make_secrets()
KEYS = link_keys(SECRETS.link_keys)
SEALED = claim_receipts.receipt_keys(SECRETS.link_keys)
PREFERENCES = PreferencesResponse(channels=[], frequency=None, rewards=True, reward=None, answered_at=None)
REFUSALS = (Problem, LinkRefused, PageClosed, BalanceFileInvalid, DestinationRefused, hosts.HostRefused)


def segment(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "replace")).rstrip(b"=").decode()


PARSERS: dict[str, Callable[[str], object]] = {
    "an Authorization header": read_authorization,
    "a bearer key": lambda text: read_authorization(f"Bearer {text}"),
    "an Idempotency-Key": parse_key,
    "an Accept-Language": best_language,
    "weights in an Accept-Language": lambda text: best_language(f"de;q={text}"),
    "a User-Agent": lambda text: grade("GET", {"user-agent": text}, since_sent_s=9),
    "a Sec-Purpose": lambda text: grade("GET", {"user-agent": "Mozilla/5.0", "sec-purpose": text}, since_sent_s=9),
    "a Host": hosts.requested,
    "a destination": lambda text: normal_form(f"https://{text}", allowed_hosts=["shop.example"], loopback_allowed=False),
    "a destination's query": lambda text: normal_form(
        f"https://shop.example/?{text}", allowed_hosts=["shop.example"], loopback_allowed=False
    ),
    "a link's token": lambda text: verify(text, KEYS, hosts=["h"], now=0),
    "parts of a link's token": lambda text: verify(
        f"{segment(text)}.{segment(text)}.{segment(text)}", KEYS, hosts=["h"], now=0
    ),
    "what stands behind a token": trimmed,
    "a page's token": lambda text: customer_tokens.verify(text, KEYS, kind=CustomerTokenKind.WALLET, hosts=["h"], now=0),
    "a receipt": lambda text: claim_receipts.unseal(text, SEALED),
    "a screen's name": lambda text: rotating_code.unseal_name(text, rotating_code.rotating_code_keys(SECRETS.link_keys)),
    "whose key signed a token": offline_tokens.key_named_by,
    "what an unchecked token says": lambda text: offline_tokens.says(f"a.{segment(text)}.b"),
    "a code": codes.normal_code,
    "a scanned code": codes.scanned_code,
    "a grant's id": identifiers.parse_grant_id,
    "a redemption's id": identifiers.parse_redemption_id,
    "a customer's number": identifiers.parse_customer_id,
    "a key's id": identifiers.parse_key_id,
    "a position": identifiers.parse_position,
    "a request's id": identifiers.request_id,
    "a file of balances": lambda text: read_balances(f"id,points\n{text}".encode("utf-8", "replace"), today=date(2026, 1, 1)),
    "a form": lambda text: read_form(text.encode("utf-8", "replace"), PREFERENCES),
}
SHAPES: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "digits": lambda n: "9" * n,
    "dots": lambda n: "." * n,
    "spaces": lambda n: " " * n,
    "entries": lambda n: "de;q=0.5," * n,
    "parameters": lambda n: "a=b&" * n,
    "labels": lambda n: "a." * n,
    "lines": lambda n: "C-1,5\n" * n,
    "quotes": lambda n: '"' * n,
    "segments": lambda n: "e30." * n,
    "not ASCII": lambda n: "\u00b2" * n,
}


def read(parser: str, text: str) -> None:
    with contextlib.suppress(*REFUSALS):
        PARSERS[parser](text)


@pytest.mark.parametrize("parser", PARSERS)
def test_twice_the_text_is_at_most_twice_the_work(parser: str) -> None:
    for shape, of_size in SHAPES.items():
        read(parser, of_size(10))  # what is made once
        once, twice = (steps(lambda n, made=of_size: read(parser, made(n)), size) for size in (2_000, 4_000))
        assert twice <= 2.1 * once + 300, shape


@pytest.mark.parametrize("parser", PARSERS)
@given(text=st.one_of(st.text(max_size=60), st.text("0123456789.,;:=&%[]{}\"'/-_eE+\u00b2\u0663 \n", max_size=60)))
def test_no_text_is_our_fault(parser: str, text: str) -> None:
    read(parser, text)


NAMES: Any = msgspec.json.Decoder(Identifier)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_a_body_and_a_path_take_the_same_for_a_name(name: str) -> None:
    try:
        NAMES.decode(msgspec.json.encode(name))
    except msgspec.ValidationError:
        assert refusal_of(name) is not None
        return
    # A body counts bytes where the type says so, after the decoder has counted characters.
    assert refusal_of(name) is None or len(name.encode()) > 256
