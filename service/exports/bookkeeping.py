"""What journals need beside the log: names, what points are worth in money, and how finely accounts are kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext
from types import MappingProxyType

import msgspec

from ledger import PointValue, decimals_of
from service.exports.account_codes import NO_CODES, AccountCodes

PRICE_DECIMALS = 20
"""Of a price that no decimal number says exactly: what a thousand million million points are worth is right to a minor unit."""
_DIGITS = 80


class ValueFrom(msgspec.Struct, frozen=True):
    """What points are worth from a business date on."""

    starts_on: date
    value: PointValue


class ValueVersion(msgspec.Struct, frozen=True):
    """What points are worth from an instant on."""

    version: int
    valid_from: datetime
    value: PointValue


class Bookkeeping(msgspec.Struct, frozen=True):
    """How a brand's journals are kept.

    ``values`` are what its points were worth in ``currency``, at most one a day, oldest first; none before somebody says so.
    ``versions`` are all that were set up to the cut, oldest first.
    ``campaign_names`` are those that campaigns began with, by number. ``sub_accounts``: an account for each customer and
    redemption. ``codes`` are the accounts' in the general ledger. Values and codes have the restatements up to number
    ``restated``.
    """

    currency: str = ""
    values: tuple[ValueFrom, ...] = ()
    campaign_names: Mapping[int, str] = MappingProxyType({})
    versions: tuple[ValueVersion, ...] = ()
    sub_accounts: bool = False
    codes: AccountCodes = NO_CODES
    restated: int = 0


def price(value: PointValue, currency: str) -> tuple[str, bool]:
    """What one point is worth, as a decimal number, and whether that is exact: a third of a cent is rounded."""
    with localcontext(Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)) as context:
        quotient = Decimal(value.minor_units).scaleb(-decimals_of(currency)) / value.points
        exact = not context.flags[Inexact]
        shown = quotient if exact else quotient.quantize(Decimal(1).scaleb(-PRICE_DECIMALS))
        return f"{shown.normalize():f}", exact
