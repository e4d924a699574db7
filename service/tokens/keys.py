"""The keys of everything we sign or seal, all derived from the link keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from service.crypto.derived_keys import derived_keys
from service.settings import LinkKey
from service.tokens.code import code_key
from service.tokens.link import LinkKeys, link_keys
from service.tokens.receipt import receipt_keys
from service.tokens.rotating_code import rotating_code_keys


class TokenKeys(msgspec.Struct, frozen=True):
    """One key for each use. Where there are several, the one in use comes first."""

    links: LinkKeys
    """Sign links, and links to customers' pages."""
    receipts: tuple[bytes, ...]
    """Seal what a claim's page shows."""
    handoffs: tuple[bytes, ...]
    """Seal the claims that a handoff gives the shop."""
    rotating_codes: tuple[bytes, ...]
    """Seal the names of rotating codes' pictures."""
    codes: Mapping[str, bytes]
    """Make codes, by the ``kid`` of the link key that each goes with."""

    @property
    def newest_code_key(self) -> bytes:
        """The key that codes are made with now."""
        return self.codes[self.links.kid]


def token_keys(keys: Sequence[LinkKey]) -> TokenKeys:
    """Derive all keys from the link keys, which are given oldest first."""
    return TokenKeys(
        links=link_keys(keys),
        receipts=receipt_keys(keys),
        handoffs=derived_keys(keys, "handoff 1"),
        rotating_codes=rotating_code_keys(keys),
        codes={key.kid: code_key(key) for key in keys},
    )
