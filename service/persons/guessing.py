"""Enrolling over HTTP, where anybody may try: who sends many invitations that are none is refused without a look-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request

from service.admission.client_networks import client_network
from service.admission.failed_attempts import RETRY_AFTER_S
from service.http.problems import CODES, Problem
from service.persons import actions
from service.persons.errors import InvitationRefused

if TYPE_CHECKING:
    from service.services import Services


async def enrol(services: Services, invitation: str, request: Request[Any, Any, Any]) -> actions.Enrolled:
    """Enrol a person. Raises a problem."""
    network = client_network(request.client.host if request.client else "")
    if services.invitation_guesses.exceeded(network):
        raise Problem("too_many_guesses", CODES["too_many_guesses"].meaning, headers={"Retry-After": str(RETRY_AFTER_S)})
    try:
        return await actions.enrol(services.engine, invitation)
    except InvitationRefused:
        services.invitation_guesses.note(network)
        raise Problem("invitation_refused", CODES["invitation_refused"].meaning) from None
