"""Identities: the normal forms of what a brand calls a customer, and the keyed hashes that are all we keep of it.

A name is stored under form 2: the brand's own id as it is; an email address as ``email_addresses`` has it; a telephone number
in E.164 as ``phone_numbers`` has it; a device's id as it is. ``tests/customers/normal_form_vectors.json`` holds vectors. What a
form makes of a name it makes for ever; it may only learn to take what it refused. A new rule is a new form with a number of its
own.

Forms are hashed alike: who is spelled the same in both, as nearly everybody, is stored the same, and is looked up once. Where a
name may be stored in another spelling of form 1, it is looked up under that too, and stored so. Keys change in two steps: a
new one is first only looked up, then, once every process knows it, the one that is stored.
"""

from __future__ import annotations

import enum
import functools
import hmac
import re
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import msgspec

from service.customers.email_addresses import former_email, normal_email
from service.customers.phone_numbers import former_phone, former_phones, normal_phone
from service.customers.schemas import CustomerRef
from service.http.identifiers import CUSTOMER_ID_PREFIX, parse_customer_id
from service.http.problems import FieldError, Problem, invalid_field, not_found
from service.http.validation_messages import NO_CONTROL_CHARACTERS
from service.settings import IdentityKey

FORM = 2
"""The form under which identities are stored."""
FORMS: tuple[int, ...] = (1, 2)
"""The forms under which they are looked up."""
HASHED_AS = 1
"""The first byte of what is hashed. It changes with what is hashed how, not with the forms."""
MAC_BYTES = 16


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
    """One name of a customer: its kind, the hashes it may be stored as, first the one it is to be stored as, and its spellings,
    which are stored nowhere.
    """

    kind: IdentityKind
    stored_as: tuple[StoredAs, ...]
    spellings: tuple[str, ...]

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


class OurNumber(msgspec.Struct, frozen=True, gc=False):
    """Our own number of a customer (``cus_``) where a brand names them by it. It is looked up, and is nobody's to get."""

    number: int
    brand_id: int
    kind: ClassVar[IdentityKind] = IdentityKind.ID
    stored_as: ClassVar[tuple[StoredAs, ...]] = ()

    @property
    def mac(self) -> bytes:
        """What tells it from all identities: it is shorter than what they are stored as."""
        return self.number.to_bytes(8, "big")


Named: TypeAlias = "list[Identity] | OurNumber"
"""Whom a brand names: by what it calls them, strongest first, or by our number."""


def named(ref: CustomerRef, brand_id: int, keys: Sequence[IdentityKey], *, at: str | None = "/customer") -> Named | Problem:
    """Whom ``ref`` names, or what is wrong with it; ``at`` is where the body has it, ``None`` if the address has it."""
    if ref.id is None or not ref.id.startswith(CUSTOMER_ID_PREFIX):
        return identities(ref, brand_id, keys, at=at or "")
    if (ref.email, ref.phone, ref.device) != (None, None, None):
        return invalid_field(f"{at or ''}/id", "must be the only name if it is our number (cus_)")
    number = parse_customer_id(ref.id)
    return no_such_customer(at) if number is None else OurNumber(number, brand_id)


def no_such_customer(at: str | None) -> Problem:
    """Why nobody is named by a number that we have not given out to this brand; ``at`` is where the body has it."""
    problem = not_found("customer")
    if at is None:
        return problem
    detail = "is not the number of any customer of yours"
    return Problem("not_found", f"{at}/id: {detail}", errors=[FieldError(f"{at}/id", "not_found", detail)])


def identities(
    ref: CustomerRef, brand_id: int, keys: Sequence[IdentityKey], *, at: str = "/customer"
) -> list[Identity] | Problem:
    """The identities of ``ref``, strongest first, or what is wrong with it; ``at`` is where the body has it.

    The last of ``keys`` is the one in use.
    """
    names = (
        (IdentityKind.ID, ref.id),
        (IdentityKind.EMAIL, ref.email),
        (IdentityKind.PHONE, ref.phone),
        (IdentityKind.DEVICE, ref.device),
    )
    found: list[Identity] = []
    for kind, name in names:
        if name is None:
            continue
        each = identity(keys, brand_id, kind, name)
        if each is None:
            field, wanted = _MUST_BE[kind]
            return invalid_field(f"{at}/{field}", f"must be {wanted}")
        found.append(each)
    return found or invalid_field(at, "needs an id, an email, a phone or a device")


def without_shared_device(person: Sequence[Identity]) -> Sequence[Identity]:
    """The names that identify a person, strongest first. A device counts only alone, because people share devices."""
    return person[:-1] if len(person) > 1 and person[-1].kind is IdentityKind.DEVICE else person


def identity(keys: Sequence[IdentityKey], brand_id: int, kind: IdentityKind, name: str) -> Identity | None:
    """The identity of a name, or ``None`` if it is no such name."""
    normal = normal_form(kind, name, FORM)
    if normal is None:
        return None
    if len(keys) == 1 and (kind is IdentityKind.ID or kind is IdentityKind.DEVICE):
        return Identity(kind, (StoredAs(mac(keys[0], brand_id, kind, normal), keys[0].key_no, FORM),), (normal,))
    spellings = [(FORM, normal), *((1, former) for former in _former_spellings(kind, name, normal))]
    # Those under the key in use come first, and of these the one in the form in use.
    stored_as = [
        StoredAs(mac(key, brand_id, kind, each), key.key_no, form) for key in reversed(keys) for form, each in spellings
    ]
    return Identity(kind, tuple(stored_as), tuple(each for _, each in spellings))


def own_identity(keys: Sequence[IdentityKey], brand_id: int, own_id: str) -> Identity:
    """The identity of a brand's own id."""
    identified = identity(keys, brand_id, IdentityKind.ID, own_id)
    assert identified is not None
    return identified


def _former_spellings(kind: IdentityKind, name: str, normal: str) -> list[str]:
    """The spellings other than ``normal`` that a name may be stored under, from former forms."""
    match kind:
        case IdentityKind.PHONE:
            return former_phones(name, normal)
        case IdentityKind.EMAIL:
            # Of an address in ASCII that form 2 takes, form 1 has the same.
            former = None if name.isascii() else former_email(name)
            return [] if former is None or former == normal else [former]
        case _:
            return []


def is_id(text: str) -> bool:
    """Whether a customer can be called so: within what is kept."""
    return 0 < len(text.encode()) <= 256 and re.search(NO_CONTROL_CHARACTERS, text) is not None


def normal_form(kind: IdentityKind, name: str, form: int) -> str | None:
    """What ``name`` is in a form, or ``None`` if it is no such name."""
    if form not in FORMS:
        raise ValueError(f"there is no form {form}")
    match kind:
        case IdentityKind.ID | IdentityKind.DEVICE:
            return name
        case IdentityKind.EMAIL:
            return former_email(name) if form == 1 else normal_email(name)
        case IdentityKind.PHONE:
            return former_phone(name) if form == 1 else normal_phone(name)


def mac(key: IdentityKey, brand_id: int, kind: IdentityKind, normal: str) -> bytes:
    """The 16 bytes under which an identity is looked up: HMAC-SHA-256 over ``HASHED_AS``, kind, brand and the normal form."""
    hashed = _keyed(key.key).copy()
    hashed.update(bytes((HASHED_AS, kind)) + brand_id.to_bytes(4, "big") + normal.encode())
    return hashed.digest()[:MAC_BYTES]


# A copy costs less than to begin with the key again.
@functools.cache
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")
