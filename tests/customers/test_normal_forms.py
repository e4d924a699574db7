"""The normal forms and hashes under which customers are known for ever, held to vectors that never change."""

from __future__ import annotations

from pathlib import Path

import msgspec
import phonenumbers
import pytest

from service.customers import phone_numbers
from service.customers.identities import (
    FORM,
    FORMS,
    IdentityKind,
    identities,
    identity,
    is_id,
    mac,
    normal_form,
    without_shared_device,
)
from service.customers.phone_numbers import normal_phone
from service.customers.schemas import CustomerRef
from service.http.problems import Problem
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
    stored = None if normal is None else mac(KEY, VECTORS.brand_id, kind, normal).hex()
    assert stored == vector.mac


def test_every_form_has_vectors() -> None:
    assert {vector.form for vector in VECTORS.vectors} == set(FORMS)
    assert FORM in FORMS


def test_what_is_stored_differs_by_kind_brand_and_key() -> None:
    stored = {
        mac(key, brand_id, kind, "+4930901820")
        for key in (OLD, NEW)
        for brand_id in (1, 2)
        for kind in (IdentityKind.ID, IdentityKind.PHONE)
    }
    assert len(stored) == 8


def test_the_last_key_is_the_one_to_store_under() -> None:
    found = identity((OLD, NEW), 7, IdentityKind.ID, "c-1")
    assert found is not None
    assert [(stored.key_no, stored.form) for stored in found.stored_as] == [(2, 2), (1, 2)]
    assert found.mac == found.stored_as[0].mac
    assert [found.outdates(stored) for stored in found.stored_as] == [False, True]
    # Where the new key is known and not yet in use, what others have stored under it stays.
    behind = identity((NEW, OLD), 7, IdentityKind.ID, "c-1")
    assert behind is not None
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
        assert [each.kind for each in without_shared_device(found)] == kinds


IDS = [
    ("C-1001", True),
    ("ü" * 128, True),
    ("ü" * 129, False),
    ("", False),
    ("a\nb", False),
    ("a\n", False),
]


@pytest.mark.parametrize(("text", "fits"), IDS)
def test_an_id_is_anything_short_without_control_characters(text: str, fits: bool) -> None:
    assert is_id(text) is fits


SPELLED_IN_THE_OTHER_FORM = [
    (IdentityKind.PHONE, "+4930901820", ["+4930901820", "+49030901820"]),
    (IdentityKind.PHONE, "+49 (0)30 901820", ["+4930901820", "+49030901820"]),
    (IdentityKind.PHONE, "+14155550100", ["+14155550100"]),
    (IdentityKind.PHONE, "+39061234567", ["+39061234567"]),
    (IdentityKind.PHONE, "+525512345678", ["+525512345678", "+5205512345678", "+5215512345678"]),
    (IdentityKind.PHONE, "+541123456789", ["+541123456789", "+5401123456789", "+5491123456789"]),
    (IdentityKind.PHONE, "+553187654321", ["+5531987654321", "+553187654321", "+55031987654321"]),
    (IdentityKind.PHONE, "+2290197123456", ["+2290197123456", "+22997123456"]),
    (IdentityKind.EMAIL, "Ada@example.org", ["ada@example.org"]),
    (IdentityKind.EMAIL, "\uff41da@example.org", ["ada@example.org", "\uff41da@example.org"]),
    (IdentityKind.ID, "+4930901820", ["+4930901820"]),
]


@pytest.mark.parametrize(("kind", "name", "spellings"), SPELLED_IN_THE_OTHER_FORM)
def test_a_name_is_looked_up_in_every_spelling_it_may_be_stored_in(kind: IdentityKind, name: str, spellings: list[str]) -> None:
    found = identity((OLD,), 7, kind, name)
    assert found is not None
    assert [stored.mac for stored in found.stored_as] == [mac(OLD, 7, kind, each) for each in spellings]
    assert [stored.form for stored in found.stored_as] == [2] + [1] * (len(spellings) - 1)


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS.vectors if each.form == 2 and each.normal], ids=lambda each: each.name
)
def test_a_normal_form_is_its_own_normal_form(vector: Vector) -> None:
    assert vector.normal is not None
    assert normal_form(IdentityKind[vector.kind.upper()], vector.normal, 2) == vector.normal


def test_every_country_code_that_is_assigned_is_known() -> None:
    known = {
        str(n)
        for n in range(1, 1_000)
        if (found := phone_numbers._COUNTRY_CODE.match(f"{n}")) and found[0] == str(n)  # pyright: ignore[reportPrivateUsage]
    }
    assert known - {"379"} == {str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE}


def _examples() -> list[tuple[str, str, str]]:
    """Of each numbering plan a mobile number and one of a house: region, country code and the number within the country."""
    types = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    found = [(r, phonenumbers.example_number_for_type(r, t)) for r in sorted(phonenumbers.SUPPORTED_REGIONS) for t in types]
    return [(r, str(n.country_code), phonenumbers.national_significant_number(n)) for r, n in found if n is not None]


@pytest.mark.parametrize(("region", "country", "national"), _examples())
def test_spellings_of_a_number_become_one_as_its_plan_has_it(region: str, country: str, national: str) -> None:
    # What a messenger or the network puts before an Argentine mobile number is no part of it here.
    number = f"+{country}{national.removeprefix('9') if country == '54' else national}"
    spelled = [f"+{country} {national}", f"00{country}-{national}", f"tel:+{country}.{national}", f"\u202a+{country}{national}"]
    if not national.startswith("0") and country not in {"39", "378", "247"}:
        spelled.append(f"+{country} (0){national}")
    trunk = phonenumbers.ndd_prefix_for_region(region, True)
    if trunk:
        spelled += [f"+{country} ({trunk}) {national}", f"+{country}{trunk}{national}"]
    assert {normal_phone(each) for each in spelled} == {number}
