"""How many decimals amounts of a currency have, by ISO 4217. An amount is a whole number of minor units (cents, pence, yen)."""

from __future__ import annotations

from collections.abc import Mapping

_DECIMALS: Mapping[str, int] = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "XAF", "XOF", "XPF"), 0
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def decimals_of(currency: str) -> int:
    """How many decimals an amount of ``currency`` has; two unless it is known to differ."""
    return _DECIMALS.get(currency, 2)


def decimal_text(minor_units: int, currency: str) -> str:
    """An amount as a decimal number with a point, such as ``-12.50``."""
    decimals = decimals_of(currency)
    whole, rest = divmod(abs(minor_units), 10**decimals)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{whole}.{rest:0{decimals}}" if decimals else f"{sign}{whole}"
