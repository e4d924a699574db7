"""The public ids: what they are made of, and how to read them back. An id that cannot be read names nothing."""

from __future__ import annotations

import random
import re

from ledger import Position

# The first digit stops at 7: the database keeps these numbers signed.
_GRANT = re.compile(r"grt_([0-7][0-9a-f]{7})([0-9a-f]{32})")
_REDEMPTION = re.compile(r"red_([0-7][0-9a-f]{7})([0-7][0-9a-f]{15})")
_IDENTITY = re.compile(r"idn_([0-7][0-9a-f]{7})([0-7][0-9a-f]{15})")
_CUSTOMER = re.compile(r"cus_([1-9][0-9]{0,17})")
_KEY = re.compile(r"key_([1-9][0-9]{0,9})")
_SOURCE = re.compile(r"src_([1-9][0-9]{0,9})")
_APPROVAL = re.compile(r"apr_([1-9][0-9]{0,17})")
_ERASURE = re.compile(r"ers_([1-9][0-9]{0,17})")
_PERSON = re.compile(r"per_([1-9][0-9]{0,9})")
_EXPORT = re.compile(r"exp_([0-7][0-9a-f]{7})([0-7][0-9a-f]{15})")
_CORRECTION = re.compile(r"cor_([0-7][0-9a-f]{7})([0-7][0-9a-f]{15})")
_CORRECTION_JOB = re.compile(r"crj_([1-9][0-9]{0,17})")
_POSITION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
CUSTOMER_ID_PREFIX = "cus_"
"""How our own number of a customer begins; a brand's own id never does."""

_REQUEST = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def grant_id(campaign_no: int, key: bytes) -> str:
    """Return the public id of an event: its campaign's number and its 16-byte key."""
    return f"grt_{campaign_no:08x}{key.hex()}"


def parse_grant_id(text: str) -> tuple[int, bytes] | None:
    """Return the campaign's number and the event key."""
    match = _GRANT.fullmatch(text)
    return (int(match[1], 16), bytes.fromhex(match[2])) if match else None


def redemption_id(book_id: int, redemption: int) -> str:
    """Return the public id of a redemption: its book's and its own number."""
    return f"red_{book_id:08x}{redemption:016x}"


def parse_redemption_id(text: str) -> tuple[int, int] | None:
    """Return the book's number and the redemption's."""
    match = _REDEMPTION.fullmatch(text)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def correction_id(book_id: int, correction: int) -> str:
    """Return the public id of a correction: its book's and its own number."""
    return f"cor_{book_id:08x}{correction:016x}"


def parse_correction_id(text: str) -> tuple[int, int] | None:
    """Return the book's number and the correction's."""
    match = _CORRECTION.fullmatch(text)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def correction_job_id(job_no: int) -> str:
    """Return the public id of a correction of many."""
    return f"crj_{job_no}"


def parse_correction_job_id(text: str) -> int | None:
    """Return the number of a correction of many."""
    match = _CORRECTION_JOB.fullmatch(text)
    return int(match[1]) if match else None


def position(at: Position) -> str:
    """Return the text of how far a reader has come: in the log, and in what moved no points."""
    return f"{at.seq}.{at.place}"


def parse_position(text: str) -> Position | None:
    """Return how far a reader has come."""
    match = _POSITION.fullmatch(text)
    return Position(int(match[1]), int(match[2])) if match else None


def request_id(proposed: str | None) -> str:
    """Return the id under which a request is logged: the caller's own when it is fit to be repeated, else a new one."""
    if proposed is not None and _REQUEST.fullmatch(proposed):
        return proposed
    # Nobody is to be kept from guessing it, so it need not cost a call of the operating system.
    return f"req_{random.getrandbits(96):024x}"


def key_id(api_key_id: int) -> str:
    """Return the public id of an API key."""
    return f"key_{api_key_id}"


def parse_key_id(text: str) -> int | None:
    """Return the number of an API key, or None when ``text`` is not such an id."""
    found = _KEY.fullmatch(text)
    return int(found[1]) if found and int(found[1]) < 2**31 else None


def person_id(person: int) -> str:
    """Return the public id of a person who works for a brand."""
    return f"per_{person}"


def parse_person_id(text: str) -> int | None:
    """Return the number of a person, or None when ``text`` is not such an id."""
    found = _PERSON.fullmatch(text)
    return int(found[1]) if found and int(found[1]) < 2**31 else None


def source_id(source_no: int) -> str:
    """Return the public id of a source."""
    return f"src_{source_no}"


def parse_source_id(text: str) -> int | None:
    """Return the number of a source."""
    found = _SOURCE.fullmatch(text)
    return int(found[1]) if found and int(found[1]) < 2**31 else None


def approval_id(approval_no: int) -> str:
    """Return the public id of an approval."""
    return f"apr_{approval_no}"


def parse_approval_id(text: str) -> int | None:
    """Return the number of an approval."""
    match = _APPROVAL.fullmatch(text)
    return int(match[1]) if match else None


def erasure_id(erasure_no: int) -> str:
    """Return the public id of an erasure."""
    return f"ers_{erasure_no}"


def parse_erasure_id(text: str) -> int | None:
    """Return the number of an erasure."""
    match = _ERASURE.fullmatch(text)
    return int(match[1]) if match else None


def customer_id(customer: int) -> str:
    """Return the public form of our own number of a customer."""
    return f"{CUSTOMER_ID_PREFIX}{customer}"


def parse_customer_id(text: str) -> int | None:
    """Return our number of a customer."""
    match = _CUSTOMER.fullmatch(text)
    return int(match[1]) if match else None


def identity_id(brand_id: int, identity: int) -> str:
    """Return the public id of a name of a customer: its brand's and its own number."""
    return f"idn_{brand_id:08x}{identity:016x}"


def parse_identity_id(text: str) -> tuple[int, int] | None:
    """Return the brand's number and the identity's."""
    match = _IDENTITY.fullmatch(text)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def export_id(brand_id: int, export: int) -> str:
    """Return the public id of an export: its brand's and its own number."""
    return f"exp_{brand_id:08x}{export:016x}"


def parse_export_id(text: str) -> tuple[int, int] | None:
    """Return the brand's number and the export's."""
    match = _EXPORT.fullmatch(text)
    return (int(match[1], 16), int(match[2], 16)) if match else None
