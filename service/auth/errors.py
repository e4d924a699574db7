"""Why a key is not made or revoked. Each message is for the operator."""

from __future__ import annotations


class KeyInvalid(Exception):
    """The key cannot be made as described; the message says what would be right."""


class KeyUnknown(Exception):
    """The brand has no such key, or the prefix fits more than one."""
