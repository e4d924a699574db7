"""A day of message events, as a messaging system would report them.

The same seed, day and options always make the same lines. Customers are reached over every channel at the hours people read
messages; most messages are opened, few are clicked, very few answered. Some events are reported twice: half of those a few
lines later, so mostly in the same batch, half of them much later.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

import msgspec

# Share of messages by channel, and for each action the share of people who go on to it and the mean seconds until then.
_CHANNELS: dict[str, tuple[float, tuple[tuple[str, float, float], ...]]] = {
    "email": (0.38, (("open", 0.45, 2400.0), ("click", 0.14, 60.0), ("reply", 0.05, 600.0))),
    "push": (0.22, (("open", 0.30, 600.0), ("click", 0.25, 20.0))),
    "app": (0.12, (("open", 0.70, 900.0), ("click", 0.22, 30.0), ("reply", 0.10, 120.0))),
    "whatsapp": (0.10, (("open", 0.85, 500.0), ("click", 0.18, 60.0), ("reply", 0.30, 240.0))),
    "web": (0.08, (("open", 0.60, 60.0), ("click", 0.20, 45.0))),
    "sms": (0.06, (("click", 0.12, 700.0), ("reply", 0.35, 300.0))),
    "rcs": (0.04, (("open", 0.75, 500.0), ("click", 0.20, 60.0), ("reply", 0.25, 240.0))),
}
_HOURS = (1, 1, 1, 1, 1, 2, 5, 8, 10, 10, 9, 8, 9, 8, 7, 7, 8, 10, 12, 12, 10, 7, 4, 2)

# Area codes and the range 555-0100 to 555-0199, which is kept for fiction.
_AREA_CODES = (201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228)
_PHONES = len(_AREA_CODES) * 100


class Traffic(msgspec.Struct, frozen=True):
    """What to make: ``events`` lines for ``campaign``, of which the share ``duplicates`` repeat an earlier one."""

    campaign: str
    day: date
    events: int
    customers: int
    seed: int = 1
    duplicates: float = 0.1


class _Act(msgspec.Struct, frozen=True, order=True):
    at: datetime
    message: int
    action: str
    channel: str
    customer: int


def customer_identity(number: int) -> dict[str, str]:
    """The one identity under which a customer is reported: the brand's id mostly, else an email or a phone."""
    kind = number % 10
    if kind >= 7 and kind != 9:
        return {"email": f"customer{number}@example.com"}
    if kind == 9 and number // 10 < _PHONES:
        area, line = divmod(number // 10, 100)
        return {"phone": f"+1{_AREA_CODES[area]}55501{line:02}"}
    return {"id": f"customer-{number}"}


def lines(traffic: Traffic) -> Iterator[bytes]:
    """The events as lines of NDJSON, each with its line end, in the order they are reported."""
    draw = random.Random(traffic.seed)  # noqa: S311 (made to be repeatable, not secret)
    repeats = round(traffic.events * traffic.duplicates)
    acts = _acts(traffic, draw, traffic.events - repeats)
    for number, index in enumerate(_with_repeats(len(acts), repeats, draw), start=1):
        act = acts[index]
        event = {
            "campaign": traffic.campaign,
            "message_id": f"sim-{traffic.seed}-{traffic.day:%Y%m%d}-{act.message:07}",
            "customer": customer_identity(act.customer),
            "action": act.action,
            "channel": act.channel,
            "occurred_at": f"{act.at:%Y-%m-%dT%H:%M:%S}Z",
            "ref": str(number),
        }
        yield msgspec.json.encode(event) + b"\n"


def _acts(traffic: Traffic, draw: random.Random, count: int) -> list[_Act]:
    """``count`` different acts, by time: no customer does the same thing to the same message twice."""
    shares = list(accumulate(share for share, _ in _CHANNELS.values()))
    hours = list(accumulate(_HOURS))
    names = list(_CHANNELS)
    start = datetime(traffic.day.year, traffic.day.month, traffic.day.day, tzinfo=UTC)
    end = start + timedelta(days=1, seconds=-1)
    acts: list[_Act] = []
    message = 0
    while len(acts) < count:
        message += 1
        # Some customers are reached far more often than others.
        customer = int(traffic.customers * draw.random() ** 1.5)
        channel = names[bisect(shares, draw.random() * shares[-1])]
        at = start + timedelta(hours=bisect(hours, draw.random() * hours[-1]), seconds=int(3600 * draw.random()))
        for action, share, mean_s in _CHANNELS[channel][1]:
            if draw.random() >= share:
                break
            at = min(at + timedelta(seconds=1 + int(2 * mean_s * draw.random())), end)
            acts.append(_Act(at, message, action, channel, customer))
    del acts[count:]
    acts.sort()
    return acts


def _with_repeats(count: int, repeats: int, draw: random.Random) -> list[int]:
    """Indexes 0 to ``count`` in order, and ``repeats`` of them a second time behind their first."""
    places = [(float(index), index) for index in range(count)]
    for number in range(repeats if count else 0):
        index = int(count * draw.random())
        later = 3 * draw.random() if number % 2 else count / 4 * draw.random()
        places.append((index + 0.5 + later, index))
    places.sort()
    return [index for _, index in places]
