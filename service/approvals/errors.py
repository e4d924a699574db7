"""Why limits are not set. Each message is for the operator."""

from __future__ import annotations


class LimitsInvalid(Exception):
    """The limits cannot be set as described; the message says what would be right."""
