"""Why a person is not invited or disabled. Each message is for the operator."""

from __future__ import annotations


class PersonInvalid(Exception):
    """The person cannot be invited as described; the message says what would be right."""


class PersonUnknown(Exception):
    """The brand has no such person, or the person is disabled."""


class InvitationRefused(Exception):
    """The invitation is unknown, was used, or has expired. The operator can make another: `rewards person reinvite`."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
