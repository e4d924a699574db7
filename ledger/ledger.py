"""The facade: every method is one line to a module below.

``async with Ledger(pool) as ledger:`` where the pool connects as a role that may execute the posting functions.

Posting returns after the commit. It raises ``Overloaded`` (nothing was recorded), ``LedgerUnavailable`` (the outcome is
unknown, and asking again is safe), ``ClockSkew``, ``BookRefused`` or ``DataRefused``; ``grant_batch`` returns these as answers
of the items concerned. Reads raise ``BookRefused`` or return nothing for a book that is not the brand's, and otherwise what
asyncpg raises. Points are whole numbers, times are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from ledger import books
from ledger.engine import closing, corrections, grants, merging, offers, pending, quoting, redemptions
from ledger.engine.arrays import register_codecs
from ledger.engine.group_commit import GroupCommit
from ledger.errors import LedgerError
from ledger.layers import reading as layers
from ledger.read_models import (
    ActFilter,
    ActHour,
    Adjustment,
    AsOf,
    Attention,
    Balance,
    BookClock,
    ClockAdvance,
    Close,
    CloseOutcome,
    CorrectionsMade,
    CustomerMessage,
    CustomerMovement,
    Cut,
    DailyMovements,
    DueClawBack,
    Entry,
    Event,
    EventName,
    FeedEntry,
    GrantUses,
    HeldBack,
    HistoryEntry,
    InstantOutcome,
    LeftOpen,
    Lookback,
    Movement,
    MovementsBy,
    Position,
    Reconciliation,
    RedemptionFilter,
    RedemptionSources,
    RedemptionStep,
    Refusal,
    Responders,
    Spendable,
    StageEarned,
    Transfer,
    TransferFilter,
    TrialBalance,
    WalletMovement,
)
from ledger.reads import (
    attention,
    balances,
    closes,
    customers,
    cuts,
    daily_movements,
    event_log,
    finding,
    history,
    movements,
    refusals,
    trial_balance,
)
from ledger.reads import corrections as correction_reads
from ledger.reads import redemptions as redemption_reads
from ledger.reads import wallets as wallet_reads
from ledger.reads.as_of import Reckoner
from ledger.types import (
    AccountClass,
    Adjust,
    AdjustResult,
    Book,
    CapUse,
    ClawBack,
    ClawBackQuote,
    ClawBackResult,
    Fund,
    FundResult,
    GrantOrder,
    GrantOutcome,
    GrantQuote,
    GrantResult,
    MergeResult,
    OfferNote,
    OfferNoted,
    PurchaseReturn,
    Redeem,
    Redemption,
    RedemptionResult,
    ReturnQuote,
    ReturnResult,
    Settlement,
    SplitResult,
    Standing,
)

Answer = TypeVar("Answer")

_ANY_ACT = ActFilter()
_BEGINNING = Position()


class Ledger:
    """Books of points behind one pool. Grants and redemptions have a queue each, so a POS never waits behind a campaign."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self._reckoner = Reckoner(pool)
        self._redemptions: GroupCommit[Redeem, RedemptionResult] = GroupCommit(
            pool, redemptions.post_redemptions, batch_max=100, items_max=5_000, one_book=True
        )
        self._grants: GroupCommit[GrantOrder, GrantResult] = GroupCommit(
            pool, grants.post_prepared, prepare=grants.prepare, on_connect=register_codecs, gives_way_to=self._redemptions
        )
        self._funds: GroupCommit[Fund, FundResult] = GroupCommit(pool, redemptions.post_funds, batch_max=1, items_max=100)
        self._merges: GroupCommit[merging.Grouping, MergeResult | SplitResult] = GroupCommit(
            pool, merging.post_groupings, batch_max=20, items_max=1_000, one_book=True
        )

    async def __aenter__(self) -> Self:
        for queue in (self._grants, self._redemptions, self._funds, self._merges):
            queue.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for queue in (self._grants, self._redemptions, self._funds, self._merges):
            await queue.close()

    @property
    def is_full(self) -> bool:
        """Whether one of the queues is full and refuses more with ``Overloaded``."""
        return any(queue.is_full for queue in (self._grants, self._redemptions, self._funds, self._merges))

    @property
    def waiting(self) -> dict[str, int]:
        """How many items wait in each queue."""
        return {
            "grants": self._grants.waiting,
            "redemptions": self._redemptions.waiting,
            "funds": self._funds.waiting,
            "merges": self._merges.waiting,
        }

    async def grant(self, order: GrantOrder) -> GrantResult:
        """Decide one grant."""
        return _only(await self._grants.submit([order]))

    async def grant_batch(self, orders: Sequence[GrantOrder]) -> list[GrantResult | LedgerError]:
        """Decide many grants, in order. An item that is at fault has an error as its answer and affects no other."""
        return await self._grants.submit(orders)

    async def quote(self, order: GrantOrder) -> GrantQuote:
        """How one grant would be decided now. Writes nothing and waits for nobody."""
        return (await self.quotes([order]))[0]

    async def quotes(self, orders: Sequence[GrantOrder]) -> list[GrantQuote]:
        """The same for many of one book, in order and in one statement, each as if it were the only one."""
        return await quoting.quotes(self._pool, orders)

    async def mature(self, book: Book, campaign_no: int, key: bytes, *, expires_on: date | None) -> Settlement:
        """Give a customer the points that an event holds back, to be spent up to and on the day ``expires_on``; ``None`` is for
        ever.
        """
        return await pending.settle(self._pool, book, campaign_no, key, matures=True, expires_on=expires_on)

    async def reject(self, book: Book, campaign_no: int, key: bytes) -> Settlement:
        """Return the points that an event holds back to the campaign's budget."""
        return await pending.settle(self._pool, book, campaign_no, key, matures=False, expires_on=None)

    async def decision(self, book: Book, campaign_no: int, keys: Sequence[bytes]) -> GrantResult | None:
        """How an event was decided, under whichever of its keys; ``None`` if it was never reported."""
        return await balances.decision(self._pool, book, campaign_no, keys)

    async def event(self, book: Book, campaign_no: int, key: bytes) -> Event | None:
        """What was reported and decided under a key, if anything was."""
        name = (book, campaign_no, key)
        return (await event_log.events(self._pool, [name])).get(name)

    async def events(self, names: Sequence[EventName]) -> dict[EventName, Event]:
        """The same for many, of any books, in one statement. Events that were never reported are left out."""
        return await event_log.events(self._pool, names)

    async def past_events(
        self, book: Book, campaign_no: int, customer: int, past_keys: Sequence[tuple[int, bytes]]
    ) -> list[Event]:
        """Events under keys of other numbers, each decided while ``customer`` was merged with that number. ``past_keys`` pairs
        each number with its key.
        """
        return await event_log.past_events(self._pool, book, campaign_no, customer, past_keys)

    async def find_events(
        self,
        book: Book,
        *,
        customers: Sequence[int] = (),
        campaign_no: int | None = None,
        outcomes: Sequence[GrantOutcome] = (),
        act: ActFilter = _ANY_ACT,
        since: Position = _BEGINNING,
        before: Position | None = None,
        limit: int = 100,
    ) -> tuple[list[Event], Position | None]:
        """A page of events after ``since``, newest first, and the ``before`` of the next page; ``None`` at the end.

        No ``customers`` means all customers, no ``outcomes`` all outcomes. A page may have fewer than ``limit`` events, or
        none, and not be the last.
        """
        return await event_log.find_events(
            self._pool,
            book,
            customers=customers,
            campaign_no=campaign_no,
            outcomes=outcomes,
            act=act,
            since=since,
            before=before,
            limit=limit,
        )

    async def held_back(
        self, book: Book, customers: Collection[int], *, after: HeldBack | None = None, limit: int = 100
    ) -> list[HeldBack]:
        """A page of what is held back for customers, by number and key; the next one begins after the last of this."""
        return await event_log.held_back(self._pool, book, customers, after=after, limit=limit)

    async def refusals(
        self,
        book: Book,
        campaign_no: int,
        outcomes: Sequence[GrantOutcome],
        *,
        after: int = 0,
        until: int | None = None,
        limit: int = 100,
    ) -> tuple[list[Refusal], int | None, int]:
        """A page of a campaign's refusals in the order of their places, the ``after`` of the next page (``None`` at the end),
        and the ``until`` that all pages share.
        """
        return await refusals.refusals(self._pool, book, campaign_no, outcomes, after=after, until=until, limit=limit)

    async def feed(self, book: Book, *, after: Position, limit: int = 100) -> list[FeedEntry]:
        """The feed: what happened to customers after a position, oldest first."""
        return await event_log.feed(self._pool, book, after=after, limit=limit)

    async def feed_end(self, book: Book) -> Position:
        """The position of a reader who has read the whole feed."""
        return await event_log.feed_end(self._pool, book)

    async def redeem(self, step: Redeem) -> RedemptionResult:
        """Authorize, capture, void or refund."""
        return _only(await self._redemptions.submit([step]))

    async def kept_redemption(self, step: Redeem) -> RedemptionResult | None:
        """How a step was decided before, if it was. Posts nothing."""
        return await redemptions.kept_redemption(self._pool, step)

    async def note_offers(self, book: Book, notes: Sequence[OfferNote]) -> list[OfferNoted]:
        """Let offers lapse, and note that messages which made them will not arrive; in order."""
        return await offers.note_offers(self._pool, book, notes)

    async def claw_back(self, asked: ClawBack) -> ClawBackResult:
        """Take points of a grant back."""
        return await corrections.claw_back(self._pool, asked)

    async def claw_backs(self, book: Book, asked: Sequence[ClawBack]) -> list[ClawBackResult]:
        """Take points of many grants of one book back, one after the other. Whoever is interrupted asks for all again."""
        return await corrections.claw_backs(self._pool, book, asked)

    async def claw_back_quotes(self, book: Book, grants: Sequence[tuple[int, bytes]]) -> list[ClawBackQuote | None]:
        """What could be taken back of grants, by their campaigns and keys, in order; ``None`` where there is none."""
        return await corrections.claw_back_quotes(self._pool, book, grants)

    async def return_purchase(self, asked: PurchaseReturn) -> ReturnResult:
        """Take back what a part of a purchase earned."""
        return await corrections.return_purchase(self._pool, asked)

    async def quote_return(self, asked: PurchaseReturn, event: Event) -> ReturnQuote:
        """What a return would do now; ``event`` is the purchase's. Posts nothing."""
        return await corrections.quote_return(self._pool, asked, event)

    async def adjust(self, asked: Adjust) -> AdjustResult:
        """Give a customer points out of a budget, or take some."""
        return await corrections.adjust(self._pool, asked)

    async def correction_numbers(self, book: Book, *, after: int, until: int) -> tuple[int | None, int | None]:
        """The numbers of the first correction that moved points after one ``seq``, and of the last that did up to another."""
        return await correction_reads.correction_numbers(self._pool, book, after=after, until=until)

    async def adjustments(
        self,
        book: Book,
        *,
        customers: Sequence[int] = (),
        reason: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Adjustment]:
        """A page of adjustments, newest first; ``before`` is the last number of the page before. No ``customers`` means all
        customers; of some, no reason can be asked for.
        """
        return await correction_reads.adjustments(
            self._pool, book, customers=customers, reason=reason, before=before, limit=limit
        )

    async def adjustment(self, book: Book, correction_no: int) -> Adjustment | None:
        """One adjustment; ``None`` if there is no such."""
        return await correction_reads.adjustment(self._pool, book, correction_no)

    async def corrections_made(self, book: Book, *, after: int, until: int) -> list[CorrectionsMade]:
        """What corrections with ``after < seq <= until`` moved, by verb, direction and reason; there may be several of each."""
        return await correction_reads.corrections_made(self._pool, book, after=after, until=until)

    async def fund(self, fund: Fund) -> FundResult:
        """Give a campaign points to grant."""
        return _only(await self._funds.submit([fund]))

    async def merge(self, book: Book, *, loser: int, survivor: int) -> MergeResult:
        """Merge ``loser`` into ``survivor``, who gets everything they have. ``loser`` is frozen."""
        result = _only(await self._merges.submit([merging.Merge(book, loser, survivor)]))
        assert isinstance(result, MergeResult)
        return result

    async def split(self, book: Book, *, customer: int, survivor: int) -> SplitResult:
        """Undo a merge: ``customer``, who is merged into ``survivor``, is on their own again, with what they brought."""
        result = _only(await self._merges.submit([merging.Split(book, customer, survivor)]))
        assert isinstance(result, SplitResult)
        return result

    async def align(self, book: Book, standings: Sequence[Standing]) -> MergeResult:
        """Tell the book into whom each customer is merged by now; it splits and merges whatever differs."""
        result = _only(await self._merges.submit([merging.Align(book, tuple(standings))]))
        assert isinstance(result, MergeResult)
        return result

    async def points_returned(self, book: Book, customer: int) -> int:
        """The spendable points that a customer got back when they were last split off; 0 if they never were."""
        return await merging.points_returned(self._pool, book, customer)

    async def redemption(self, book: Book, redemption_id: int) -> Redemption | None:
        """One redemption as it is now; ``None`` if there is no such."""
        return await redemption_reads.redemption(self._pool, book, redemption_id)

    async def find_redemptions(
        self, book: Book, wanted: RedemptionFilter, *, before: int | None = None, limit: int = 100
    ) -> tuple[list[Redemption], int | None]:
        """A page of redemptions, newest first, and the ``before`` of the next page; ``None`` at the end."""
        return await redemption_reads.find_redemptions(self._pool, book, wanted, before=before, limit=limit)

    async def redemption_sources(self, book: Book, redemption_id: int) -> RedemptionSources | None:
        """Which grants a redemption's points came from; ``None`` if there is no such redemption."""
        return await layers.redemption_sources(self._pool, book, redemption_id)

    async def grant_uses(self, book: Book, campaign_no: int, key: bytes) -> GrantUses | None:
        """Where the points of a grant went, and what is left of them; ``None`` if none were granted under this key."""
        return await layers.grant_uses(self._pool, book, campaign_no, key)

    async def balance(self, book: Book, customer: int) -> Balance:
        """What a customer has now."""
        return await balances.balance(self._pool, book, customer)

    async def wallets(
        self, book: Book, *, expires_by: date | None = None, after: int = 0, limit: int = 100
    ) -> tuple[list[tuple[int, Balance]], int | None]:
        """A page of customers who can spend points, by number, with what they have; and the ``after`` of the next page, which
        may come behind an empty one. With ``expires_by`` those alone who lose some by the end of that day.
        """
        return await wallet_reads.wallets(self._pool, book, expires_by=expires_by, after=after, limit=limit)

    async def balances(self, wanted: Sequence[tuple[Book, int]]) -> dict[tuple[Book, int], Balance]:
        """What many customers have now, in one statement for each book."""
        return await balances.balances(self._pool, wanted)

    async def spendable(self, book: Book, customers: Sequence[int]) -> list[Spendable]:
        """The points many customers can spend now, in order, in one statement."""
        return await balances.spendable(self._pool, book, customers)

    async def budget(self, book: Book, campaign_no: int) -> tuple[int, int]:
        """What a campaign was funded with and what it has granted or holds back, in points."""
        return (await self.budgets(book, [campaign_no]))[0]

    async def budgets(self, book: Book, campaign_nos: Sequence[int]) -> list[tuple[int, int]]:
        """The same for many campaigns, in order, in one statement."""
        return await balances.budgets(self._pool, book, campaign_nos)

    async def cap_uses(self, book: Book, campaign_no: int, uses: Sequence[CapUse]) -> list[int]:
        """How many points shared caps have counted in their periods, in order."""
        return await balances.cap_uses(self._pool, book, campaign_no, uses)

    async def issue_limit(self, book: Book) -> tuple[int, int]:
        """How many points a brand may ever issue, and how many it has issued. Raises ``BookRefused``."""
        return await balances.issue_limit(self._pool, book)

    async def reconcile(self, book: Book, campaign_no: int) -> Reconciliation:
        """A campaign's decisions up to now, counted by outcome, channel and hour, beside its budget."""
        return await balances.reconcile(self._pool, book, campaign_no)

    async def statement(self, book: Book, customer: int, *, before: int | None = None, limit: int = 100) -> list[Entry]:
        """What changed a customer's spendable points, newest first; ``before`` is the last ``seq`` of the page before."""
        return await balances.statement(self._pool, book, customer, before=before, limit=limit)

    async def statements(
        self, wanted: Collection[tuple[Book, int]], *, limit: int = 100
    ) -> dict[tuple[Book, int], list[Entry]]:
        """The newest lines of many customers' statements, in one statement for each book."""
        return await balances.statements(self._pool, wanted, limit=limit)

    async def history(
        self, book: Book, customers: Sequence[int], *, before: Position | None = None, limit: int = 100
    ) -> tuple[list[HistoryEntry], Position | None]:
        """A page of all that happened to customers who are one, newest first, and the ``before`` of the next page; ``None`` at
        the end.
        """
        return await history.history(self._pool, book, customers, before=before, limit=limit)

    async def wallet_movements(
        self, book: Book, customers: Sequence[int], *, until: int, starts: Sequence[date]
    ) -> list[WalletMovement]:
        """What changed what is owed to customers who are one, up to ``until``, in no order. Days from one of ``starts``, which
        are in order, to the next are a stretch, by its place; 0 are those before. One may be listed more than once.
        """
        return await history.wallet_movements(self._pool, book, customers, until=until, starts=starts)

    async def wallet_accounts(self, book: Book, customers: Sequence[int]) -> tuple[int, Mapping[AccountClass, int]]:
        """What is owed to customers who are one by their accounts, by class, and as of which ``seq``: lots, and what is set
        aside.
        """
        return await history.wallet_accounts(self._pool, book, customers)

    async def lookback(self, book: Book, span: timedelta) -> Lookback:
        """How far back a span of time goes in the book, from now by its clock."""
        return await attention.lookback(self._pool, book, span)

    async def attention(self, within: Lookback, customers: Sequence[int]) -> list[Attention]:
        """On which messages each customer was reported within a lookback, and what that earned them, in order, in one
        statement.
        """
        return await attention.attention(self._pool, within, customers)

    async def responders(self, within: Lookback) -> Responders:
        """Who acted within a lookback, and which of them are proved to be persons, in one statement."""
        return await attention.responders(self._pool, within)

    async def survivors(self, book: Book, *, after: int, limit: int) -> list[tuple[int, Sequence[int]]]:
        """A page of the customers who are merged into nobody, by number, each with the numbers that are merged into them."""
        return await customers.survivors(self._pool, book, after=after, limit=limit)

    async def customer_movements(
        self, book: Book, numbers: Sequence[int], *, until: int, to: date, starts: Sequence[date]
    ) -> list[CustomerMovement]:
        """What the transfers of customers up to ``until`` moved on the days up to ``to``, in no order. Days from one of
        ``starts``, which are in order, to the next are a stretch, by its place; 0 are those before.
        """
        return await customers.customer_movements(self._pool, book, numbers, until=until, to=to, starts=starts)

    async def customer_messages(self, book: Book, numbers: Sequence[int], *, after: int, until: int) -> list[CustomerMessage]:
        """On which messages customers were reported with ``after < seq <= until``. One may be listed more than once."""
        return await customers.customer_messages(self._pool, book, numbers, after=after, until=until)

    async def act_hours(self, book: Book, *, after: int, until: int) -> list[ActHour]:
        """At which hours of the week customers acted, with ``after < seq <= until``. One may be listed more than once."""
        return await customers.act_hours(self._pool, book, after=after, until=until)

    async def head(self, book: Book) -> Cut:
        """The book as it is now, as a cut that is not kept."""
        return await books.head(self._pool, book)

    async def take_cut(self, book: Book, name: str) -> tuple[Cut, bool]:
        """Keep the book as it is now under a name. The flag says whether the cut is new; if not, it is the one of before."""
        return await books.take_cut(self._pool, book, name)

    async def cut_named(self, book: Book, name: str) -> Cut | None:
        """The cut kept under a name."""
        return await books.cut_named(self._pool, book, name)

    async def cut_at(self, book: Book, seq: int) -> Cut | None:
        """The book up to a ``seq``, as a cut that is not kept; ``None`` if the book ends before."""
        return await books.cut_at(self._pool, book, seq)

    async def as_of(self, book: Book, at: datetime) -> AsOf | InstantOutcome:
        """The book at an instant, to be read like a cut; or why there is no such instant. Nothing is posted at it any more."""
        return await books.as_of(self._pool, book, at)

    async def cut_before_day(self, book: Book, day: date) -> Cut:
        """All that was posted before a business date, as a cut that is not kept."""
        return await cuts.cut_before_day(self._pool, book, day)

    async def place_before_day(self, book: Book, day: date) -> int:
        """The last place that was given to a decision before a business date."""
        return await cuts.place_before_day(self._pool, book, day)

    async def begin_close(
        self, book: Book, *, begins_on: date, ends_on: date, asks: bool = False
    ) -> tuple[CloseOutcome, date | None]:
        """Close a period; nothing can be posted in it from then on. Also says on which day the next period begins; ``None`` if
        none was closed. ``asks`` only says what would be decided.
        """
        return await closing.begin(self._pool, book, begins_on=begins_on, ends_on=ends_on, asks=asks)

    async def advance_close(self, book: Book, close: Close) -> Close:
        """Store or settle a close, a little at a time, and return it as it is then."""
        return await closing.advance(self._pool, self._reckoner, book, close)

    async def close(self, book: Book, ends_on: date) -> Close | None:
        """The close of the period that ends on a day."""
        return await closes.close(self._pool, book, ends_on)

    async def closes(self, book: Book, *, until: date = date.max, limit: int = 100) -> list[Close]:
        """Closes of periods that end on the day ``until`` or before, newest first."""
        return await closes.closes(self._pool, book, until=until, limit=limit)

    async def unsettled_closes(self, book: Book) -> list[Close]:
        """Closes that ``advance_close`` has not settled yet, oldest first."""
        return await closes.unsettled(self._pool, book)

    async def left_open(self, book: Book, ends_on: date) -> LeftOpen:
        """What is still to be decided or posted of a period that ends on a day."""
        return await closes.left_open(self._pool, book, ends_on)

    async def close_balances(
        self, book: Book, of: Close, *, after: bytes = b"", limit: int = 10_000
    ) -> list[tuple[bytes, int]]:
        """A page of the balances that a close has stored, by account. ``after`` is the last account of the page before."""
        return await closes.close_balances(self._pool, book, of, after=after, limit=limit)

    async def close_trial_balance(self, book: Book, of: Close) -> TrialBalance:
        """The trial balance at the end of a closed period."""
        if of.totals is None:
            return await self._reckoner.trial_balance(book, of.as_of)
        return trial_balance.of_sums(of.cut, of.totals.lines)

    async def clock(self, book: Book) -> BookClock:
        """How far the book's clock is ahead of the world's."""
        return await books.clock(self._pool, book)

    async def advance_clock(self, book: Book, *, seconds: int | None = None, to: datetime | None = None) -> ClockAdvance:
        """Move a test book's clock forward, by ``seconds`` or ``to`` a time."""
        return await books.advance_clock(self._pool, book, seconds=seconds, to=to)

    async def trial_balance(self, book: Book, cut: Cut | AsOf) -> TrialBalance:
        """Every account's debits and credits at a cut or as of an instant, by line."""
        if isinstance(cut, AsOf):
            return await self._reckoner.trial_balance(book, cut)
        return await trial_balance.trial_balance(self._pool, book, cut)

    async def due_claw_backs(self, book: Book, as_of: AsOf) -> list[DueClawBack]:
        """What was taken back of holds that timed out by an instant and were not released by then."""
        return [
            DueClawBack.of(due.debit, due.credit, due.amount, due.day)
            for due in await self._reckoner.due_claw_backs(book, as_of)
            if due.day is not None
        ]

    async def account_balances(
        self, book: Book, cut: Cut | AsOf, *, after: bytes | None = None, limit: int = 10_000
    ) -> list[tuple[bytes, int, int]]:
        """A page of accounts at a cut or as of an instant, by id: ``(id, debits, credits)``. ``after`` is the last id of the
        page before.
        """
        if isinstance(cut, AsOf):
            return await self._reckoner.account_balances(book, cut, after=after, limit=limit)
        return await trial_balance.account_balances(self._pool, book, cut, after=after, limit=limit)

    def account_ranges(self, book: Book, cut: Cut, *, accounts: int) -> AsyncIterator[trial_balance.AccountRange]:
        """All accounts in ranges by id: the arguments of ``account_sums_v1`` for each, for callers who let the database write
        the file.
        """
        return trial_balance.account_ranges(self._pool, book, cut, accounts=accounts)

    async def transfers(self, book: Book, *, after: int, cut: int, limit: int = 10_000) -> list[Transfer]:
        """A page of the log: transfers with ``after < seq <= cut``, in order."""
        return await trial_balance.transfers(self._pool, book, after=after, cut=cut, limit=limit)

    async def transfers_as_of(self, book: Book, as_of: AsOf, *, after: int, limit: int = 10_000) -> list[Transfer]:
        """A page of the log up to an instant, and behind it what fell due by then and was posted later."""
        return await self._reckoner.transfers(book, as_of, after=after, limit=limit)

    async def redemptions(self, book: Book, ids: Sequence[int]) -> list[Redemption]:
        """Redemptions as they are now, in order; unknown ids are left out."""
        return await redemption_reads.redemptions(self._pool, book, ids)

    def redemption_steps(
        self, book: Book, *, after: int, until: int, since: date, to: date
    ) -> AsyncIterator[list[RedemptionStep]]:
        """The steps of redemptions in the log from ``after`` to ``until``, with accounting dates from ``since`` to ``to``, in
        pieces.
        """
        return redemption_reads.redemption_steps(self._pool, book, after=after, until=until, since=since, to=to)

    async def find_transfers(
        self, book: Book, wanted: TransferFilter, *, after: int, cut: int, limit: int
    ) -> tuple[list[Transfer], int | None]:
        """A page of the transfers that are ``wanted``, and the ``after`` of the next page; ``None`` at the end. A page may have
        fewer than ``limit`` transfers, or none, and not be the last.
        """
        return await finding.find_transfers(self._pool, book, wanted, after=after, cut=cut, limit=limit)

    async def movements(
        self, book: Book, *, after: int, until: int, with_events: bool = True, with_acts: bool = False
    ) -> list[Movement]:
        """What the transfers with ``after < seq <= until`` moved, added up, in no order. Without events it is several times as
        fast, and channel, action and grade are ``None``. Without acts the days on which they occurred are.
        """
        return await movements.movements(
            self._pool, book, after=after, until=until, with_events=with_events, with_acts=with_acts
        )

    async def layer_movements(self, book: Book, *, after: int, until: int) -> list[Movement]:
        """What the same transfers moved of layers: with the campaign, channel, action, grade and date of the grants that the
        points came from. Not before ``layers_read`` has reached ``until``.
        """
        return await movements.layer_movements(self._pool, book, after=after, until=until)

    async def daily_movements(self, book: Book, *, starts: Sequence[date], by: MovementsBy) -> DailyMovements:
        """What changed what is owed, as far as it is added up by day. Days from one of ``starts`` to the next count as one, the
        first of them.
        """
        return await daily_movements.daily_movements(self._pool, book, starts=starts, by=by)

    async def uses_of_issued(self, book: Book, *, after: int, until: int, used_until: int) -> list[Movement]:
        """What became, in the log up to ``used_until``, of what the transfers with ``after < seq <= until`` brought in."""
        return await movements.uses_of_issued(self._pool, book, after=after, until=until, used_until=used_until)

    async def lifecycle(
        self, book: Book, *, after: int, until: int, since: date, to: date, lapsed_after: timedelta
    ) -> list[StageEarned]:
        """What the same transfers gave customers on the days from ``since`` to ``to``, by whether the customer was new, active,
        or had lapsed.
        """
        return await movements.lifecycle(
            self._pool, book, after=after, until=until, since=since, to=to, lapsed_after=lapsed_after
        )

    async def layers_read(self, book: Book) -> int | None:
        """The last transfer whose layers are known; ``None`` while they are built."""
        return await movements.layers_read(self._pool, book)


def _only(answers: list[Answer | LedgerError]) -> Answer:
    (answer,) = answers
    if isinstance(answer, LedgerError):
        raise answer
    return answer
