"""Why a brand is not created. Each message is for the operator."""

from __future__ import annotations


class BrandExists(Exception):
    """There is a brand of this code already; nothing was changed."""


class BrandInvalid(Exception):
    """The brand cannot be created as described; the message says what would be right."""


class BrandUnknown(Exception):
    """There is no brand of this code."""


class IssueLimitRefused(Exception):
    """More than this was issued already; nothing was changed."""
