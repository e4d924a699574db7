"""A batch of grants as the arguments of ``post_grants_v1``: parallel arrays, so that a batch of any size is one call.

    GrantBatch    the columns that a list of orders needs, filled by one method for each table of arguments
    Kinds         what depends on the orders' terms alone; it is kept for the next batch
    POST_GRANTS   the function's arguments: name, type, and which column it is

Rows are numbered from 1, as the database numbers the elements of an array. What several orders share is listed once, and named
by its number. An item is an order of the batch; orders on the same terms are of one kind.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ledger import chart, details
from ledger.engine.arrays import BIGINTS, BOOLEANS, BYTEAS, CHARS, DATES, INTEGERS, MOMENTS, SMALLINTS, TEXTS, Array
from ledger.engine.call import Argument, Call, Kept, Table, encoded, table_of
from ledger.instants import microseconds
from ledger.types import CapUse, Corroboration, Grade, GrantOrder, GrantTerms

_UNLIMITED = 2**62
_ALL_CUSTOMERS = 0
_NO_GENERATION = -1
_STRONG = (Grade.A, Grade.B)
_GRADES = {grade: grade.encode() for grade in Grade}
_encode_json = msgspec.json.Encoder().encode

_KEPT_MAX = 100
"""Of so many sets of terms the kinds are kept ..."""
_KEPT_KINDS_MAX = 8
"""... if a set has no more than so many: a kind takes some two kilobytes."""

_Wallet: TypeAlias = tuple[int, int]
"""The book's number and the customer, or ``_ALL_CUSTOMERS`` for the caps that they share."""


class Limit(NamedTuple):
    """A cap in one calendar period, and how much of it an item may use up."""

    campaign_no: int
    period: date
    cap: int
    max_grants: int
    max_points: int


class Charge(NamedTuple):
    """A calendar period's cap that items count towards. Those with one ``counter`` are counted together, if it is
    ``counted_for`` the same.
    """

    counted_for: int | None
    counter: int
    limit: int


class RollingCap(NamedTuple):
    """A cap of the last day that items count towards."""

    cap: int
    max_grants: int
    max_points: int


class Kind(NamedTuple):
    """What all items on the same terms have in common. ``tail`` is the end of the id of the account that they are paid to.

    ``details`` is what the log's hash says of the terms.
    """

    number: int
    terms: GrantTerms
    book: int
    budget: int
    campaign: int
    grade: bytes
    tail: bytes
    last_day: date
    charges: list[Charge]
    rolling_caps: list[RollingCap]
    details: bytes


class Kinds:
    """The kinds of a batch, and the tables of what they share: books, budgets, limits."""

    def __init__(self, terms: Collection[GrantTerms]) -> None:
        # Each row has the number that it came with: `setdefault(row, len(rows) + 1)`.
        self.budgets: dict[tuple[int, int, bool], int] = {}
        self.limits: dict[Limit, int] = {}
        self._campaigns: dict[tuple[int, int], int] = {}
        self._counters: dict[tuple[int, date, int], int] = {}
        # A book that is asked for under two brands is here twice, and the function refuses the batch.
        self.books = sorted({(each.book.book_id, each.book.brand_id) for each in terms})
        self._book_numbers = {book_id: number for number, (book_id, _) in enumerate(self.books, 1)}
        self.all = [self._kind(number, each) for number, each in enumerate(terms, 1)]
        self.by_identity = {id(kind.terms): kind for kind in self.all}
        self.have_shared_caps = any(charge.counted_for is not None for kind in self.all for charge in kind.charges)
        self.have_rolling_caps = any(kind.rolling_caps for kind in self.all)
        self.encoded = {name: encoded(table, self) for name, table in _TABLES_OF_KINDS.items()}

    @classmethod
    def of(cls, orders: Sequence[GrantOrder]) -> Kinds:
        """The kinds of these orders, which are mostly those of the orders before: then they are made once."""
        terms = {id(order.terms): order.terms for order in orders}
        name = frozenset(terms)
        kinds = _kept.get(name)
        if kinds is None:
            kinds = cls(terms.values())
            if len(terms) <= _KEPT_KINDS_MAX:
                if len(_kept) >= _KEPT_MAX:
                    _kept.popitem(last=False)
                # What is kept has the terms, so no others get their identities meanwhile.
                _kept[name] = kinds
        return kinds

    def _kind(self, number: int, terms: GrantTerms) -> Kind:
        book = self._book_numbers[terms.book.book_id]
        # What is held back does not expire.
        account, expires_on = (chart.Kind.PENDING, None) if terms.held_back else (chart.Kind.LOT, terms.expires_on)
        return Kind(
            number,
            terms,
            book,
            self.budgets.setdefault((book, terms.campaign_no, terms.unlimited), len(self.budgets) + 1),
            self._campaigns.setdefault((book, terms.campaign_no), len(self._campaigns) + 1),
            _GRADES[terms.grade],
            chart.tail(account, terms.account_class, expires_on),
            expires_on or date.max,
            [self._charge(terms.campaign_no, cap.period, cap) for cap in terms.caps if cap.period is not None],
            [RollingCap(cap.cap, *_most(cap)) for cap in terms.caps if cap.period is None],
            _details(terms, terms.grade),
        )

    def _charge(self, campaign_no: int, period: date, cap: CapUse) -> Charge:
        limit = Limit(campaign_no, period, cap.cap, *_most(cap))
        return Charge(
            cap.counted_for,
            self._counters.setdefault((campaign_no, period, cap.cap), len(self._counters) + 1),
            self.limits.setdefault(limit, len(self.limits) + 1),
        )


