"""Handoffs: a link that leads to the shop at once, and the shop says that a person arrived.

    hand_over   GET of the link: where the customer goes, with a claim that is good once and for half an hour
    confirm     the shop's server (grade A) or its page's script (grade B) gives the claim back, and the act is reported

Following the link earns nothing, so a scanner may. It is not even given a claim where its request shows what it is; and where
that shows only later, because it followed every link of the message, a script's word counts for nothing. A server's does: it
knows who has signed in, or put something into a basket.

A claim pays once, whoever confirms it and however often, because what it reports is the event that the link is for. It says
nothing of the customer.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ledger import Grade
from service.auth.principal import Principal
from service.brands.brand import Brand
from service.brands.destinations import CLAIM_PARAMETER, DestinationRefused, brings_claim, normal_form, normal_origin
from service.campaigns.queries import campaign_version
from service.campaigns.rules import claimed_grade
from service.customers import actions as customers
from service.evidence.bot_detection import SIBLINGS_OF_A_MACHINE, SIBLINGS_WITHIN_S, Verdict, Why
from service.evidence.click_log import Way, count_siblings, message_key
from service.grants import actions as grants
from service.grants.queries import find_decision_with_balance
from service.grants.schemas import GrantAnswer
from service.http.problems import Problem, not_found
from service.link_pages.schemas import ClaimConfirmation
from service.links.queries import LinkRow
from service.tokens import sealing

if TYPE_CHECKING:
    from service.services import Services

LIFE_S = 30 * 60
SIBLINGS_KNOWN_AFTER_S = SIBLINGS_WITHIN_S + 0.5
"""From a visit until it is known what else was fetched; a script is not believed before."""

_TRY_AGAIN = {"Retry-After": "3"}
_MACHINE = GrantAnswer(
    grant_id=None, outcome="ignored", reason="machine", points=0, balance=None, balance_seq=None, replayed=False
)


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a claim stands for: one visit of one link. ``number`` is drawn at random, so that no two visits have the same."""

    brand: str
    link_id: bytes
    visited_ms: int
    number: bytes

    @property
    def visited_at(self) -> datetime:
        """When the link was visited, by the world's clock."""
        return datetime.fromtimestamp(self.visited_ms / 1000, UTC)


def hand_over(brand: str, link_id: bytes, destination: str, verdict: Verdict, keys: Sequence[bytes], now: datetime) -> str:
    """Where to send whoever follows the link. A machine gets no claim."""
    if verdict.is_machine:
        return destination
    claim = Claim(brand=brand, link_id=link_id, visited_ms=int(now.timestamp() * 1000), number=secrets.token_bytes(8))
    parts = urlsplit(destination)
    # A destination of an old link may bring the parameter along, and a script takes the first.
    kept = [each for each in parts.query.split("&") if each and not brings_claim(each)]
    query = "&".join([*kept, f"{CLAIM_PARAMETER}={sealing.seal(claim, keys)}"])
    return urlunsplit(parts._replace(query=query))


async def confirm(
    services: Services,
    asked: ClaimConfirmation,
    *,
    principal: Principal | None,
    origin: str | None,
    headers: Mapping[str, str],
    address: str,
    now: datetime,
) -> GrantAnswer:
    """Report the act of a claim. Without ``principal`` it is a page's script that asks, and ``origin`` says of which page."""
    claim = sealing.unseal(asked.claim, Claim, services.token_keys.handoffs)
    brand = None if claim is None else await services.brands.by_code(claim.brand)
    if claim is None or brand is None or (principal is not None and principal.brand.brand_id != brand.brand_id):
        raise not_found("claim")
    if principal is None and not is_of_shop(origin or "", brand):
        raise Problem("origin_not_allowed", "This page is not on one of the brand's destination hosts.")
    age_s = (now - claim.visited_at).total_seconds()
    row = await services.links.get(claim.link_id)
    if row is None and age_s < LIFE_S:
        # The brand has signed it, and the database was away when it was followed: it is stored with that visit.
        raise Problem("claim_too_early", "The visit is not recorded yet.", headers=_TRY_AGAIN)
    if row is None or row.brand_id != brand.brand_id:
        raise not_found("claim")
    clocks = services.clocks
    at = await clocks.at(brand, now)
    if age_s >= LIFE_S or row.revoked_at is not None:
        known = row.known or await customers.by_number(services, brand, row.customer)
        before = await find_decision_with_balance(services, row, known, brand, at)
        if before is not None:
            return before
        if age_s >= LIFE_S:
            raise Problem("claim_expired", f"A claim is valid for {LIFE_S // 60} minutes.")
        raise Problem("link_revoked", "The link was revoked.")
    verdict = Verdict(_grade(asked, row, principal), Why.CONFIRMED_BY_SHOP)
    if verdict.grade not in (Grade.A, None):
        if age_s < SIBLINGS_KNOWN_AFTER_S:
            raise Problem("claim_too_early", "It is too early to tell a scanner from a person.", headers=_TRY_AGAIN)
        (siblings,) = await count_siblings(services.pool, [(message_key(row.customer, row.message_id), claim.visited_at)])
        if siblings >= SIBLINGS_OF_A_MACHINE:
            verdict = Verdict(None, Why.SIBLINGS)
    points = await _points(services, row)
    services.click_log.note_link(Way.CONFIRM, verdict, headers, row, at=now, brand_at=at, address=address, points=points)
    if verdict.grade is None:
        return _MACHINE
    known = row.known or await customers.by_number(services, brand, row.customer)
    return await grants.claim(services, row, known, brand, verdict.grade, at)


def is_of_shop(origin: str, brand: Brand) -> bool:
    """Whether a page's origin is one of the places that the brand's links may lead to."""
    try:
        is_test = brand.mode == "test"
        leads_to = normal_form(origin, allowed_hosts=brand.destination_hosts, loopback_allowed=is_test)
        return leads_to == f"{normal_origin(origin, loopback_allowed=is_test)}/" and not origin.endswith("/")
    except DestinationRefused:
        return False


async def brand_of(services: Services, sealed: str) -> Brand | None:
    """Whose claim it is, if it is one."""
    claim = sealing.unseal(sealed, Claim, services.token_keys.handoffs)
    return None if claim is None else await services.brands.by_code(claim.brand)


def _grade(asked: ClaimConfirmation, row: LinkRow, principal: Principal | None) -> Grade | None:
    if asked.evidence == "X":
        return None
    strongest = Grade.B if principal is None else principal.max_evidence
    return claimed_grade(row.action, Grade(asked.evidence or strongest), strongest)


async def _points(services: Services, row: LinkRow) -> int:
    campaign = await campaign_version(services, row.campaign_no, row.campaign_version)
    rule = None if campaign is None else campaign.rule_of_link(row.action, row.channel)
    return 0 if rule is None else rule.points
