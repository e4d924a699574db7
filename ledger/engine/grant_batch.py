"""A batch of grants as the arguments of ``post_grants_v1``: parallel arrays, so that a batch of any size is one call.

    GrantBatch    the columns that a list of orders needs, filled by one method for each table of arguments
    POST_GRANTS   the function's arguments: name, type, and which column it is

Rows are numbered from 1, as the database numbers the elements of an array. What several orders share is listed once, and named
by its number. An item is an order of the batch; orders on the same terms are of one kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from ledger import chart
from ledger.engine.arrays import BIGINTS, BOOLEANS, BYTEAS, CHARS, DATES, INTEGERS, MOMENTS, SMALLINTS, TEXTS, Array
from ledger.engine.call import Argument, Call
from ledger.instants import microseconds
from ledger.types import CapUse, Corroboration, EventDetails, Grade, GrantOrder, GrantTerms

SALT_BYTES = 16
_UNLIMITED = 2**62
_ALL_CUSTOMERS = 0
_NO_GENERATION = -1
_STRONG = (Grade.A, Grade.B)
_GRADES = {grade: grade.encode() for grade in Grade}
_encode_json = msgspec.json.Encoder().encode

_Row = TypeVar("_Row")
_Wallet: TypeAlias = tuple[int, int]
"""The book's number and the customer, or ``_ALL_CUSTOMERS`` for the caps that they share."""


def details_hash(salt: bytes, details: EventDetails) -> bytes:
    """What the log holds of an event's details: SHA-256 of the salt and a JSON array of the fields in order."""
    return sha256(salt + _encode_json(msgspec.structs.astuple(details))).digest()


class _Numbers(dict[_Row, int]):
    """Numbers rows from 1, in the order in which they are first asked for."""

    def __missing__(self, row: _Row) -> int:
        number = self[row] = len(self) + 1
        return number


class Budget(NamedTuple):
    """The budget of a campaign."""

    book: int
    campaign_no: int
    unlimited: bool


class Limit(NamedTuple):
    """A cap in one calendar period, and how much of it an item may use up."""

    campaign_no: int
    period: date
    cap: int
    max_grants: int
    max_points: int


class Charge(NamedTuple):
    """A calendar period's cap that items count towards. Those with one ``counter`` are counted together."""

    shared: bool
    counter: int
    limit: int


class RollingCap(NamedTuple):
    """A cap of the last day that items count towards."""

    cap: int
    max_grants: int
    max_points: int


class Kind(NamedTuple):
    """What all items on the same terms have in common. ``tail`` is the end of the id of the account that they are paid to."""

    number: int
    terms: GrantTerms
    book: int
    budget: int
    campaign: int
    tail: bytes
    last_day: date
    charges: list[Charge]
    rolling_caps: list[RollingCap]


class _Kinds:
    """The kinds of a batch, and the tables of what they share: books, budgets, limits."""

    def __init__(self, orders: Sequence[GrantOrder]) -> None:
        self.budgets: _Numbers[Budget] = _Numbers()
        self.limits: _Numbers[Limit] = _Numbers()
        self._campaigns: _Numbers[tuple[int, int]] = _Numbers()
        self._counters: _Numbers[tuple[int, date, int]] = _Numbers()
        terms_by_identity = {id(order.terms): order.terms for order in orders}
        # A book that is asked for under two brands is here twice, and the function refuses the batch.
        self.books = sorted({(terms.book.book_id, terms.book.brand_id) for terms in terms_by_identity.values()})
        self._book_numbers = {book_id: number for number, (book_id, _) in enumerate(self.books, 1)}
        self.by_identity = {
            identity: self._kind(number, terms) for number, (identity, terms) in enumerate(terms_by_identity.items(), 1)
        }

    def _kind(self, number: int, terms: GrantTerms) -> Kind:
        book = self._book_numbers[terms.book.book_id]
        # What is held back does not expire.
        account, expires_on = (chart.Kind.PENDING, None) if terms.held_back else (chart.Kind.LOT, terms.expires_on)
        return Kind(
            number,
            terms,
            book,
            self.budgets[Budget(book, terms.campaign_no, terms.unlimited)],
            self._campaigns[book, terms.campaign_no],
            chart.tail(account, terms.account_class, expires_on),
            expires_on or date.max,
            [self._charge(terms.campaign_no, cap.period, cap) for cap in terms.caps if cap.period is not None],
            [RollingCap(cap.cap, *_most(cap)) for cap in terms.caps if cap.period is None],
        )

    def _charge(self, campaign_no: int, period: date, cap: CapUse) -> Charge:
        counter = self._counters[campaign_no, period, cap.cap]
        return Charge(cap.shared, counter, self.limits[Limit(campaign_no, period, cap.cap, *_most(cap))])


def _most(cap: CapUse) -> tuple[int, int]:
    """The most grants and points that a cap lets through."""
    return (
        _UNLIMITED if cap.max_grants is None else cap.max_grants,
        _UNLIMITED if cap.max_points is None else cap.max_points,
    )


