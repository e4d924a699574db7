"""What our accounts are in a journal: those that a controller keeps for each accounting class (see docs/accounting.md).

                 engagement                   purchase                  third party
    owed         Liabilities:PointsProvision  Liabilities:DeferredRevenue  Liabilities:ThirdPartyPoints
    granted      Expenses:Marketing           Income:Revenue:Allocated  Assets:Clearing:ThirdParty:Granted
    redeemed     Assets:Clearing:Redemptions  Income:Revenue:Redeemed   Assets:Clearing:Redemptions
    expired      Income:Breakage              Income:Breakage           Assets:Clearing:ThirdParty:Expired
    taken        Expenses:Adjustments         Expenses:Adjustments      Assets:Clearing:ThirdParty:Adjusted

Budgets, and points that are held back, are owed to nobody: they are a memo. So what a customer gets from one of these is booked
twice: as granted, by the class of the points, and within ``Equity:Memo``, whose accounts always add up to nothing, as used.
"""

from __future__ import annotations

import msgspec

from ledger import AccountClass, AccountName, Kind, OwnerTag, describe_account

MEMO = "Equity:Memo"
USED = f"{MEMO}:Granted"
"""What customers got from all memo accounts."""
TRANSIT = "Assets:Transit"

OWED = {
    AccountClass.ENGAGEMENT: "Liabilities:PointsProvision",
    AccountClass.PURCHASE: "Liabilities:DeferredRevenue",
    AccountClass.THIRD_PARTY: "Liabilities:ThirdPartyPoints",
}
GRANTED = {
    AccountClass.ENGAGEMENT: "Expenses:Marketing",
    AccountClass.PURCHASE: "Income:Revenue:Allocated",
    AccountClass.THIRD_PARTY: "Assets:Clearing:ThirdParty:Granted",
}
_REDEEMED = {
    AccountClass.ENGAGEMENT: "Assets:Clearing:Redemptions:Engagement",
    AccountClass.PURCHASE: "Income:Revenue:Redeemed",
    AccountClass.THIRD_PARTY: "Assets:Clearing:Redemptions:ThirdParty",
}
_EXPIRED = {
    AccountClass.ENGAGEMENT: "Income:Breakage:Engagement",
    AccountClass.PURCHASE: "Income:Breakage:Purchase",
    AccountClass.THIRD_PARTY: "Assets:Clearing:ThirdParty:Expired",
}
_ADJUSTED = {
    AccountClass.ENGAGEMENT: "Expenses:Adjustments:Engagement",
    AccountClass.PURCHASE: "Expenses:Adjustments:Purchase",
    AccountClass.THIRD_PARTY: "Assets:Clearing:ThirdParty:Adjusted",
}
_WORDS = {
    AccountClass.ENGAGEMENT: "Engagement",
    AccountClass.PURCHASE: "Purchase",
    AccountClass.THIRD_PARTY: "ThirdParty",
}
_MEMO_KINDS = {
    Kind.ISSUANCE: f"{MEMO}:Issuance",
    Kind.BUDGET: f"{MEMO}:Budgets",
    Kind.UNLIMITED_BUDGET: f"{MEMO}:UnlimitedBudgets",
    Kind.PENDING: f"{MEMO}:HeldBack",
}
_LETTERS = {OwnerTag.CUSTOMER: "C", OwnerTag.REDEMPTION: "R", OwnerTag.CAMPAIGN: "K"}
_SETTLING = frozenset((Kind.SPENT, Kind.BREAKAGE, Kind.ADJUSTMENT, Kind.OPENING, Kind.LOSS))
_OWING = frozenset((Kind.LOT, Kind.HELD))


def _named(kind: Kind, account_class: AccountClass) -> str:
    owed = OWED[account_class]
    names = {
        Kind.LOT: f"{owed}:Customers",
        Kind.HELD: f"{owed}:OnHold",
        Kind.SPENT: _REDEEMED[account_class],
        Kind.BREAKAGE: _EXPIRED[account_class],
        Kind.ADJUSTMENT: _ADJUSTED[account_class],
        Kind.OPENING: f"Equity:Opening:{_WORDS[account_class]}",
        Kind.LOSS: f"Expenses:Losses:{_WORDS[account_class]}",
        Kind.TRANSIT: f"{TRANSIT}:{_WORDS[account_class]}",
    }
    return names[kind]


# Byte 11 of an account's id is its kind and class.
_BY_BYTE = {
    kind << 4 | account_class: _named(kind, account_class)
    for kind in Kind
    if kind not in _MEMO_KINDS
    for account_class in AccountClass
}
BROUGHT_IN = {account_class: _named(Kind.OPENING, account_class) for account_class in AccountClass}
"""What the books of before owed."""
SUMMARY_ACCOUNTS = frozenset(
    (*OWED.values(), *GRANTED.values(), *(name for byte, name in _BY_BYTE.items() if Kind(byte >> 4) in _SETTLING))
)
"""The accounts of the summarised journal: all that is owed in a class is one, and no memo is among them."""
_CLASS_BY_BYTE = {byte: AccountClass(byte & 15) for byte in _BY_BYTE}


def summary_entry(debit: int, credit: int) -> tuple[AccountClass, str, str] | None:
    """The class, debited and credited account of what moves between two kinds of account, by byte 11 of their ids.

    ``None`` for what leaves all accounts of the summarised journal as they are: memos, and what stays within what is owed. So
    does what goes through transit, which is empty after each transaction.
    """
    debited, credited = Kind(debit >> 4), Kind(credit >> 4)
    if Kind.TRANSIT in (debited, credited):
        return None
    account_class = AccountClass((credit if debited in _MEMO_KINDS else debit) & 15)
    names = _summary_account(debited, account_class), _summary_account(credited, account_class)
    return None if names[0] == names[1] else (account_class, *names)


def _summary_account(kind: Kind, account_class: AccountClass) -> str:
    if kind in _MEMO_KINDS:
        return GRANTED[account_class]
    return OWED[account_class] if kind in _OWING else _named(kind, account_class)


class JournalAccount(msgspec.Struct, frozen=True):
    """An account of a journal. ``account_class`` is ``None`` for a memo account; ``campaign_no`` is a budget's."""

    name: str
    account_class: AccountClass | None
    campaign_no: int | None = None
    is_owners: bool = False
    """Whether it is one customer's, redemption's or campaign's alone."""


class JournalAccounts:
    """The journal account of each of ours. With ``sub_accounts`` every customer and redemption has one of its own."""

    def __init__(self, *, sub_accounts: bool = False) -> None:
        self._sub_accounts = sub_accounts
        self._shared = {byte: JournalAccount(name, _CLASS_BY_BYTE[byte]) for byte, name in _BY_BYTE.items()}

    def __call__(self, account: bytes) -> JournalAccount:
        """The journal account of one of ours, by its id."""
        shared = self._shared.get(account[11])
        if shared is not None and (not self._sub_accounts or account[0] == OwnerTag.HOUSE):
            return shared
        name = describe_account(account)
        if shared is not None:
            return JournalAccount(_own(shared.name, name), shared.account_class, is_owners=True)
        memo = _MEMO_KINDS[name.kind]
        if name.owner is OwnerTag.CAMPAIGN:
            return JournalAccount(_own(memo, name), None, name.number, is_owners=True)
        if name.owner is OwnerTag.CUSTOMER and self._sub_accounts:
            return JournalAccount(_own(memo, name), None, is_owners=True)
        return JournalAccount(memo, None)


def _own(shared: str, name: AccountName) -> str:
    return f"{shared}:{_LETTERS[name.owner]}{name.number}"
