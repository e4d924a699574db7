"""Where customers come to: an action that begins with ``location.`` pays once per customer and place, or place and day.

Of such a report its place is kept, which is the event's message id, and its store. Whatever else it says could hold
coordinates in some notation, so it is refused, or left out: the message that it came by. Coordinates that are recognised in the
metadata of any report are refused too. A refusal names the field and never its content.
"""

from __future__ import annotations

from service.grants.kinds import stores
from service.grants.schemas import GrantRequest
from service.http.json_text import escaped
from service.http.problems import Problem, invalid_field
from service.providers.places import NO_COORDINATES, PLACE_RULE, coordinates_in, is_place

MEMBER = "place_id"
"""The member of a report's metadata that names the place."""


def place_of(item: GrantRequest) -> str | Problem:
    """The place of a report; or what it must not say, or lacks."""
    told = {name: value for name, value in (item.metadata or {}).items() if name != stores.KEPT_AS}
    place = told.pop(MEMBER, None)
    if told:
        return invalid_field(_member(next(iter(told))), f"must be left out: of a place, only {MEMBER} is taken")
    if item.link is not None:
        return invalid_field("/link", "must be left out: nobody comes to a place by a link")
    if item.store_id is not None and not is_place(item.store_id):
        return invalid_field("/store_id", PLACE_RULE)
    return place if isinstance(place, str) and is_place(place) else invalid_field(_member(MEMBER), PLACE_RULE)


def coordinates(item: GrantRequest) -> Problem | None:
    """What is wrong with metadata that gives coordinates away."""
    name = coordinates_in(item.metadata or {})
    if name is None:
        return None
    if name == stores.KEPT_AS and item.store_id is not None:
        return invalid_field("/store_id", NO_COORDINATES)
    # A name that is a position itself is not to be repeated.
    is_repeatable = coordinates_in({"": name}) is None
    return invalid_field(_member(name) if is_repeatable else "/metadata", NO_COORDINATES)


def _member(name: str) -> str:
    return f"/metadata/{escaped(name)}"