class GrantBatch:
    """The columns of arguments that post ``orders``."""

    def __init__(self, orders: Sequence[GrantOrder]) -> None:
        self.orders = orders
        self.keys = [order.key for order in orders]
        kinds = _Kinds(orders)
        self.books = kinds.books
        self.budgets = kinds.budgets
        self.limits = kinds.limits
        self.kinds = list(kinds.by_identity.values())
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
        shared = {(kind.book, _ALL_CUSTOMERS): 0 for kind in self.kinds if any(charge.shared for charge in kind.charges)}
        generations: dict[_Wallet, int] = shared
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
        self.lot_wallets = [wallet for wallet, _, _ in distinct]
        self.lots = [chart.owner(chart.OwnerTag.CUSTOMER, self.wallets[wallet - 1][1]) + tail for wallet, tail, _ in distinct]
        self.lot_last_days = [last_day for _, _, last_day in distinct]

    def _list_first_items(self) -> None:
        """By item, the first with the same event key: itself unless it is a duplicate inside the batch."""
        first: dict[tuple[int, bytes], int] = {}
        self.first_items = [
            first.setdefault((kind.campaign, key), item)
            for item, (kind, key) in enumerate(zip(self.item_kinds, self.keys, strict=True), 1)
        ]

    def _list_charges(self) -> None:
        uses: _Numbers[tuple[int, int]] = _Numbers()
        self.use_wallets: list[int] = []
        self.use_limits: list[int] = []
        self.charge_uses: list[int] = []
        self.charge_limits: list[int] = []
        self.charges_before = [0]
        for kind, wallet in zip(self.item_kinds, self.item_wallets, strict=True):
            for shared, counter, limit in kind.charges:
                counted = self._wallet_numbers[kind.book, _ALL_CUSTOMERS] if shared else wallet
                use = uses[counted, counter]
                if use > len(self.use_limits):
                    self.use_wallets.append(counted)
                    self.use_limits.append(limit)
                self.charge_uses.append(use)
                self.charge_limits.append(limit)
            self.charges_before.append(len(self.charge_uses))

    def _list_tallies(self) -> None:
        self.rolling_counters: _Numbers[tuple[int, int, int]] = _Numbers()
        self.tallies: list[tuple[int, int, int, int]] = []
        if not any(kind.rolling_caps for kind in self.kinds):
            return
        for item, (kind, wallet) in enumerate(zip(self.item_kinds, self.item_wallets, strict=True), 1):
            for cap, max_grants, max_points in kind.rolling_caps:
                counter = self.rolling_counters[wallet, kind.terms.campaign_no, cap]
                self.tallies.append((item, counter, max_grants, max_points))

    def _list_details(self) -> None:
        randomness = os.urandom(SALT_BYTES * len(self.orders))
        self.salts = [randomness[at : at + SALT_BYTES] for at in range(0, len(randomness), SALT_BYTES)]
        self.details_hashes = [details_hash(salt, _details(order)) for salt, order in zip(self.salts, self.orders, strict=True)]
        self.item_terms = [
            _terms_to_pay_later(order, hashed) if order.terms.waits or order.terms.held_back else None
            for order, hashed in zip(self.orders, self.details_hashes, strict=True)
        ]

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


def _details(order: GrantOrder) -> EventDetails:
    terms = order.terms
    return EventDetails(
        terms.action,
        terms.channel,
        order.message_id,
        order.qualifier,
        terms.source,
        terms.principal,
        terms.campaign_version,
        terms.rule,
        order.metadata,
    )


def _terms_to_pay_later(order: GrantOrder, hashed: bytes) -> str:
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
            "hash": hashed.hex(),
            "caps": [(cap.cap, cap.period, cap.max_grants, cap.max_points, cap.shared) for cap in terms.caps],
        }
    ).decode()


def _column(name: str, array: Array, collect: Callable[[GrantBatch], Sequence[Any]]) -> Argument[GrantBatch]:
    return Argument(name, array, collect)


