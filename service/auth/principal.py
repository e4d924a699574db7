"""Who is calling."""

from __future__ import annotations

import msgspec

from ledger import Grade
from service.auth.scopes import Scope
from service.brands.brand import Brand


class Principal(msgspec.Struct, frozen=True):
    """The API key of a request, the brand it belongs to, and what it may do.

    ``max_evidence`` is the strongest grade that a report under this key may claim.
    """

    api_key_id: int
    name: str
    brand: Brand
    scopes: frozenset[Scope]
    max_evidence: Grade
