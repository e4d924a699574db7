"""Codes of batches, brought by whoever has one: the first person is paid, once; or each person, once.

    find         the code of a batch that pays somebody, or the page that says why it pays nobody
    offer_of     what it earns now
    claim        what a storefront or an app reports: this customer has this code
    look         the page of a code: what it earns, and for which email
    claim_page   that page sent in: by an email that nobody has proved, so as a person's act on our page (grade B)

A code is first taken for a customer, in a statement of its own, and then pays them as a link in a message of its own would. Who
is interrupted in between tries again; whoever comes second finds it taken. Where there was nothing to decide, it is given back.
A code that pays each is taken for nobody: it is one message to everybody, which pays each once as any message does. One that
rotates is a code only for a while (see ``tokens.rotating_code``).

The page shows no balance and says nobody who has used a code: an email is not a proof of who somebody is.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec
from litestar.status_codes import HTTP_404_NOT_FOUND
from litestar.types import Receive

from ledger import Grade
from service.admission.client_networks import client_network
from service.admission.failed_attempts import RETRY_AFTER_S
from service.admission.limits import FORM_BYTES_MAX, PARAMETERS_MAX
from service.auth.principal import Principal
from service.auth.scopes import Scope
from service.brands.brand import Brand
from service.campaigns.queries import campaign_is_paused, campaign_version
from service.campaigns.rules import Campaign
from service.code_batches.actions import find_code, issued_code
from service.code_batches.queries import BatchCode
from service.code_batches.schemas import CodeClaimRequest
from service.customers import actions as customers
from service.customers.queries import Customer
from service.customers.schemas import CustomerRef
from service.evidence.bot_detection import grade as judge
from service.evidence.click_log import network_of
from service.grants import actions as grants
from service.grants.queries import find_decision, find_decision_with_balance
from service.grants.schemas import GrantAnswer
from service.http.bodies import read_body
from service.http.problems import CODES, Problem, not_found
from service.link_pages import lookup, visits
from service.link_pages.lookup import Visitor
from service.link_pages.offers import page_of
from service.link_pages.pages import Answer, Page, redirect, respond
from service.tokens import receipt as claim_receipts
from service.tokens.code import scanned_code
from service.tokens.receipt import ClaimReceipt
from service.tokens.rotating_code import OPENABLE_STEPS

if TYPE_CHECKING:
    from service.services import Services

_SQL = Path(__file__).with_name("sql")
_TAKE = (_SQL / "take_code.sql").read_text()
_TAKER = "SELECT batch_code.customer FROM rewards.batch_code WHERE batch_code.code_hash = $1"
_GIVE_BACK = (_SQL / "release_code.sql").read_text()


class _Act(msgspec.Struct, frozen=True):
    """A code in a customer's hands, as grants know a link."""

    campaign_no: int
    campaign_version: int
    customer: int
    message_id: str
    action: str
    channel: str
    label: str
    minted_at: datetime


async def claim(services: Services, principal: Principal, wanted: CodeClaimRequest, *, now: datetime) -> GrantAnswer:
    """Pay a customer of the brand's for a code. The same code again is the same grant, and nobody else's."""
    printed, steps_ago = await _printed(services, scanned_code(wanted.code), datetime.now(UTC)) or (None, None)
    if printed is None or printed.brand_id != principal.brand.brand_id:
        raise not_found("code")
    refusal = _refusal(printed, steps_ago, now)
    if refusal is not None:
        # Whoever asks again is told what they got.
        (known,) = await customers.resolve(services, principal.brand, [wanted.customer], dry_run=True)
        if isinstance(known, Problem):
            raise known
        before = await find_decision_with_balance(services, _act(printed, known), known, principal.brand, now)
        if before is None:
            raise refusal
        return before
    (known,) = await customers.resolve(
        services, principal.brand, [wanted.customer], may_attach=Scope.CUSTOMERS_WRITE in principal.scopes
    )
    if isinstance(known, Problem):
        raise known
    answer = await _pay(services, principal.brand, printed, known, principal.max_evidence, now)
    if answer is None:
        raise Problem("code_taken", "Somebody else has used this code.")
    return answer


def _refusal(printed: BatchCode, steps_ago: int | None, now: datetime) -> Problem | None:
    """Why a code pays nobody any more."""
    if printed.revoked_at is not None:
        return Problem("link_revoked", "The brand has withdrawn this batch of codes.")
    if printed.expires_at <= now:
        return Problem("link_expired", "The code has expired.")
    return Problem("link_expired", "The display shows a newer code now.") if steps_ago is None else None


async def _printed(services: Services, code: str | None, at: datetime) -> tuple[BatchCode, int | None] | None:
    """The code of a batch; if there is none, the one that it was typed for."""
    if code is None:
        return None
    return await _as_issued(services, code, await find_code(services, code, at), at)


