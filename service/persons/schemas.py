"""The wire of ``/v1/persons``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.http import identifiers
from service.http.bodies import Body
from service.persons.actions import Enrolled
from service.persons.queries import Person


class EnrolRequest(Body, frozen=True):
    """An invitation."""

    example: ClassVar[dict[str, Any]] = {"invitation": "ri_test_" + "A" * 43}

    invitation: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """What the operator's `rewards person invite` has shown. It is good for one key, for seven days."""


class PersonResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who works for the brand. Keys belong to a person, or to a system."""

    id: str
    """The person's id, `per_` and a number."""
    name: str
    """Their name, as the operator gave it."""
    roles: list[str]
    """Their roles, which never change: to change them, disable the person and invite them again."""
    state: Literal["invited", "enrolled", "disabled"]
    """`invited` until they have used an invitation, `enrolled`, or `disabled` for good."""
    invited_at: datetime
    """When they were first invited."""
    invitation_expires_at: datetime | None
    """Until when an invitation is good that they have not used; null if there is none."""
    enrolled_at: datetime | None
    """When they first enrolled; null: not yet."""
    disabled_at: datetime | None
    """When they were disabled and their keys revoked; null: they were not."""

    @classmethod
    def of(cls, person: Person) -> PersonResponse:
        """Describe a person."""
        enrolled = "invited" if person.enrolled_at is None else "enrolled"
        return cls(
            id=identifiers.person_id(person.person_id),
            name=person.name,
            roles=list(person.roles),
            state=enrolled if person.disabled_at is None else "disabled",
            invited_at=person.invited_at,
            invitation_expires_at=person.invitation_expires_at,
            enrolled_at=person.enrolled_at,
            disabled_at=person.disabled_at,
        )


class EnrolResponse(msgspec.Struct, frozen=True):
    """A person who has enrolled, and their key."""

    person: PersonResponse
    """Who enrolled."""
    key_id: str
    """The id of the key, `key_` and a number. Not a secret."""
    key: str
    """The key itself, for `Authorization: Bearer`. It is shown only here."""

    @classmethod
    def of(cls, enrolled: Enrolled) -> EnrolResponse:
        """Describe an enrolment."""
        return cls(PersonResponse.of(enrolled.person), identifiers.key_id(enrolled.api_key_id), enrolled.key)
