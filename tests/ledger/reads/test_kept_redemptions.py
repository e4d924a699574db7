"""What was decided on a redemption step can be read under its key, without deciding anything."""

from __future__ import annotations

import msgspec

from ledger import Book, Ledger, RedemptionOutcome
from ledger.testing import authorize, fund, order


async def test_what_was_decided_is_read_as_its_replay_answers_it(ledger: Ledger, book: Book) -> None:
    await ledger.fund(fund(book, 1000))
    await ledger.grant(order(book, points=100))
    for step in (authorize(book, 7, 40, key="little"), authorize(book, 7, 400, key="too much")):
        assert await ledger.kept_redemption(step) is None
        assert (await ledger.balance(book, 7)).spendable == (100 if step.key == "little" else 60)
        await ledger.redeem(step)
        kept = await ledger.kept_redemption(step)
        assert kept == await ledger.redeem(step)
        another = msgspec.structs.replace(step, request_hash=bytes(reversed(range(32))))
        reused = await ledger.kept_redemption(another)
        assert reused is not None
        assert (reused.outcome, reused.replayed) == (RedemptionOutcome.IDEMPOTENCY_KEY_REUSED, False)
        foreign = msgspec.structs.replace(book, brand_id=book.brand_id + 1)
        assert await ledger.kept_redemption(msgspec.structs.replace(step, book=foreign)) is None