def _most(cap: CapUse) -> tuple[int, int]:
    """The most grants and points that a cap lets through."""
    return (
        _UNLIMITED if cap.max_grants is None else cap.max_grants,
        _UNLIMITED if cap.max_points is None else cap.max_points,
    )


_kept: OrderedDict[frozenset[int], Kinds] = OrderedDict()
"""By the identities of their terms."""


class GrantBatch:
    """The columns of arguments that post ``orders``."""

    def __init__(self, orders: Sequence[GrantOrder]) -> None:
        self.orders = orders
        self.keys = [order.key for order in orders]
        self.kinds = kinds = Kinds.of(orders)
        self.item_kinds = [kinds.by_identity[id(order.terms)] for order in orders]
        self._list_wallets()
        self._list_lots()
        self._list_first_items()
        self._list_charges()
        self._list_tallies()
        self._list_details()
        self._list_former_keys()
        self._list_evidence()

    def _list_wallets(self) -> None:
        generations: dict[_Wallet, int] = {}
        if self.kinds.have_shared_caps:
            generations |= {
                (kind.book, charge.counted_for): 0
                for kind in self.kinds.all
                for charge in kind.charges
                if charge.counted_for is not None
            }
        for kind, order in zip(self.item_kinds, self.orders, strict=True):
            wallet = (kind.book, order.customer)
            # Of those who know different groups of the customer at least one is behind: then all are told so.
            if generations.setdefault(wallet, order.generation) != order.generation:
                generations[wallet] = _NO_GENERATION
        # In the order of their keys, so that neighbours are found on the same pages.
        self.wallets = sorted(generations)
        self.wallet_generations = [generations[wallet] for wallet in self.wallets]
        numbers = {wallet: number for number, wallet in enumerate(self.wallets, 1)}
        self._wallet_numbers = numbers
        self.item_wallets = [
            numbers[kind.book, order.customer] for kind, order in zip(self.item_kinds, self.orders, strict=True)
        ]

    def _list_lots(self) -> None:
        lots = [(wallet, kind.tail, kind.last_day) for wallet, kind in zip(self.item_wallets, self.item_kinds, strict=True)]
        distinct = sorted(set(lots))
        numbers = {lot: number for number, lot in enumerate(distinct, 1)}
        self.item_lots = [numbers[lot] for lot in lots]
        self.lots = [
            (wallet, chart.owner(chart.OwnerTag.CUSTOMER, self.wallets[wallet - 1][1]) + tail, last_day)
            for wallet, tail, last_day in distinct
        ]

    def _list_first_items(self) -> None:
        """By item, the first with the same event key: itself unless it is a duplicate inside the batch."""
        first: dict[tuple[int, bytes], int] = {}
        self.first_items = [
            first.setdefault((kind.campaign, key), item)
            for item, (kind, key) in enumerate(zip(self.item_kinds, self.keys, strict=True), 1)
        ]

    def _list_charges(self) -> None:
        uses: dict[tuple[int, int], int] = {}
        self.uses: list[tuple[int, int]] = []
        self.charges: list[tuple[int, int]] = []
        self.charges_before = [0]
        for kind, wallet in zip(self.item_kinds, self.item_wallets, strict=True):
            for counted_for, counter, limit in kind.charges:
                counted = wallet if counted_for is None else self._wallet_numbers[kind.book, counted_for]
                use = uses.setdefault((counted, counter), len(uses) + 1)
                if use > len(self.uses):
                    self.uses.append((counted, limit))
                self.charges.append((use, limit))
            self.charges_before.append(len(self.charges))

    def _list_tallies(self) -> None:
        self.rolling_counters: dict[tuple[int, int, int], int] = {}
        self.tallies: list[tuple[int, int, int, int]] = []
        if not self.kinds.have_rolling_caps:
            return
        for item, (kind, wallet) in enumerate(zip(self.item_kinds, self.item_wallets, strict=True), 1):
            for cap, max_grants, max_points in kind.rolling_caps:
                counter = (wallet, kind.terms.campaign_no, cap)
                number = self.rolling_counters.setdefault(counter, len(self.rolling_counters) + 1)
                self.tallies.append((item, number, max_grants, max_points))

    def _list_details(self) -> None:
        self.salts = details.new_salts(len(self.orders))
        self.details_hashes: list[bytes] = []
        self.item_terms: list[str | None] = []
        for salt, kind, order in zip(self.salts, self.item_kinds, self.orders, strict=True):
            personal_hash = details.event_personal_hash(salt, order.message_id, order.qualifier, order.metadata)
            self.details_hashes.append(details.details_hash(kind.details, personal_hash))
            is_paid_later = kind.terms.waits or kind.terms.held_back
            self.item_terms.append(_terms_to_pay_later(order, personal_hash) if is_paid_later else None)

    def _list_former_keys(self) -> None:
        self.former_keys: list[tuple[int, bytes, int]] = []
        for item, order in enumerate(self.orders, 1):
            if order.former_keys:
                self.former_keys += [(item, key, 0) for key in order.former_keys]
            if order.past_keys:
                self.former_keys += [(item, key, other) for other, key in order.past_keys]

    def _list_evidence(self) -> None:
        self.proofs: list[tuple[int, bytes, bytes]] = []
        self.waiting: list[tuple[int, int, bytes, int]] = []
        for item, order in enumerate(self.orders, 1):
            if order.corroboration is not None:
                self._list_proofs(item, order.terms, order.corroboration)
                if order.terms.grade in _STRONG:
                    self._list_waiting(item, order.corroboration)
            elif order.terms.points == 0:
                raise ValueError("an order of no points that proves nothing either")

    def _list_proofs(self, item: int, terms: GrantTerms, corroboration: Corroboration) -> None:
        needs = _GRADES[corroboration.needs]
        self.proofs += [
            (item, key, needs) for key in (corroboration.proof_keys if terms.waits else corroboration.proof_keys[:1])
        ]

    def _list_waiting(self, item: int, corroboration: Corroboration) -> None:
        self.waiting += [(item, group, key, 0) for group, keys in enumerate(corroboration.may_wait, 1) for key in keys]
        if corroboration.past_keys:
            self.waiting += [
                (item, group, key, other) for group, keys in enumerate(corroboration.past_keys, 1) for other, key in keys
            ]


