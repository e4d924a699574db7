"""Why the embedded PostgreSQL cannot be started or stopped."""

from __future__ import annotations


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be started or stopped. The message says what to do."""


class EmbeddedPostgresUnusable(EmbeddedPostgresError):
    """It cannot be started as it is, however often it is tried: its data is of another version, or somebody else's."""