async def _as_issued(
    services: Services, code: str, found: tuple[BatchCode, int | None] | None, at: datetime
) -> tuple[BatchCode, int | None] | None:
    """What was found, unless it pays nothing now and the code looks like one that does: half of it may be mistyped."""
    if found is not None and found[1] is not None:
        return found
    issued = await issued_code(services, code, at)
    return found if issued is None else await find_code(services, issued, at)


async def look(services: Services, code: str, visitor: Visitor) -> Answer:
    """Show what a code earns, and ask for whom."""
    found = await find(services, code, visitor)
    if found is None:
        return await _as_link_or_mistyped(services, code, visitor, visits.look, look)
    if isinstance(found, FoundCode) and found.steps_ago > OPENABLE_STEPS:
        return respond(Page.CODE_MOVED_ON, brand=found.brand, destination=found.printed.destination)
    if isinstance(found, Answer):
        return found
    if await _is_used_up(services, found):
        return respond(Page.CODE_TAKEN, brand=found.brand, destination=found.printed.destination)
    return await _ask(services, found)


async def claim_page(services: Services, code: str, visitor: Visitor, *, receive: Receive) -> Answer:
    """Pay whoever's email was sent in."""
    found = await find(services, code, visitor)
    if found is None:
        again = functools.partial(claim_page, receive=receive)
        return await _as_link_or_mistyped(services, code, visitor, visits.claim, again)
    if isinstance(found, Answer):
        return found
    email = (await _form(receive)).get("email", "").strip()
    if judge(visitor.method, visitor.headers, since_sent_s=0).grade is not Grade.B:
        return await _ask(services, found, email=email)
    printed, brand = found.printed, found.brand
    if printed.pays_each and services.shared_code_claims.exceeded(_network(visitor)):
        return respond(Page.BUSY, brand=brand, destination=printed.destination)
    try:
        with lookup.in_time(services):
            (known,) = await customers.resolve(services, brand, [CustomerRef(email=email)])
            if isinstance(known, Problem):
                if known.spec.retryable:
                    raise known
                return await _ask(services, found, email=email[:254], email_is_wrong=True)
            answer = await _pay(services, brand, printed, known, Grade.B, found.now)
    except lookup.Unavailable:
        return respond(Page.BUSY, brand=brand, destination=printed.destination)
    is_hers_already = answer is not None and answer.outcome == "granted" and answer.replayed
    if answer is None or (is_hers_already and not printed.pays_each):
        return respond(Page.CODE_TAKEN, brand=brand, destination=printed.destination)
    if printed.pays_each:
        services.shared_code_claims.note(_network(visitor))
    receipt = ClaimReceipt(
        brand=brand.code,
        destination_no=printed.destination_no,
        campaign_no=printed.campaign_no,
        campaign_version=printed.campaign_version,
        # Whoever's address this is, nobody is told whether they were here before.
        page=Page.CODE_CLAIMED if answer.outcome == "granted" else page_of(answer),
        points=answer.points,
        balance=None,
        issued_at=int(visitor.at.timestamp()),
    )
    return redirect(f"/r/done/{claim_receipts.seal(receipt, services.token_keys.receipts)}")


async def _form(receive: Receive) -> dict[str, str]:
    """The fields of a form that a browser sends: of several of one name the last, and none of what is too long to be one."""
    try:
        return _fields_of(await read_body(receive, bytes_max=FORM_BYTES_MAX))
    except Problem:
        return {}


def _fields_of(body: bytes) -> dict[str, str]:
    """What a form says; nothing where it cannot be read, because a letter that is lost makes another address."""
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=PARAMETERS_MAX, errors="strict"))
    except ValueError:
        return {}


class FoundCode(msgspec.Struct, frozen=True):
    """A code that pays, whose it is, and how many time steps ago it was shown."""

    printed: BatchCode
    brand: Brand
    now: datetime
    """By the brand's clock."""
    steps_ago: int


async def find(services: Services, code: str, visitor: Visitor) -> FoundCode | Answer | None:
    """The code of a batch; the page that says why it pays nothing; or ``None``: then it may be a link's.

    ``code`` is as `code_in` finds it.
    """
    try:
        with lookup.in_time(services):
            there = await find_code(services, code, visitor.at)
            if there is None:
                return None
            if not services.code_guesses.exceeded(client_network(visitor.address)):
                there = await _as_issued(services, code, there, visitor.at) or there
            printed, steps_ago = there
            brand: Brand | None = await services.brands.by_id(printed.brand_id)
            if brand is None or not services.link_hosts.is_at_home(brand, visitor.headers):
                return respond(Page.NOT_FOUND, brand=services.link_hosts.brand_at(visitor.headers))
            services.last_known.see_brand(brand)
            clocks = services.clocks
            at = await clocks.at(brand, visitor.at)
    except lookup.Unavailable:
        return None
    if printed.revoked_at is not None:
        page = Page.REVOKED
    elif printed.expires_at <= at:
        page = Page.EXPIRED
    elif steps_ago is None:
        # It may never have been shown.
        services.code_guesses.note(client_network(visitor.address))
        page = Page.CODE_MOVED_ON
    else:
        return FoundCode(printed, brand, at, steps_ago)
    return respond(page, brand=brand, destination=printed.destination, of_code=True)


