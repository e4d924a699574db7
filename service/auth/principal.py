"""Who is calling."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from ledger import Grade
from service.auth.scopes import Scope
from service.brands.brand import Brand

REPORTED_BY_A_KEY = "api"


class Principal(msgspec.Struct, frozen=True):
    """The API key of a request, the brand it belongs to, and what it may do.

    ``max_evidence`` is the strongest grade that a report under this key may claim, ``lateness`` how late one may come and still
    count when it happened. ``quota_per_minute`` counts items; ``None`` is no quota. A key without ``person_id`` is a system's.
    ``reports_as`` is what its reports are said to come from: the id of a source, if one reports in the key's name.
    """

    api_key_id: int
    name: str
    brand: Brand
    scopes: frozenset[Scope]
    max_evidence: Grade
    lateness: timedelta
    expires_at: datetime | None = None
    quota_per_minute: int | None = None
    person_id: int | None = None
    reports_as: str = REPORTED_BY_A_KEY
