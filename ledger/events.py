"""The event key: what makes two reports the same event.

Version 1 is BLAKE2b with 16 bytes of output over the fields below, each as UTF-8 (numbers in decimal) with its length in bytes
before it as 4 bytes, big-endian:

    "1"  campaign number  "m:" + message id  customer number  action  qualifier

``tests/ledger/event_key_vectors.json`` holds vectors. A key is in the log for ever, so a new rule is a new version, never a
change of this one.
"""

from __future__ import annotations

import functools
from hashlib import blake2b

KEY_BYTES = 16


def event_key(*, campaign_no: int, message_id: str, customer: int, action: str, qualifier: str = "") -> bytes:
    """The key of one customer's act on one message. ``qualifier`` is computed from the rule; a reporter never sends it."""
    event = _field(f"m:{message_id}") + _field(str(customer))
    return blake2b(_of_campaign(campaign_no) + event + _of_act(action, qualifier), digest_size=KEY_BYTES).digest()


def _field(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


@functools.lru_cache(4_096)
def _of_campaign(campaign_no: int) -> bytes:
    return _field("1") + _field(str(campaign_no))


@functools.lru_cache(4_096)
def _of_act(action: str, qualifier: str) -> bytes:
    return _field(action) + _field(qualifier)


def offer_key(*, campaign_no: int, offer_group: str, customer: int, action: str = "claim", qualifier: str = "") -> bytes:
    """The key of what is decided on an offer that several messages make to a customer, whatever they do with which of them.

    ``m:`` is ``o:``, and the group stands for the message. The offer itself has the action ``claim``.
    """
    event = _field(f"o:{offer_group}") + _field(str(customer))
    return blake2b(_of_campaign(campaign_no) + event + _of_act(action, qualifier), digest_size=KEY_BYTES).digest()


def proof_key(*, campaign_no: int, message_id: str, customer: int) -> bytes:
    """The key under which it is recorded that the customer acted on the message in person: an event's key without an action."""
    return event_key(campaign_no=campaign_no, message_id=message_id, customer=customer, action="")