Visit = Callable[["Services", str, Visitor], Awaitable[Answer]]


async def _as_link_or_mistyped(services: Services, code: str, visitor: Visitor, of_link: Visit, again: Visit) -> Answer:
    """The answer of the link that the code stands for; else of the code that it was typed for; else it was a guess.

    However many guesses there were, what was asked for has been looked for. Only what it may have been typed for is not then.
    """
    problem = None
    try:
        answer = await of_link(services, code, visitor)
    except Problem as raised:
        if raised.status != HTTP_404_NOT_FOUND:
            raise
        problem, answer = raised, None
    if answer is not None and answer.status_code != HTTP_404_NOT_FOUND:
        return answer
    guesser = client_network(visitor.address)
    if services.code_guesses.exceeded(guesser):
        if problem is not None:
            raise Problem("too_many_guesses", CODES["too_many_guesses"].meaning, headers={"Retry-After": str(RETRY_AFTER_S)})
        return respond(Page.TOO_MANY_GUESSES, brand=services.link_hosts.brand_at(visitor.headers))
    issued = await issued_code(services, code, visitor.at)
    if issued is not None:
        return await again(services, issued, visitor)
    services.code_guesses.note(guesser)
    if answer is None:
        assert problem is not None
        raise problem
    return answer


def _network(visitor: Visitor) -> str:
    return network_of(visitor.address) or ""


async def _is_used_up(services: Services, found: FoundCode) -> bool:
    """Whether a code was taken and something was decided. If not, whoever took it was interrupted, and may try again."""
    printed = found.printed
    if printed.customer is None:
        return False
    known = await customers.by_number(services, found.brand, printed.customer)
    return await find_decision(services, _act(printed, known), known, found.brand, found.now) is not None


async def offer_of(services: Services, found: FoundCode) -> tuple[Page, Campaign | None, int]:
    """What a code earns now: ``Page.CODE`` and how many points, or the page that says why nothing."""
    printed = found.printed
    campaign = await campaign_version(services, printed.campaign_no, printed.campaign_version)
    rule = None if campaign is None else campaign.rule_of_link(printed.action, printed.channel)
    page = Page.CODE
    if campaign is None or rule is None:
        page = Page.NOTHING_TO_EARN
    elif found.now < campaign.starts_at:
        page = Page.NOT_STARTED
    elif found.now >= campaign.ends_at:
        page = Page.OVER
    elif await campaign_is_paused(services, printed.campaign_no):
        page = Page.PAUSED
    return page, campaign, 0 if rule is None else rule.points


async def _ask(services: Services, found: FoundCode, *, email: str = "", email_is_wrong: bool = False) -> Answer:
    page, campaign, points = await offer_of(services, found)
    return respond(
        page,
        brand=found.brand,
        campaign=None if campaign is None else campaign.name,
        points=points,
        destination=found.printed.destination,
        can_claim=page is Page.CODE,
        of_code=True,
        email=email,
        email_is_wrong=email_is_wrong and page is Page.CODE,
    )


async def _pay(
    services: Services, brand: Brand, printed: BatchCode, known: Customer, grade: Grade, now: datetime
) -> GrantAnswer | None:
    """Take the code for a customer, and decide what they get for it; ``None`` if it is somebody else's."""
    if printed.pays_each:
        return await grants.claim(services, _act(printed, known), known, brand, grade, now)
    pool = services.pool
    is_new = await pool.fetchval(_TAKE, printed.code_hash, known.named) is not None
    if not is_new:
        taker: int = await pool.fetchval(_TAKER, printed.code_hash)
        if (await customers.by_number(services, brand, taker)).customer != known.customer:
            return None
    answer = await grants.claim(services, _act(printed, known), known, brand, grade, now)
    if is_new and answer.outcome == "ignored":
        await pool.execute(_GIVE_BACK, printed.code_hash, known.named)
    return answer


def _act(printed: BatchCode, known: Customer) -> _Act:
    return _Act(
        campaign_no=printed.campaign_no,
        campaign_version=printed.campaign_version,
        customer=known.customer,
        message_id=f"code:{printed.batch_id}:{printed.serial}",
        action=printed.action,
        channel=printed.channel,
        label="",
        minted_at=printed.made_at,
    )
