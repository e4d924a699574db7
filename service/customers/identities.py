"""Identities: the normal forms of what a brand calls a customer, and the keyed hashes that are all we keep of it.

Form 1 is: the brand's own id as it is; an email address in NFC, trimmed, lower case, its domain in ASCII (IDNA 2008); a
telephone number in E.164; a device's id as it is. ``tests/customers/normal_form_vectors.json`` holds vectors. A form is never
changed: a new rule is a new form with a number of its own, first one that is only looked up (in ``FORMS``), then, once every
process knows it, the one that is stored (``FORM``). Keys change in the same two steps.
"""

from __future__ import annotations

import enum
import hmac
import re
import unicodedata
from collections.abc import Sequence

import idna
import msgspec

from service.customers.schemas import CustomerRef
from service.identifiers import CUSTOMER_ID_PREFIX
from service.plain_words import NO_CONTROL_CHARACTERS
from service.problems import Problem, invalid_field
from service.settings import IdentityKey

FORM = 1
"""The form under which identities are stored."""
FORMS: tuple[int, ...] = (1,)
"""The forms under which they are looked up."""
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
    DEVICE = 4


_MUST_BE = {
    IdentityKind.EMAIL: ("email", "an email address such as ada@example.org"),
    IdentityKind.PHONE: ("phone", "a telephone number with its country code such as +4930901820"),
}


class StoredAs(msgspec.Struct, frozen=True, gc=False):
    """What an identity is stored as under one key and one form."""

    mac: bytes
    key_no: int
    form: int


class Identity(msgspec.Struct, frozen=True, gc=False):
    """One name of a customer: its kind, and the hashes it may be stored as, first the one it is to be stored as."""

    kind: IdentityKind
    stored_as: tuple[StoredAs, ...]

    @property
    def mac(self) -> bytes:
        """What it is to be stored as; also what tells two identities apart."""
        return self.stored_as[0].mac

    def outdates(self, stored: StoredAs) -> bool:
        """Whether what it is stored as is to be replaced.

        A key or form with a higher number than ours is one that other processes use already: they would only store it back.
        """
        ours = self.stored_as[0]
        return stored != ours and stored.key_no <= ours.key_no and stored.form <= ours.form


def identities(
    ref: CustomerRef, brand_id: int, keys: Sequence[IdentityKey], *, at: str = "/customer"
) -> list[Identity] | Problem:
    """The identities of ``ref``, strongest first, or what is wrong with it; ``at`` is where the body has it.

    The last of ``keys`` is the one in use.
    """
    named = (
        (IdentityKind.ID, ref.id),
        (IdentityKind.EMAIL, ref.email),
        (IdentityKind.PHONE, ref.phone),
        (IdentityKind.DEVICE, ref.device),
    )
    found: list[Identity] = []
    for kind, name in named:
        if name is None:
            continue
        each = identity(keys, brand_id, kind, name)
        if not each.stored_as or each.stored_as[0].form != FORM:
            field, wanted = _MUST_BE[kind]
            return invalid_field(f"{at}/{field}", f"must be {wanted}")
        found.append(each)
    return found or invalid_field(at, "needs an id, an email, a phone or a device")


def deciding(person: Sequence[Identity]) -> Sequence[Identity]:
    """Which names of a person, strongest first, say who she is: a device, which people may share, only if it is alone."""
    return person[:-1] if len(person) > 1 and person[-1].kind is IdentityKind.DEVICE else person


def identity(keys: Sequence[IdentityKey], brand_id: int, kind: IdentityKind, name: str) -> Identity:
    """The identity of a name that has a normal form."""
    # The stable sort puts the key and the form in use first and keeps the order of the others.
    forms = sorted(FORMS, key=FORM.__ne__) if len(FORMS) > 1 else FORMS
    normals = [(form, normal) for form in forms if (normal := normal_form(kind, name, form)) is not None]
    stored_as = [
        StoredAs(mac(key, brand_id, kind, normal, form), key.key_no, form) for key in reversed(keys) for form, normal in normals
    ]
    return Identity(kind, tuple(stored_as))


def is_own_id(text: str) -> bool:
    """Whether a brand may call a customer so: within what is kept, and not the way we write our own numbers."""
    fits = 0 < len(text.encode()) <= 256 and re.search(NO_CONTROL_CHARACTERS, text) is not None
    return fits and not text.startswith(CUSTOMER_ID_PREFIX)


def normal_form(kind: IdentityKind, name: str, form: int) -> str | None:
    """What ``name`` is in a form, or ``None`` if it is no such name."""
    if form != 1:
        raise ValueError(f"there is no form {form}")
    match kind:
        case IdentityKind.ID | IdentityKind.DEVICE:
            return name
        case IdentityKind.EMAIL:
            return normal_email(name)
        case IdentityKind.PHONE:
            return normal_phone(name)


def normal_email(text: str) -> str | None:
    """Form 1 of an email address, or ``None`` if it is none."""
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
    """Form 1 of a telephone number, or ``None`` if it is none."""
    phone = text.strip().translate(_PUNCTUATION)
    return phone if _E164.fullmatch(phone) else None


def mac(key: IdentityKey, brand_id: int, kind: IdentityKind, normal: str, form: int) -> bytes:
    """The 16 bytes under which an identity is looked up: HMAC-SHA-256 over form, kind, brand and the normal form."""
    message = bytes((form, kind)) + brand_id.to_bytes(4, "big") + normal.encode()
    return hmac.digest(key.key, message, "sha256")[:MAC_BYTES]
