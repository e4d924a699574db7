"""The preferences as a page: a form that works without JavaScript."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

from service.admission.limits import PARAMETERS_MAX
from service.brands.brand import Brand
from service.pages.rendering import Answer, environment, render, words_for
from service.preferences.schemas import FREQUENCIES, ChannelRequest, Frequency, PreferencesRequest, PreferencesResponse, Status

_STATUSES: tuple[Status, ...] = ("granted", "refused")

_templates = environment(Path(__file__).parent / "templates")


def preferences_page(brand: Brand, preferences: PreferencesResponse, *, is_from_elsewhere: bool = False) -> Answer:
    """Show the form as it stands. ``is_from_elsewhere``: another site's page tried to send it for the customer."""
    words = words_for(brand)
    labels = [
        (each.channel, words.say(key) if words.has(key := f"channel.{each.channel}") else each.channel, each.status)
        for each in preferences.channels
    ]
    return render(
        _templates,
        "preferences.html",
        brand=brand,
        words=words,
        title=words.say("preferences.title"),
        status=403 if is_from_elsewhere else 200,
        channels=labels,
        frequencies=[(each, words.say(f"preferences.{each}")) for each in FREQUENCIES],
        preferences=preferences,
        is_from_elsewhere=is_from_elsewhere,
    )


def read_form(body: bytes, preferences: PreferencesResponse) -> PreferencesRequest | None:
    """What the form says, given what it was made of; ``None`` when it is no form of ours.

    Nothing is chosen for a customer: a channel they said nothing of before, and leave alone, is left as it is.
    """
    try:
        fields = parse_qs(body.decode(), max_num_fields=PARAMETERS_MAX, errors="strict")
    except ValueError:
        return None
    frequency: Frequency | None = next((each for each in FREQUENCIES if fields.get("frequency") == [each]), None)
    # A form with boxes, of a page that was open when this version came: it is asked again.
    if frequency is None or "shown" in fields:
        return None
    return PreferencesRequest(
        channels=[
            ChannelRequest(channel=each.channel, status=status)
            for each in preferences.channels
            for status in _STATUSES
            if fields.get(f"channel.{each.channel}") == [status] and status != each.status
        ],
        frequency=frequency,
        rewards="rewards" in fields,
    )
