"""Acts on a channel that the customer refuses are not paid.

The answer (``consent_refused``) can be computed again, so it is not recorded. A decision from before the refusal stands, and a
retry gets it again. Only customers who have refused something cost this extra look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.brands.brand import Brand
from service.customers.opt_outs import has_refused
from service.customers.queries import Customer
from service.grants.acts import Act
from service.grants.replays import decided_before
from service.observability import metrics

if TYPE_CHECKING:
    from service.services import Services

_reports = metrics.consent_refused.labels("report")


async def opted_out(services: Services, brand: Brand, wanted: Sequence[tuple[Act, Customer]]) -> set[int]:
    """The indexes of those of ``wanted`` that are not decided. Counts them in the metrics."""
    excluded = await opted_out_uncounted(services, brand, wanted)
    _reports.inc(len(excluded))
    return excluded


async def opted_out_uncounted(services: Services, brand: Brand, wanted: Sequence[tuple[Act, Customer]]) -> set[int]:
    """The same without counting, for quotes."""
    doubtful = {
        index: (act, known)
        for index, (act, known) in enumerate(wanted)
        if known.refused and has_refused(known.refused, act.channel, act.occurred_at)
    }
    if not doubtful:
        return set()
    before = await decided_before(services, brand, list(doubtful.values()))
    return {index for index, event in zip(doubtful, before, strict=True) if event is None}
