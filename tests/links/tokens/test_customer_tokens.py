"""A customer token opens one page of one customer, for a while; it is no link, and no link is one."""

from __future__ import annotations

from typing import Any

import jwt
import msgspec
import pytest

from service.tokens import customer as customer_tokens
from service.tokens import link as link_tokens
from service.tokens.customer import LIFE_S_MAX, CustomerTokenClaims, CustomerTokenKind
from service.tokens.link import LinkRefusal, LinkRefused
from tests.links.tokens.test_link_tokens import HOST, KEYS, NOW, TOKEN

CLAIMS = CustomerTokenClaims(
    kind=CustomerTokenKind.WALLET, brand="bluebird", host=HOST, customer=4711, issued_at=NOW - 60, expires_at=NOW + 840
)


def refusal_of(
    token: str, *, kind: CustomerTokenKind = CustomerTokenKind.WALLET, host: str = HOST, now: int = NOW
) -> LinkRefusal:
    with pytest.raises(LinkRefused) as refused:
        customer_tokens.verify(token, KEYS, kind=kind, hosts=[host], now=now)
    return refused.value.refusal


def signed(**changed: Any) -> str:
    return customer_tokens.sign(msgspec.structs.replace(CLAIMS, **changed), KEYS)


@pytest.mark.parametrize("kind", CustomerTokenKind)
def test_what_was_signed_comes_back_on_the_page_of_its_kind_alone(kind: CustomerTokenKind) -> None:
    message_id = "newsletter-0412" if kind is CustomerTokenKind.LIVE_IMAGE else ""
    token = signed(kind=kind, message_id=message_id)
    claims = customer_tokens.verify(token, KEYS, kind=kind, hosts=[HOST], now=NOW)
    # A token of before keys were named could write.
    assert claims == msgspec.structs.replace(CLAIMS, kind=kind, message_id=message_id, may_write=True)
    said = {"iss", "aud", "sub", "k", "iat", "exp", *(["m"] if message_id else [])}
    assert jwt.decode(token, options={"verify_signature": False}).keys() == said
    for other in set(CustomerTokenKind) - {kind}:
        assert refusal_of(token, kind=other) is LinkRefusal.FORGED


def test_a_link_is_no_customer_token_and_the_other_way_round() -> None:
    assert refusal_of(TOKEN) is LinkRefusal.FORGED
    with pytest.raises(LinkRefused):
        link_tokens.verify(signed(), KEYS, hosts=[HOST], now=NOW)


def test_a_live_image_says_which_message_it_is_in_and_a_page_may() -> None:
    assert refusal_of(signed(kind=CustomerTokenKind.LIVE_IMAGE), kind=CustomerTokenKind.LIVE_IMAGE) is LinkRefusal.FORGED
    token = signed(message_id="newsletter-0412")
    assert (
        customer_tokens.verify(token, KEYS, kind=CustomerTokenKind.WALLET, hosts=[HOST], now=NOW).message_id
        == "newsletter-0412"
    )


@pytest.mark.parametrize("may_write", [False, True])
def test_it_says_which_key_made_it_and_whether_that_may_write(may_write: bool) -> None:
    token = signed(made_by=7, may_write=may_write)
    claims = customer_tokens.verify(token, KEYS, kind=CustomerTokenKind.WALLET, hosts=[HOST], now=NOW)
    assert (claims.made_by, claims.may_write) == (7, may_write)


def test_another_host_and_a_changed_token_are_forged() -> None:
    assert refusal_of(signed(), host="links.another.example") is LinkRefusal.FORGED
    assert refusal_of(signed(customer=4712).rpartition(".")[0] + "." + signed().rpartition(".")[2]) is LinkRefusal.FORGED


def test_it_is_over_soon_and_no_longer_life_is_honoured() -> None:
    assert refusal_of(signed(), now=CLAIMS.expires_at) is LinkRefusal.EXPIRED
    longest = NOW + LIFE_S_MAX[CustomerTokenKind.WALLET]
    customer_tokens.verify(
        signed(issued_at=NOW, expires_at=longest), KEYS, kind=CustomerTokenKind.WALLET, hosts=[HOST], now=NOW
    )
    assert refusal_of(signed(issued_at=NOW, expires_at=longest + 1)) is LinkRefusal.FORGED
