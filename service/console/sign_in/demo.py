"""The people of a demo, as whom anybody who opens it can sign in. Elsewhere there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.console.sign_in import sessions
from service.demo_shop import demo_file
from service.http.problems import not_found

if TYPE_CHECKING:
    from service.services import Services


def people(services: Services) -> Mapping[str, int]:
    """The demo's people by role."""
    demo = demo_file.read(demo_file.path_of(services.settings)) if services.settings.demo else None
    return {} if demo is None else demo.persons


async def sign_in(services: Services, role: str) -> str:
    """Sign in as the person with this role, and return the cookie. Raises a problem."""
    person_id = people(services).get(role)
    cookie = None if person_id is None else await sessions.begin(services, person_id, method="demo")
    if cookie is None:
        raise not_found("demo")
    return cookie
