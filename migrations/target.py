"""What the migrations lead to: the service's tables, all of them on one ``metadata``."""

from __future__ import annotations

import service.auth.tables
import service.brands.tables
import service.campaigns.tables
import service.customers.tables
import service.links.tables  # noqa: F401  imported for what it adds to the metadata, as are the others
from service.database import metadata

SCHEMA = "rewards"

__all__ = ["SCHEMA", "metadata"]
