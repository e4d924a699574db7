"""Identities: the normal form of what a brand calls a customer, and the keyed hash that is all we keep of it.

Form 1 is: the brand's own id as it is; an email address in NFC, trimmed, lower case, its domain in ASCII (IDNA 2008); a
telephone number in E.164. A new form or key gets a new number, and both are looked up until no old hash is left.
"""

from __future__ import annotations

import enum
import hmac
import re
import unicodedata

import idna
import msgspec

from service.customers.schemas import CustomerRef
from service.problems import Problem, invalid_field
from service.settings import IdentityKey

FORM = 1
MAC_BYTES = 16

_ASCII_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+"
)
_PUNCTUATION = str.maketrans("", "", " ().-")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class IdentityKind(enum.IntEnum):
    """What a customer is called by, strongest first."""

    ID = 1
    EMAIL = 2
    PHONE = 3


class Identity(msgspec.Struct, frozen=True):
    """One name of a customer: its kind, and its keyed hash."""

    kind: IdentityKind
    mac: bytes


def identities(ref: CustomerRef, brand_id: int, key: IdentityKey) -> list[Identity] | Problem:
    """The identities of ``ref``, strongest first, or what is wrong with it (pointers begin at the item)."""
    named: list[tuple[IdentityKind, str]] = []
    if ref.id is not None:
        named.append((IdentityKind.ID, ref.id))
    if ref.email is not None:
        email = normal_email(ref.email)
        if email is None:
            return invalid_field("/customer/email", "must be an email address such as ada@example.org")
        named.append((IdentityKind.EMAIL, email))
    if ref.phone is not None:
        phone = normal_phone(ref.phone)
        if phone is None:
            return invalid_field("/customer/phone", "must be a telephone number with its country code such as +4930901820")
        named.append((IdentityKind.PHONE, phone))
    if not named:
        return invalid_field("/customer", "needs an id, an email or a phone")
    return [Identity(kind, mac(key, brand_id, kind, name)) for kind, name in named]


def normal_email(text: str) -> str | None:
    """The normal form of an email address, or ``None`` if it is none."""
    email = text.strip().lower()
    if _ASCII_EMAIL.fullmatch(email):
        return email
    local, _, domain = unicodedata.normalize("NFC", email).rpartition("@")
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None
    if not local or "." not in ascii_domain or any(unicodedata.category(character)[0] in "CZ" for character in local):
        return None
    return f"{local}@{ascii_domain}"


def normal_phone(text: str) -> str | None:
    """The normal form of a telephone number, or ``None`` if it is none."""
    phone = text.strip().translate(_PUNCTUATION)
    return phone if _E164.fullmatch(phone) else None


def mac(key: IdentityKey, brand_id: int, kind: IdentityKind, normal_form: str) -> bytes:
    """The 16 bytes under which an identity is looked up: HMAC-SHA-256 over form, brand, kind and the normal form."""
    message = bytes((FORM, kind)) + brand_id.to_bytes(4, "big") + normal_form.encode()
    return hmac.digest(key.key, message, "sha256")[:MAC_BYTES]
