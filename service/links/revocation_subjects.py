"""What is revoked, as `link_revocation.subject` names it: its kind, a space, and its id.

A link is looked up with every subject that it belongs to. Statements put the same together from columns (links_by_id.sql,
batch_codes_by_hash.sql, made_by_keys.sql); `tests/links/test_revocations.py` compares.
"""

from __future__ import annotations

LINK, MESSAGE, CAMPAIGN, KEY, CODE_BATCH = KINDS = ("link", "message", "campaign", "key", "code_batch")

MINTING_KEYS = f"{KEY} -"
"""What subjects of minting keys begin with: such a key mints as its number with a minus."""


def of_link(link_id: bytes) -> str:
    """One link."""
    return f"{LINK} {link_id.hex()}"


def of_message(message_id: str) -> str:
    """All links of a message."""
    return f"{MESSAGE} {message_id}"


def of_campaign(campaign_no: int) -> str:
    """All links of a campaign."""
    return f"{CAMPAIGN} {campaign_no}"


def of_campaign_named(campaign: str) -> str:
    """The same by the brand's own id, which is all that tokens of the brand's own say. Only `last_known` has such subjects."""
    return f"{CAMPAIGN} named {campaign}"


def of_key(minted_by: int) -> str:
    """All links of an API key, or of a minting key."""
    return f"{KEY} {minted_by}"


def of_code_batch(batch_no: int) -> str:
    """All codes of a batch."""
    return f"{CODE_BATCH} {batch_no}"


def of_made(*, made_by: int | None = None, message_id: str = "") -> list[str]:
    """What revokes something that a key made and a message holds, where these are known."""
    key = [] if made_by is None else [of_key(made_by)]
    return [*key, of_message(message_id)] if message_id else key


def kind_of(subject: str) -> str:
    """The kind of a subject."""
    return subject.partition(" ")[0]
