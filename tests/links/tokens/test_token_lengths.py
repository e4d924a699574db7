"""How long each form of a link is, and what it says: never who she is.

Prints the lengths: `pytest -s tests/links/tokens/test_token_lengths.py`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from typing import Any

import msgspec
import pytest

from service.code_batches.qr_codes import qr_code
from service.link_pages.handoffs import Claim
from service.tokens import customer as customer_tokens
from service.tokens import link as link_tokens
from service.tokens import receipt as claim_receipts
from service.tokens import sealing
from service.tokens.code import code_key, code_of
from service.tokens.customer import CustomerTokenClaims, CustomerTokenKind
from service.tokens.link import LinkKind, LinkMode
from service.tokens.receipt import ClaimReceipt
from tests.links.conftest import EMAIL, Links
from tests.links.test_offline_links import Signer
from tests.links.tokens.test_link_tokens import CLAIMS, KEY, KEYS

FULL_JWT_MAX = 457
"""All claims, with EdDSA."""
CUSTOMER_JWT_MAX = 320
LIVE_JWT_MAX = 340
"""A message more."""
BINARY_MAX = 100
CODE = 16
ALPHANUMERIC_URL_MAX = 40
"""What keeps a QR code at version 3."""

SEALING_KEYS = (bytes(32),)


def link(kind: LinkKind, mode: LinkMode = LinkMode.PAGE) -> str:
    destination_no = 0 if kind is LinkKind.OPEN else CLAIMS.destination_no
    return link_tokens.sign(msgspec.structs.replace(CLAIMS, kind=kind, mode=mode, destination_no=destination_no), KEYS)


def customer_token(kind: CustomerTokenKind) -> str:
    claims = CustomerTokenClaims(
        kind=kind,
        brand=CLAIMS.brand,
        host=CLAIMS.host,
        customer=4711,
        issued_at=CLAIMS.issued_at,
        expires_at=CLAIMS.sent_at,
        message_id=CLAIMS.message_id if kind is CustomerTokenKind.LIVE_IMAGE else "",
    )
    return customer_tokens.sign(claims, KEYS)


RECEIPT = ClaimReceipt(
    brand=CLAIMS.brand,
    destination_no=3,
    campaign_no=7,
    campaign_version=2,
    page="already_claimed",
    points=25,
    balance=1_250,
    issued_at=CLAIMS.issued_at,
)
HANDOFF_CLAIM = Claim(brand=CLAIMS.brand, link_id=CLAIMS.link_id, visited_ms=CLAIMS.issued_at * 1000, number=bytes(8))

FORMS: dict[str, tuple[str, int]] = {
    "a link, claimed on our page": (link(LinkKind.CLAIM), FULL_JWT_MAX),
    "a link, handed to the shop": (link(LinkKind.CLAIM, LinkMode.HANDOFF), FULL_JWT_MAX),
    "a link that redirects": (link(LinkKind.CLAIM, LinkMode.REDIRECT), FULL_JWT_MAX),
    "a picture": (link(LinkKind.OPEN), FULL_JWT_MAX),
    "a wallet": (customer_token(CustomerTokenKind.WALLET), CUSTOMER_JWT_MAX),
    "preferences": (customer_token(CustomerTokenKind.PREFERENCES), CUSTOMER_JWT_MAX),
    "a live image": (customer_token(CustomerTokenKind.LIVE_IMAGE), LIVE_JWT_MAX),
    "a receipt": (claim_receipts.seal(RECEIPT, SEALING_KEYS), BINARY_MAX),
    "a claim for the shop": (sealing.seal(HANDOFF_CLAIM, SEALING_KEYS), BINARY_MAX),
    "a code": (code_of(b"link" + CLAIMS.link_id, code_key(KEY)), CODE),
    "a code's address": (f"https://r.brand.example/{'A' * CODE}", ALPHANUMERIC_URL_MAX),
}


def test_no_form_is_longer_than_it_may_be() -> None:
    for name, (text, characters_max) in FORMS.items():
        print(f"{len(text):4}  {name}")  # noqa: T201 - this is what it is run for
        assert len(text) <= characters_max, name
        assert re.fullmatch(r"[A-Za-z0-9._:/-]+", text), name
    assert qr_code(FORMS["a code's address"][0]).version <= 3


async def test_a_decoded_link_holds_no_identity(links: Links) -> None:
    """Whoever finds a link in a log or a history learns our number of her, and nothing that anybody else calls her."""
    names = {"id": "C-1001-secret", "email": EMAIL, "phone": "+4930901820"}
    items = [links.item(mode=mode, link=mode, short=True) | {"customer": names} for mode in ("page", "handoff", "redirect")]
    urls = [url for result in await links.mint(*items) for url in (result["url"], result["short_url"])]
    signer = await Signer(links).register()
    urls.append(signer.path())
    client = links.api.client(None)
    urls.append((await client.get(urls[2].partition("rewards.test")[2], headers={"User-Agent": "iPhone"})).headers["location"])
    urls.append((await client.post(urls[0].partition("rewards.test")[2])).headers["location"])
    assert len(urls) == 9
    for url in urls:
        decoded = " ".join(str(each) for each in readable(url))
        for name in ("C-1001-secret", "someone", "mail.example", "30901820", "shop.example"):
            assert name not in decoded.replace("https://shop.example/autumn?", ""), (url, name)


def readable(url: str) -> list[Any]:
    """All that can be read out of a URL: as it is, and each part of it in base64."""
    found: list[Any] = [url]
    for part in re.split(r"[/.=&?]", url):
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) if re.fullmatch(r"[A-Za-z0-9_-]{16,}", part) else b""
        found.append(data)
        with contextlib.suppress(ValueError):  # what is sealed may begin like an object and not be one
            found.append(json.loads(data))
    return found


@pytest.mark.parametrize("name", ["a link, claimed on our page", "a wallet"])
def test_what_is_longest_in_a_token_is_what_the_sender_chose(name: str) -> None:
    """Of a token's length the signature is 86 and the header some 70; the rest is what it says."""
    header, _, signature = FORMS[name][0].split(".")
    assert (len(signature), len(header) <= 72) == (86, True)
