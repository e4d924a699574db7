"""Guesses at codes: who asks for many that are none is told to come back later, with the next that is none.

What there is is found whoever asks for it, and however often they have guessed before: many people share an address, and one
person's mistakes are not to cost another's points. So a guesser learns which codes there are, as anybody does who has one.

Claims of a code that pays each person are counted likewise: nobody has so many persons' addresses to type.

With 80 bits to a code guessing leads nowhere (see decision 21); this keeps it from costing more than a look-up. It is counted
by address, or the /64 of an IPv6 address, and in each process for itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW_S = 60.0
MISSES_MAX = 60
"""So many in a window, of everybody behind one address: more than the mistyped codes of a train."""
RETRY_AFTER_S = 5
NETWORKS_MAX = 10_000


class FailedAttemptLimiter:
    """Misses by network, or by whatever else a guesser is known by."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, misses_max: int = MISSES_MAX, window_s: float = WINDOW_S
    ) -> None:
        self._clock = clock
        self._misses_max = misses_max
        self._window_s = window_s
        self._misses: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def exceeded(self, network: str) -> bool:
        """Whether what is not found is not looked for any further."""
        began, misses = self._misses.get(network, (0.0, 0))
        return misses >= self._misses_max and self._clock() < began + self._window_s

    def note(self, network: str) -> None:
        """Count a miss."""
        now = self._clock()
        began, misses = self._misses.pop(network, (now, 0))
        self._misses[network] = (began, misses + 1) if now < began + self._window_s else (now, 1)
        while len(self._misses) > NETWORKS_MAX:
            self._misses.popitem(last=False)
