"""From receipts of a device to what became of each.

    1. check     the signature, then the device, then the time: who signed nothing is told nothing
    2. find      the message, by a reward link's token or as it was registered: it has to be the customer's of the device
    3. note      the nonce, and what the device may earn today, in its row: one short transaction
    4. report    as the brand's own system would: the same act is one grant, whoever reports it

Nothing is paid for a nonce that is not noted, and what was noted is paid when the receipt comes again, should we be killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from service.admission.failed_attempts import RETRY_AFTER_S
from service.app_receipts.devices import Device, find
from service.app_receipts.nonces import Nonces, Use
from service.app_receipts.schemas import AppReceipt, AppReceiptsRequest
from service.app_receipts.signatures import is_signed, signed_bytes
from service.campaigns.queries import campaign_of_link
from service.customers.schemas import CustomerRef
from service.grants.schemas import GrantAnswer, GrantRequest
from service.http.identifiers import customer_id
from service.http.problems import CODES, Problem, not_found
from service.ingest.daily_limit import at_most, paid, report_within
from service.ingest.matching.linked_messages import linked_messages
from service.ingest.meanings import FoundMessage, NoMessage
from service.messages.matching import Sent
from service.observability import metrics
from service.providers.types import EventKind, ProviderEvent

if TYPE_CHECKING:
    from service.services import Services

RECEIPTS_A_DAY_MAX = 200
"""Of one device, on a business day."""
AGE_MAX = timedelta(days=7)
"""How long an app may be offline."""
AHEAD_MAX = timedelta(minutes=5)

_EVIDENCE: Mapping[str, Literal["B", "D"]] = {"open": "D", "read": "D", "click": "B"}
_SQL = Path(__file__).with_name("sql")
_MESSAGES = (_SQL / "messages_of_device.sql").read_text()
_LOCK = "SELECT day, receipts, points, nonces FROM rewards.app_device WHERE device_no = $1 FOR UPDATE"
_NOTE = "UPDATE rewards.app_device SET day = $2, receipts = $3, points = $4, nonces = $5 WHERE device_no = $1"
_GIVE_BACK = "UPDATE rewards.app_device SET points = greatest(0, points - $3) WHERE device_no = $1 AND day = $2"

Answer: TypeAlias = GrantAnswer | Problem


class _Report(msgspec.Struct, frozen=True):
    """A receipt that can be reported, the bytes that were signed, and what it could earn."""

    receipt: AppReceipt
    signed: bytes
    item: GrantRequest
    cost: int


async def report(services: Services, request: AppReceiptsRequest, network: str) -> list[Answer]:
    """Decide the receipts of a device, in order. Who has sent many from ``network`` that no device signed is turned away."""
    answers = await _decided(services, request)
    for answer in answers:
        metrics.app_receipts.labels(_counted_as(answer)).inc()
    guesses = services.receipt_guesses
    if all(_counted_as(answer) == "receipt_refused" for answer in answers):
        if guesses.exceeded(network):
            raise Problem("too_many_guesses", CODES["too_many_guesses"].meaning, headers={"Retry-After": str(RETRY_AFTER_S)})
        guesses.note(network)
    return answers


async def _decided(services: Services, request: AppReceiptsRequest) -> list[Answer]:
    device = await find(services, request.device)
    now = datetime.now(UTC) if device is None else await services.clocks.now(device.brand)
    answers: dict[int, Answer] = {}
    signed: dict[int, tuple[AppReceipt, bytes]] = {}
    for n, receipt in enumerate(request.receipts):
        covered = signed_bytes(request.device, receipt.nonce, receipt.at_ms, receipt.action, receipt.token, receipt.message_id)
        if (problem := _refusal(device, receipt, covered, now)) is not None:
            answers[n] = problem
        else:
            signed[n] = receipt, covered
    if device is not None and signed:
        answers |= await _reported(services, device, signed, now)
    return [answers[n] for n in range(len(request.receipts))]


def _refusal(device: Device | None, receipt: AppReceipt, covered: bytes, now: datetime) -> Problem | None:
    """Why a receipt is not taken. An unknown device is the same as a wrong signature, to whoever guesses."""
    if device is None or not is_signed(device.public_key, receipt.signature, covered):
        return _problem("receipt_refused")
    if device.is_revoked:
        return _problem("device_revoked")
    if (receipt.token is None) == (receipt.message_id is None):
        return Problem("invalid_field", "A receipt needs exactly one of token and message_id.")
    if not now - AGE_MAX <= _at(receipt) <= now + AHEAD_MAX:
        return _problem("receipt_stale")
    return None


def _at(receipt: AppReceipt) -> datetime:
    return datetime.fromtimestamp(receipt.at_ms / 1_000, UTC)


def _problem(code: str) -> Problem:
    return Problem(code, CODES[code].meaning)


def _counted_as(answer: Answer) -> str:
    if isinstance(answer, Problem):
        return answer.code
    return "replayed" if answer.replayed else answer.outcome


async def _reported(
    services: Services, device: Device, signed: Mapping[int, tuple[AppReceipt, bytes]], now: datetime
) -> dict[int, Answer]:
    """What becomes of receipts that the device signed."""
    receipts = {n: receipt for n, (receipt, _) in signed.items()}
    items = await _items(services, device, receipts, now)
    answers: dict[int, Answer] = {n: item for n, item in items.items() if isinstance(item, Problem)}
    wanted = {
        n: _Report(*signed[n], item, await at_most(services, device, item))
        for n, item in items.items()
        if isinstance(item, GrantRequest)
    }
    refused, reserved = await _noted(services, device, wanted, now)
    answers |= refused
    reports = {n: each for n, each in wanted.items() if n not in refused}
    items_ = [each.item for each in reports.values()]
    decided = await report_within(services, device, items_, now, remaining=reserved)
    answers |= dict(zip(reports, decided, strict=True))
    if reserved is not None:
        spare = reserved - sum(paid(each) for each in decided)
        await services.pool.execute(_GIVE_BACK, device.device_no, device.brand.calendar.day(now), spare)
    return answers


async def _noted(
    services: Services, device: Device, wanted: Mapping[int, _Report], now: datetime
) -> tuple[dict[int, Problem], int | None]:
    """Which receipts are not taken, and how many points the others may earn today; ``None``: any number."""
    refused: dict[int, Problem] = {}
    today = device.brand.calendar.day(now)
    async with services.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, device.device_no)
        if row is None:
            # Erased since.
            return {n: _problem("receipt_refused") for n in wanted}, 0
        receipts, points = (row["receipts"], row["points"]) if row["day"] == today else (0, 0)
        nonces = Nonces(row["nonces"], int((now - AGE_MAX).timestamp()))
        for n, each in wanted.items():
            use = nonces.use(each.receipt.nonce, each.signed, each.receipt.at_ms // 1_000)
            if use is Use.TAKEN:
                refused[n] = _problem("nonce_taken")
            elif use is Use.NEW and receipts >= RECEIPTS_A_DAY_MAX:
                nonces.forget(each.receipt.nonce)
                refused[n] = _problem("too_many_receipts")
            else:
                receipts += use is Use.NEW
        reserved = _reserved(device, points, sum(each.cost for n, each in wanted.items() if n not in refused))
        await connection.execute(_NOTE, device.device_no, today, receipts, points + (reserved or 0), nonces.stored)
    return refused, reserved


def _reserved(device: Device, points: int, costs: int) -> int | None:
    """How many points may be earned now: what is not is given back."""
    return None if device.daily_points_max is None else max(0, min(costs, device.daily_points_max - points))


async def _items(
    services: Services, device: Device, receipts: Mapping[int, AppReceipt], now: datetime
) -> dict[int, GrantRequest | Problem]:
    """The report of each receipt, or why it is of no message of the device's customer."""
    linked = await _of_tokens(services, device, {n: each for n, each in receipts.items() if each.token is not None}, now)
    registered = await _of_ids(services, device, {n: each for n, each in receipts.items() if each.message_id is not None})
    found = {**linked, **registered}
    owners = {each.customer for each in found.values() if isinstance(each, FoundMessage)}
    people = await services.customers.find_numbers(device.brand, owners | {device.customer})
    own = people.get(device.customer)
    items: dict[int, GrantRequest | Problem] = {}
    for n, receipt in receipts.items():
        message = found.get(n)
        if isinstance(message, FoundMessage):
            owner = people.get(message.customer)
            if owner is not None and own is not None and owner.customer == own.customer:
                items[n] = _item(receipt, message)
                continue
        items[n] = _no_message(message)
    return items