def _details(terms: GrantTerms, grade: Grade) -> bytes:
    return details.rest(terms.action, terms.channel, grade, terms.source, terms.principal, terms.campaign_version, terms.rule)


def _terms_to_pay_later(order: GrantOrder, personal_hash: bytes) -> str:
    """What an event is worth that is not paid yet: see pay_waiting_v1."""
    terms = order.terms
    return _encode_json(
        {
            "points": terms.points,
            "class": terms.account_class,
            "expires_on": terms.expires_on,
            "unlimited": terms.unlimited,
            "held": terms.held_back,
            "occurred_at": microseconds(order.occurred_at),
            "hash": {grade: details.details_hash(_details(terms, grade), personal_hash).hex() for grade in _STRONG},
            "caps": [cap.terms for cap in terms.caps],
        }
    ).decode()


def _column(name: str, array: Array, collect: Callable[[GrantBatch], Sequence[Any]]) -> Argument[GrantBatch]:
    return Argument(name, array, collect)


def _table(collect: Callable[[GrantBatch], Collection[tuple[Any, ...]]], **columns: Array) -> Table[GrantBatch]:
    return Table(columns, collect)


def _table_of_kinds(collect: Callable[[Kinds], Collection[tuple[Any, ...]]], **columns: Array) -> Table[Kinds]:
    return Table(columns, collect)


_TABLES_OF_KINDS: dict[str, Table[Kinds]] = {
    # Books in ascending order.
    "books": _table_of_kinds(lambda kinds: kinds.books, p_book_ids=INTEGERS, p_brand_ids=INTEGERS),
    "budgets": _table_of_kinds(
        lambda kinds: [(book, chart.budget(no, unlimited=unlimited)) for book, no, unlimited in kinds.budgets],
        p_budget_books=INTEGERS,
        p_budgets=BYTEAS,
    ),
    # A cap in one calendar period, and how much of it an item may use up.
    "limits": _table_of_kinds(
        lambda kinds: kinds.limits,
        p_limit_campaigns=INTEGERS,
        p_limit_periods=DATES,
        p_limit_caps=SMALLINTS,
        p_limit_grants=BIGINTS,
        p_limit_points=BIGINTS,
    ),
    "kinds": table_of(
        lambda kinds: kinds.all,
        p_kind_books=(INTEGERS, "book"),
        p_kind_budgets=(INTEGERS, "budget"),
        p_kind_campaigns=(INTEGERS, "terms.campaign_no"),
        p_kind_versions=(INTEGERS, "terms.campaign_version"),
        p_kind_rules=(SMALLINTS, "terms.rule"),
        p_kind_grades=(CHARS, "grade"),
        p_kind_principals=(INTEGERS, "terms.principal"),
        p_kind_actions=(TEXTS, "terms.action"),
        p_kind_channels=(TEXTS, "terms.channel"),
        p_kind_sources=(TEXTS, "terms.source"),
        p_kind_held=(BOOLEANS, "terms.held_back"),
        p_kind_again=(BOOLEANS, "terms.again"),
    ),
}