POST_GRANTS = Call(
    "post_grants_v1",
    Argument[GrantBatch]("p_now", "timestamptz"),
    # Books, in ascending order.
    _column("p_book_ids", INTEGERS, lambda batch: [book_id for book_id, _ in batch.books]),
    _column("p_brand_ids", INTEGERS, lambda batch: [brand_id for _, brand_id in batch.books]),
    # Budgets.
    _column("p_budget_books", INTEGERS, lambda batch: [budget.book for budget in batch.budgets]),
    _column("p_budgets", BYTEAS, lambda batch: [chart.budget(no, unlimited=unlimited) for _, no, unlimited in batch.budgets]),
    # Wallets.
    _column("p_wallet_books", INTEGERS, lambda batch: [book for book, _ in batch.wallets]),
    _column("p_wallet_customers", BIGINTS, lambda batch: [customer for _, customer in batch.wallets]),
    _column("p_wallet_generations", BIGINTS, lambda batch: batch.wallet_generations),
    # Lots of the wallets.
    _column("p_lot_wallets", INTEGERS, lambda batch: batch.lot_wallets),
    _column("p_lots", BYTEAS, lambda batch: batch.lots),
    _column("p_lot_expires_on", DATES, lambda batch: batch.lot_last_days),
    # Limits: a cap in one calendar period, and how much of it an item may use up.
    _column("p_limit_campaigns", INTEGERS, lambda batch: [limit.campaign_no for limit in batch.limits]),
    _column("p_limit_periods", DATES, lambda batch: [limit.period for limit in batch.limits]),
    _column("p_limit_caps", SMALLINTS, lambda batch: [limit.cap for limit in batch.limits]),
    _column("p_limit_grants", BIGINTS, lambda batch: [limit.max_grants for limit in batch.limits]),
    _column("p_limit_points", BIGINTS, lambda batch: [limit.max_points for limit in batch.limits]),
    # What a wallet has used of a cap in a calendar period, and the items that count towards it.
    _column("p_use_wallets", INTEGERS, lambda batch: batch.use_wallets),
    _column("p_use_limits", INTEGERS, lambda batch: batch.use_limits),
    _column("p_charge_uses", INTEGERS, lambda batch: batch.charge_uses),
    _column("p_charge_limits", INTEGERS, lambda batch: batch.charge_limits),
    # Kinds of items.
    _column("p_kind_books", INTEGERS, lambda batch: [kind.book for kind in batch.kinds]),
    _column("p_kind_budgets", INTEGERS, lambda batch: [kind.budget for kind in batch.kinds]),
    _column("p_kind_campaigns", INTEGERS, lambda batch: [kind.terms.campaign_no for kind in batch.kinds]),
    _column("p_kind_versions", INTEGERS, lambda batch: [kind.terms.campaign_version for kind in batch.kinds]),
    _column("p_kind_rules", SMALLINTS, lambda batch: [kind.terms.rule for kind in batch.kinds]),
    _column("p_kind_grades", CHARS, lambda batch: [_GRADES[kind.terms.grade] for kind in batch.kinds]),
    _column("p_kind_principals", INTEGERS, lambda batch: [kind.terms.principal for kind in batch.kinds]),
    _column("p_kind_actions", TEXTS, lambda batch: [kind.terms.action for kind in batch.kinds]),
    _column("p_kind_channels", TEXTS, lambda batch: [kind.terms.channel for kind in batch.kinds]),
    _column("p_kind_sources", TEXTS, lambda batch: [kind.terms.source for kind in batch.kinds]),
    _column("p_kind_held", BOOLEANS, lambda batch: [kind.terms.held_back for kind in batch.kinds]),
    _column("p_kind_again", BOOLEANS, lambda batch: [kind.terms.again for kind in batch.kinds]),
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
    _column("p_former_items", INTEGERS, lambda batch: [item for item, _, _ in batch.former_keys]),
    _column("p_former_keys", BYTEAS, lambda batch: [key for _, key, _ in batch.former_keys]),
    _column("p_former_others", BIGINTS, lambda batch: [other for _, _, other in batch.former_keys]),
    # What a wallet has used of a cap of the last day, and the items that count towards it.
    _column("p_recent_wallets", INTEGERS, lambda batch: [wallet for wallet, _, _ in batch.rolling_counters]),
    _column("p_recent_campaigns", INTEGERS, lambda batch: [campaign_no for _, campaign_no, _ in batch.rolling_counters]),
    _column("p_recent_caps", SMALLINTS, lambda batch: [cap for _, _, cap in batch.rolling_counters]),
    _column("p_tally_items", INTEGERS, lambda batch: [tally[0] for tally in batch.tallies]),
    _column("p_tally_recents", INTEGERS, lambda batch: [tally[1] for tally in batch.tallies]),
    _column("p_tally_grants", BIGINTS, lambda batch: [tally[2] for tally in batch.tallies]),
    _column("p_tally_points", BIGINTS, lambda batch: [tally[3] for tally in batch.tallies]),
    # Proofs that strong items leave, or that items which wait look for.
    _column("p_proof_items", INTEGERS, lambda batch: [item for item, _, _ in batch.proofs]),
    _column("p_proof_keys", BYTEAS, lambda batch: [key for _, key, _ in batch.proofs]),
    _column("p_proof_needs", CHARS, lambda batch: [needs for _, _, needs in batch.proofs]),
    # Events that strong items pay if they wait.
    _column("p_wait_items", INTEGERS, lambda batch: [item for item, _, _, _ in batch.waiting]),
    _column("p_wait_groups", INTEGERS, lambda batch: [group for _, group, _, _ in batch.waiting]),
    _column("p_wait_keys", BYTEAS, lambda batch: [key for _, _, key, _ in batch.waiting]),
    _column("p_wait_others", BIGINTS, lambda batch: [other for _, _, _, other in batch.waiting]),
)
