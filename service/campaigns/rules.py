"""What a campaign pays: pure decisions over its terms.

A report is matched by action and channel; a rule that names the channel wins over one that does not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from ledger import AccountClass, Grade

OncePer = Literal["message", "link", "day"]

GRADES = (Grade.A, Grade.B, Grade.C, Grade.D)
"""From the strongest evidence to the weakest."""


class Rule(msgspec.Struct, frozen=True):
    """``points`` for each ``action``, once per ``once_per``; paid at once from ``min_evidence`` on."""

    action: str
    points: int
    channel: str | None = None
    once_per: OncePer = "message"
    min_evidence: Grade = Grade.C

    def pays_at_once(self, grade: Grade) -> bool:
        """Say whether evidence of ``grade`` is strong enough."""
        return GRADES.index(grade) <= GRADES.index(self.min_evidence)


class Cap(msgspec.Struct, frozen=True):
    """At most so many grants, or points, for one customer in one day of the brand's zone."""

    per: Literal["customer"] = "customer"
    window: Literal["day"] = "day"
    action: str | None = None
    channel: str | None = None
    max_grants: int | None = None
    max_points: int | None = None

    def covers(self, action: str, channel: str) -> bool:
        """Say whether a grant for ``action`` on ``channel`` counts against this cap."""
        return self.action in (None, action) and self.channel in (None, channel)


class Campaign(msgspec.Struct, frozen=True):
    """A campaign as one of its versions has it. Versions never change."""

    campaign_no: int
    brand_id: int
    id: str
    version: int
    name: str
    starts_at: datetime
    ends_at: datetime
    account_class: AccountClass
    expires_after_months: int | None
    rules: tuple[Rule, ...]
    caps: tuple[Cap, ...]
    created_at: datetime

    def rule_number(self, action: str, channel: str) -> int | None:
        """Which of ``rules`` pays for ``action`` on ``channel``."""
        matching = [n for n, rule in enumerate(self.rules) if rule.action == action and rule.channel in (None, channel)]
        return min(matching, key=lambda n: self.rules[n].channel is None, default=None)

    def rule_for(self, action: str, channel: str) -> Rule | None:
        """The rule that pays for ``action`` on ``channel``."""
        number = self.rule_number(action, channel)
        return None if number is None else self.rules[number]


def claimed_grade(action: str, asked: Grade | None, strongest: Grade) -> Grade:
    """The grade of a report: what it claims, never more than its reporter may. Without a claim an open is unattested."""
    claim = asked if asked is not None else Grade.D if action == "open" else strongest
    return max(claim, strongest, key=GRADES.index)
