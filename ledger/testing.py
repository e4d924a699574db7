"""For tests of programs that embed the ledger: complete orders and steps, and a clock that stands still.

    await set_clock(owner, book, NOON)
    await ledger.fund(fund(book, 100))
    await ledger.grant(order(book, customer=7, points=5))
    await ledger.redeem(authorize(book, customer=7, points=3))

Name what the test is about and leave out the rest. An order's event key and a step's request hash follow from its contents, as
in a real program; ``key`` is a fresh idempotency key unless given.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, TypedDict, Unpack

import asyncpg
import msgspec

from ledger.events import event_key, proof_key
from ledger.point_value import PointValue
from ledger.types import (
    AccountClass,
    Adjust,
    Book,
    CapUse,
    ClawBack,
    Corroboration,
    Fund,
    Grade,
    GrantOrder,
    GrantTerms,
    Operation,
    PurchaseReturn,
    Redeem,
)

NOON = datetime(2030, 1, 15, 12, tzinfo=UTC)
"""A moment in the future: a book's clock can be moved forward only."""

_STANDS_STILL = timedelta(seconds=55)
_numbers = itertools.count(1)


async def set_clock(owner: asyncpg.Connection[Any], book: Book, at: datetime) -> None:
    """Move a book's clock to ``at``, where it stands still for most of a minute. ``owner`` connects as the tables' owner.

    A book's time is never before its last posting's: so that is set to ``at`` too, and the clock has to catch up with it.
    """
    moved = await owner.execute(
        """
        UPDATE ledger.head SET posted_at = $3, clock_offset = $3 - clock_timestamp() - $4
        WHERE book_id = $1 AND brand_id = $2 AND posted_at <= $3
        """,
        book.book_id,
        book.brand_id,
        at,
        _STANDS_STILL,
    )
    if moved != "UPDATE 1":
        raise ValueError(f"{book} has no clock before {at}")


class Terms(TypedDict, total=False):
    """The terms of an order that may differ from those of a click on an email that pays 5 points."""

    campaign_no: int
    points: int
    grade: Grade
    action: str
    channel: str
    expires_on: date | None
    account_class: AccountClass
    caps: tuple[CapUse, ...]
    waits: bool
    unlimited: bool
    held_back: bool
    again: bool


def terms(book: Book, **changed: Unpack[Terms]) -> GrantTerms:
    """What a click on an email pays."""
    plain = GrantTerms(
        book,
        campaign_no=1,
        points=5,
        grade=Grade.B,
        action="click",
        channel="email",
        source="api",
        principal=1,
        campaign_version=1,
        rule=0,
    )
    return msgspec.structs.replace(plain, **changed)


def order(
    book: Book,
    *,
    customer: int = 7,
    message_id: str = "message-1",
    qualifier: str = "",
    at: datetime = NOON,
    metadata: str | None = None,
    due_at: datetime | None = None,
    former: tuple[int, ...] = (),
    past: tuple[int, ...] = (),
    generation: int | None = None,
    corroboration: Corroboration | None = None,
    **changed: Unpack[Terms],
) -> GrantOrder:
    """A grant for one click on one email.

    ``former`` are the customers merged into ``customer``, ``past`` those with whom they were merged for a time. The generation
    is the number of ``former`` unless given.
    """
    paid = terms(book, **changed)

    def key(of: int) -> bytes:
        return event_key(
            campaign_no=paid.campaign_no, message_id=message_id, customer=of, action=paid.action, qualifier=qualifier
        )

    return GrantOrder(
        terms=paid,
        key=key(customer),
        customer=customer,
        message_id=message_id,
        window_at=at,
        occurred_at=at,
        qualifier=qualifier,
        metadata=metadata,
        due_at=due_at,
        former_keys=tuple(key(each) for each in former),
        past_keys=tuple((each, key(each)) for each in past),
        generation=len(former) if generation is None else generation,
        corroboration=corroboration,
    )


def corroboration(
    *,
    customer: int = 7,
    message_id: str = "message-1",
    campaign_no: int = 1,
    may_wait: tuple[str, ...] = (),
    former: tuple[int, ...] = (),
    past: tuple[int, ...] = (),
    needs: Grade = Grade.B,
) -> Corroboration:
    """How an act on a message corroborates the actions ``may_wait`` on the same message."""
    ids = (customer, *former)

    def key(of: int, action: str) -> bytes:
        return event_key(campaign_no=campaign_no, message_id=message_id, customer=of, action=action)

    return Corroboration(
        proof_keys=tuple(proof_key(campaign_no=campaign_no, message_id=message_id, customer=each) for each in ids),
        may_wait=tuple(tuple(key(each, action) for each in ids) for action in may_wait),
        past_keys=tuple(tuple((each, key(each, action)) for each in past) for action in may_wait),
        needs=needs,
    )