def _of_kinds(name: str) -> Kept[GrantBatch]:
    def kept(batch: GrantBatch) -> list[bytes]:
        return batch.kinds.encoded[name]

    return Kept(_TABLES_OF_KINDS[name].columns, kept)


POST_GRANTS = Call(
    "post_grants_v1",
    Argument[GrantBatch]("p_now", "timestamptz"),
    _of_kinds("books"),
    _of_kinds("budgets"),
    _table(lambda batch: batch.wallets, p_wallet_books=INTEGERS, p_wallet_customers=BIGINTS),
    _column("p_wallet_generations", BIGINTS, lambda batch: batch.wallet_generations),
    # Lots of the wallets.
    _table(lambda batch: batch.lots, p_lot_wallets=INTEGERS, p_lots=BYTEAS, p_lot_expires_on=DATES),
    _of_kinds("limits"),
    # What a wallet has used of a cap in a calendar period, and the items that count towards it.
    _table(lambda batch: batch.uses, p_use_wallets=INTEGERS, p_use_limits=INTEGERS),
    _table(lambda batch: batch.charges, p_charge_uses=INTEGERS, p_charge_limits=INTEGERS),
    _of_kinds("kinds"),
    # Items, in order of arrival.
    _column("p_keys", BYTEAS, lambda batch: batch.keys),
    _column("p_first", INTEGERS, lambda batch: batch.first_items),
    _column("p_kind_ix", INTEGERS, lambda batch: [kind.number for kind in batch.item_kinds]),
    _column("p_wallet_ix", INTEGERS, lambda batch: batch.item_wallets),
    _column("p_lot_ix", INTEGERS, lambda batch: batch.item_lots),
    _column("p_charges_before", INTEGERS, lambda batch: batch.charges_before),
    _column("p_points", BIGINTS, lambda batch: [kind.terms.points for kind in batch.item_kinds]),
    _column("p_waits", BOOLEANS, lambda batch: [kind.terms.waits for kind in batch.item_kinds]),
    _column("p_window_at", BIGINTS, lambda batch: [microseconds(order.window_at) for order in batch.orders]),
    _column("p_occurred_at", BIGINTS, lambda batch: [microseconds(order.occurred_at) for order in batch.orders]),
    _column("p_due_at", MOMENTS, lambda batch: [order.due_at for order in batch.orders]),
    _column("p_messages", TEXTS, lambda batch: [order.message_id for order in batch.orders]),
    _column("p_qualifiers", TEXTS, lambda batch: [order.qualifier for order in batch.orders]),
    _column("p_metadata", TEXTS, lambda batch: [order.metadata for order in batch.orders]),
    _column("p_salts", BYTEAS, lambda batch: batch.salts),
    _column("p_details_hashes", BYTEAS, lambda batch: batch.details_hashes),
    _column("p_terms", TEXTS, lambda batch: batch.item_terms),
    # Keys of the same event under ids that were merged away.
    _table(lambda batch: batch.former_keys, p_former_items=INTEGERS, p_former_keys=BYTEAS, p_former_others=BIGINTS),
    # What a wallet has used of a cap of the last day, and the items that count towards it.
    _table(
        lambda batch: batch.rolling_counters, p_recent_wallets=INTEGERS, p_recent_campaigns=INTEGERS, p_recent_caps=SMALLINTS
    ),
    _table(
        lambda batch: batch.tallies,
        p_tally_items=INTEGERS,
        p_tally_recents=INTEGERS,
        p_tally_grants=BIGINTS,
        p_tally_points=BIGINTS,
    ),
    # Proofs that strong items leave, or that items which wait look for.
    _table(lambda batch: batch.proofs, p_proof_items=INTEGERS, p_proof_keys=BYTEAS, p_proof_needs=CHARS),
    # Events that strong items pay if they wait.
    _table(
        lambda batch: batch.waiting,
        p_wait_items=INTEGERS,
        p_wait_groups=INTEGERS,
        p_wait_keys=BYTEAS,
        p_wait_others=BIGINTS,
    ),
)
