"""The normal forms and hashes under which customers are known for ever, held to vectors that never change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service.customers.identities import FORM, FORMS, IdentityKind, deciding, identities, identity, is_own_id, mac, normal_form
from service.customers.schemas import CustomerRef
from service.problems import Problem
from service.settings import IdentityKey


class Vector(msgspec.Struct, frozen=True):
    """A name, its normal form, and what it is stored as."""

    form: int
    kind: str
    name: str
    normal: str | None
    mac: str | None = None


class Vectors(msgspec.Struct, frozen=True):
    """All of them, and what they are hashed with."""

    key: str
    brand_id: int
    vectors: list[Vector]


VECTORS = msgspec.json.decode((Path(__file__).parent / "normal_form_vectors.json").read_bytes(), type=Vectors)
KEY = IdentityKey(key_no=1, key=bytes.fromhex(VECTORS.key))
OLD, NEW = KEY, IdentityKey(key_no=2, key=bytes(32))


@pytest.mark.parametrize("vector", VECTORS.vectors, ids=lambda vector: f"{vector.form}-{vector.kind}-{vector.name}")
def test_a_name_has_the_normal_form_and_the_hash_of_its_vector(vector: Vector) -> None:
    kind = IdentityKind[vector.kind.upper()]
    normal = normal_form(kind, vector.name, vector.form)
    assert normal == vector.normal
    stored = None if normal is None else mac(KEY, VECTORS.brand_id, kind, normal, vector.form).hex()
    assert stored == vector.mac


def test_every_form_has_vectors() -> None:
    assert {vector.form for vector in VECTORS.vectors} == set(FORMS)
    assert FORM in FORMS


def test_what_is_stored_differs_by_kind_brand_and_key() -> None:
    stored = {
        mac(key, brand_id, kind, "+4930901820", 1)
        for key in (OLD, NEW)
        for brand_id in (1, 2)
        for kind in (IdentityKind.ID, IdentityKind.PHONE)
    }
    assert len(stored) == 8


def test_the_last_key_is_the_one_to_store_under() -> None:
    found = identity((OLD, NEW), 7, IdentityKind.ID, "c-1")
    assert [(stored.key_no, stored.form) for stored in found.stored_as] == [(2, 1), (1, 1)]
    assert found.mac == found.stored_as[0].mac
    assert [found.outdates(stored) for stored in found.stored_as] == [False, True]
    # Where the new key is known and not yet in use, what others have stored under it stays.
    behind = identity((NEW, OLD), 7, IdentityKind.ID, "c-1")
    assert [behind.outdates(stored) for stored in behind.stored_as] == [False, False]


def test_the_strongest_name_comes_first() -> None:
    found = identities(CustomerRef(device="d", phone="+4930901820", email="ada@example.org", id="c-1"), 7, (KEY,))
    assert not isinstance(found, Problem)
    assert [each.kind for each in found] == [IdentityKind.ID, IdentityKind.EMAIL, IdentityKind.PHONE, IdentityKind.DEVICE]


def test_a_device_says_who_it_is_only_if_it_is_alone() -> None:
    for ref, kinds in (
        (CustomerRef(device="d"), [IdentityKind.DEVICE]),
        (CustomerRef(device="d", phone="+4930901820"), [IdentityKind.PHONE]),
        (CustomerRef(device="d", phone="+4930901820", id="c-1"), [IdentityKind.ID, IdentityKind.PHONE]),
        (CustomerRef(phone="+4930901820", id="c-1"), [IdentityKind.ID, IdentityKind.PHONE]),
    ):
        found = identities(ref, 7, (KEY,))
        assert not isinstance(found, Problem)
        assert [each.kind for each in deciding(found)] == kinds


OWN_IDS = [
    ("C-1001", True),
    ("ü" * 128, True),
    ("ü" * 129, False),
    ("", False),
    ("a\nb", False),
    ("a\n", False),
    ("cus_7", False),
]


@pytest.mark.parametrize(("text", "fits"), OWN_IDS)
def test_an_own_id_is_anything_short_that_is_not_one_of_ours(text: str, fits: bool) -> None:
    assert is_own_id(text) is fits
