"""What the demo's visitor does without a message, an app or a till: by the demo's own keys, as its systems would."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from service.auth.api_keys import hash_key
from service.auth.principal import Principal
from service.customer_pages import access
from service.customer_pages.access import Headers
from service.customer_pages.schemas import MintedPage, PageLinkRequest
from service.customers import balances
from service.customers.schemas import CustomerRef
from service.demo_shop import demo_file
from service.demo_shop.goods import GOODS, Good
from service.evidence.bot_detection import is_pressed_on_our_page
from service.http.problems import Problem, not_found
from service.links import mint
from service.links.schemas import LinkBatch, LinkRequest, MintedLink
from service.redemptions import actions as redemptions
from service.redemptions.schemas import RedemptionRequest
from service.storage.database import is_away

if TYPE_CHECKING:
    from service.services import Services

_ORDER = re.compile(r"demo-[0-9a-f-]{1,58}")
"""What the shop names its orders, one for each page it shows and good on it."""

_link_decoder = msgspec.json.Decoder(LinkRequest)


class Till(msgspec.Struct, frozen=True):
    """What the shop knows of its visitor: what they have, or ``None`` where there is no demo; and the order it would make."""

    balance: int | None
    order_ref: str


async def fresh_link(services: Services) -> str:
    """The URL of a link of a message that was sent just now."""
    demo, messaging = await _system(services, "messaging")
    item = {
        "campaign": demo.campaign,
        "message_id": f"again-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        "customer": {"id": demo_file.CUSTOMER},
        "action": "click",
        "channel": "email",
        "destination": demo.base_url + demo_file.SHOP_PATH,
    }
    raw = msgspec.json.encode(item)
    batch = LinkBatch([raw], _link_decoder, len(raw))
    (minted,) = await mint.mint(services, messaging, batch, now=await services.clocks.now(messaging.brand))
    return _url_of(minted)


async def wallet(services: Services) -> str:
    """The URL of the customer's wallet."""
    _, messaging = await _system(services, "messaging")
    wanted = PageLinkRequest(customer=CustomerRef(id=demo_file.CUSTOMER), kind="wallet")
    (minted,) = await access.mint(services, messaging, [wanted], now=await services.clocks.now(messaging.brand))
    return _url_of(minted)


async def till(services: Services) -> Till:
    """The shop, as it stands before the visitor has chosen."""
    try:
        _, storefront = await _system(services, "storefront")
        has = await balances.balance(services, storefront.brand, demo_file.CUSTOMER)
    except Exception as error:
        # Links lead here while the database is away, too.
        if not isinstance(error, Problem) and not is_away(error):
            raise
        return Till(None, "")
    return Till(has.balance, f"demo-{secrets.token_hex(6)}")


async def pay(services: Services, headers: Headers, form: bytes) -> Good:
    """Take points for a good at once. The same form again is the same order, which is paid once."""
    said = parse_qs(form.decode(errors="replace"))
    good = next((good for good in GOODS if [good.name] == said.get("good")), None)
    order_ref = said.get("order", [""])[0]
    if good is None or not _ORDER.fullmatch(order_ref) or not is_pressed_on_our_page(headers):
        raise not_found("good")
    _, storefront = await _system(services, "storefront")
    wanted = RedemptionRequest(
        customer=CustomerRef(id=demo_file.CUSTOMER), points=good.points, order_ref=order_ref, capture=True
    )
    await redemptions.authorize(services, storefront.brand, wanted, order_ref)
    return good


async def _system(services: Services, name: str) -> tuple[demo_file.Demo, Principal]:
    """The demo, and one of its systems as the API knows it by its key."""
    demo = demo_file.read(demo_file.path_of(services.settings))
    principal: Principal | None = None if demo is None else await services.principals.by_hash(hash_key(demo.keys[name]))
    if demo is None or principal is None:
        raise not_found("demo")
    return demo, principal


def _url_of(minted: MintedLink | MintedPage | Problem) -> str:
    if isinstance(minted, Problem):
        raise minted
    return minted.url