def fund(book: Book, points: int, *, campaign_no: int = 1, key: str | None = None) -> Fund:
    """Points for a campaign."""
    return Fund(book, campaign_no, points, key or _fresh_key(), _request_hash(campaign_no, points))


def authorize(
    book: Book,
    customer: int,
    points: int,
    *,
    key: str | None = None,
    hold_s: int = 600,
    capture: bool = False,
    order_ref: str = "order-1",
    value: int | None = None,
    **said: str | datetime | None,
) -> Redeem:
    """Set points aside, for ten minutes unless given. ``said`` are ``store_id``, ``terminal_id`` and ``occurred_at``."""
    return _step(
        book,
        Operation.AUTHORIZE,
        key or _fresh_key(),
        customer=customer,
        points=points,
        hold_s=hold_s,
        capture=capture,
        order_ref=order_ref,
        value=value,
        **said,
    )


def capture(
    book: Book,
    redemption: int,
    points: int = 0,
    *,
    final: bool = True,
    key: str | None = None,
    grace_s: int = 0,
    **said: str | datetime | None,
) -> Redeem:
    """Spend what is held: ``points`` of it, or all. ``said`` are ``ref``, ``store_id``, ``terminal_id`` and ``occurred_at``."""
    asked = _step(book, Operation.CAPTURE, key or _fresh_key(), redemption=redemption, points=points, final=final, **said)
    return msgspec.structs.replace(asked, grace_s=grace_s)


def void(book: Book, redemption: int, *, key: str | None = None) -> Redeem:
    """Release what is held. Needs no idempotency key."""
    return _step(book, Operation.VOID, key, redemption=redemption)


def refund(book: Book, redemption: int, points: int = 0, *, key: str | None = None, **said: str | None) -> Redeem:
    """Return what was spent: ``points`` of it, or all. ``said`` as of a capture."""
    return _step(book, Operation.REFUND, key or _fresh_key(), redemption=redemption, points=points, **said)


def claw_back(
    granted: GrantOrder, points: int | None = None, *, key: str | None = None, reason: str = "by mistake"
) -> ClawBack:
    """Take a grant's points back: ``points`` of them, or all."""
    return ClawBack(
        granted.book,
        granted.terms.campaign_no,
        granted.key,
        key or _fresh_key(),
        _request_hash(granted.terms.campaign_no, granted.key.hex(), points, reason),
        reason,
        points,
    )


def returned(
    granted: GrantOrder,
    amount: int,
    *,
    bought: int,
    per: tuple[int, int] | None,
    reference: str | None = None,
    value: PointValue | None = None,
) -> PurchaseReturn:
    """Return ``amount`` of a purchase that earned by ``per``, so many points for so many minor units, or a fixed number."""
    points, minor_units = per or (None, None)
    return PurchaseReturn(
        book=granted.book,
        campaign_no=granted.terms.campaign_no,
        event_key=granted.key,
        reference=reference or _fresh_key(),
        request_hash=_request_hash(amount, value),
        reason="returned",
        bought=bought,
        amount=amount,
        per_points=points,
        per_minor_units=minor_units,
        value=value,
    )


def adjust(
    book: Book,
    customer: int,
    points: int,
    *,
    campaign_no: int = 1,
    key: str | None = None,
    reason: str = "goodwill",
    expires_on: date | None = None,
    account_class: AccountClass = AccountClass.ENGAGEMENT,
) -> Adjust:
    """Give points out of a campaign's budget; or take some, below zero."""
    return Adjust(
        book,
        customer,
        points,
        key or _fresh_key(),
        _request_hash(customer, points, reason),
        reason,
        campaign_no if points > 0 else None,
        account_class,
        expires_on,
    )


def _step(book: Book, operation: Operation, key: str | None, **fields: Any) -> Redeem:
    return Redeem(book=book, operation=operation, key=key, request_hash=_request_hash(sorted(fields.items())), **fields)


def _fresh_key() -> str:
    return f"key-{next(_numbers)}"


def _request_hash(*fields: Any) -> bytes:
    return sha256(msgspec.json.encode(fields)).digest()