def _no_message(message: FoundMessage | NoMessage | None) -> Problem:
    """Somebody else's message is none: what there is of others is not to be found out."""
    is_revoked = isinstance(message, NoMessage) and message.reason == "link_revoked"
    return _problem("link_revoked") if is_revoked else not_found("message of this customer")


def _item(receipt: AppReceipt, message: FoundMessage) -> GrantRequest | Problem:
    occurred_at = _at(receipt)
    if message.expires_at is not None and message.expires_at <= occurred_at:
        return _problem("link_expired")
    return GrantRequest(
        campaign=message.campaign,
        message_id=message.message_id,
        customer=CustomerRef(id=customer_id(message.customer)),
        action=receipt.action,
        channel=message.channel,
        # A device's clock is not trusted to be ahead of ours.
        occurred_at=occurred_at,
        link=message.label or None,
        evidence=_EVIDENCE[receipt.action],
    )


async def _of_tokens(
    services: Services, device: Device, receipts: Mapping[int, AppReceipt], now: datetime
) -> dict[int, FoundMessage | NoMessage | None]:
    events = [
        ProviderEvent(
            natural_key=each.nonce, kind=EventKind.CLICKED, provider_kind=each.action, channel="push", token=each.token
        )
        for each in receipts.values()
    ]
    return dict(zip(receipts, await linked_messages(services, device, events, now), strict=True))


async def _of_ids(
    services: Services, device: Device, receipts: Mapping[int, AppReceipt]
) -> dict[int, FoundMessage | NoMessage | None]:
    """The messages that were registered for the device's customer, whichever number they had then."""
    if not receipts:
        return {}
    own = (await services.customers.find_numbers(device.brand, {device.customer})).get(device.customer)
    numbers = [] if own is None else [own.customer, *own.former]
    names = list({each.message_id for each in receipts.values() if each.message_id is not None})
    rows: Sequence[Any] = await services.pool.fetch(_MESSAGES, device.brand.brand_id, names, numbers)
    sent = {row["message_id"]: Sent(*row) for row in reversed(rows)}
    return {
        n: await _registered(services, sent.get(each.message_id)) for n, each in receipts.items() if each.message_id is not None
    }


async def _registered(services: Services, sent: Sent | None) -> FoundMessage | NoMessage | None:
    if sent is None or sent.message_id is None:
        return None
    standing = await campaign_of_link(services, sent.campaign_no)
    if sent.is_revoked or standing is None:
        return NoMessage("link_revoked")
    return FoundMessage(sent.message_id, standing.current.id, sent.customer, sent.channel, "provider_id")
