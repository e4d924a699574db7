"""Every adapter, from the door to the book: whatever way an act is reported, and however often, it is one grant.

    valid       each of the provider's events, in its documented shape
    replayed    the same bytes again, and as the provider itself sends them again
    changed     one byte is another one: refused where the body is signed
    reordered   the fields the other way round
    more        fields that no provider has yet
    any script  ids, names and replies that are not ASCII
    largest     a batch as large as the provider sends

All of it is mixed up, so that each is the first of its act at some time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from service.ingest.envelope_reader import EnvelopeReader
from service.ingest.meanings import ACTIONS, ANSWERS
from service.providers.adapter import parse, verify
from service.providers.registry import ADAPTERS
from service.providers.replies import content_of
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, SAMPLES, doubled, secrets_for, signed, simulate, tampered
from service.providers.types import EventKind, IdentityKind, ProviderRequest, Trust
from tests.api_fixtures import Api
from tests.ingest.conftest import Owner
from tests.ingest.test_every_provider import post, set_up
from tests.ingest.test_reading import outcomes, read_all
from tests.ledger.conftest import assert_books_are_sound
from tests.links.campaigns import make_campaign
from tests.providers.test_adapters import LARGE, reordered, rewritten, with_more

EARNING = {kind.value for kind in ACTIONS}
EARNS_NOTHING = {"no_message", "unknown_account", "no_recipient", "empty_reply"}
"""Why some of the samples earn nothing: replies that do not say what they answer or what they say, and people whom only the
provider knows."""
MACHINE = "by-machine"
BATCH = 500
RULES = [{"action": action, "points": 5, "min_evidence": "D"} for action in ACTIONS.values()]


def occasion_of(url: str, event: str, now: datetime, name: str = "msg") -> Occasion:
    """What an event of its own is about."""
    message = f"{name}-{event}"
    return Occasion(
        url=url,
        token="",
        at=now,
        said=f"Yes, {message} please!",
        message=message,
        event=f"evt-{message}",
        replied_to=f"to-{message}",
    )


def earning(provider: str) -> list[str]:
    """The provider's events that can earn something."""
    return [event for event in SAMPLES[provider] if event.partition("-")[0] in EARNING and MACHINE not in event]


def every_way(provider: str, url: str, now: datetime) -> Iterator[tuple[str, ProviderRequest]]:
    """Each earning event in every way, with what to call its act."""
    for event in earning(provider):
        occasion = occasion_of(url, event, now)
        yield event, simulate(provider, event, occasion, now)
        yield from ((event, each) for each in doubled(provider, event, occasion, now))
        for change in (reordered, with_more):
            plain = SAMPLES[provider][event](occasion)
            if (body := rewritten(plain, change)) is not None:
                yield event, signed(provider, msgspec.structs.replace(plain, body=body), now)
        if event == "entered":
            # It is the same place, whatever else is said of it.
            continue
        abroad = occasion_of(url, event, now, "Nachricht-é-咖啡")
        abroad = msgspec.structs.replace(
            abroad, event=f"abroad-{event}", page="https://shop.example/קפה?q=قهوة", said="☕ شكرا"
        )
        request = simulate(provider, event, abroad, now)
        yield f"{event} abroad", request
        yield f"{event} abroad", request


def acts_of(provider: str, request: ProviderRequest) -> set[tuple[str, str, str]]:
    """What a request should earn for: whom, for which act, and on which message, place or question."""
    found = parse(ADAPTERS[provider], request)
    assert not found.faults, found.faults
    acts: set[tuple[str, str, str]] = set()
    for event in found.events:
        (person,) = event.recipients
        is_reply = event.kind is EventKind.REPLIED
        message = event.in_reply_to if event.kind in ANSWERS else event.provider_message_id
        of = event.tags.get("place") or event.tags.get("message") or message
        says_something = not is_reply or content_of(event.text, event.stripped_text)
        if of is not None and says_something and person.kind is not IdentityKind.ACCOUNT:
            acts.add((person.value, ACTIONS[event.kind], of))
    return acts


def is_signed(provider: str, request: ProviderRequest, now: datetime) -> bool:
    """Whether a request's own body is signed: RCS signs what is in its envelope, and what else is there is not read."""
    adapter = ADAPTERS[provider]
    found = verify(adapter, request, secrets_for(adapter), now, CERTIFICATES)
    return found.trust is Trust.SIGNED_BODY and provider != "rcs"


@pytest.mark.one_process("fetches certificates in this process")
@pytest.mark.parametrize("provider", SAMPLES)
async def test_each_act_is_one_grant_in_whatever_way_it_is_reported(
    api: Api, issuer: httpx.AsyncClient, owner: Owner, reader: EnvelopeReader, provider: str
) -> None:
    await make_campaign(api.client("admin"), id="espresso-week", rules=RULES)
    url = await set_up(api, issuer, provider)
    (await issuer.patch("/v1/sources/src_1", json={"campaign": "espresso-week"})).raise_for_status()
    now, adapter = datetime.now(UTC), ADAPTERS[provider]
    ways = list(every_way(provider, url, now))
    requests = [request for _, request in ways]
    meant = {name: acts_of(provider, request) for name, request in ways}
    assert [name for name, request in ways if acts_of(provider, request) != meant[name]] == []
    acts = {act for each in meant.values() for act in each}
    assert len(acts) == sum(len(each) for each in meant.values())
    forged = [tampered(request) for request in requests[::3] if is_signed(provider, request, now)]
    for of, event in LARGE:
        if of == provider and event in earning(provider):
            occasion = msgspec.structs.replace(occasion_of(url, "batch", now), count=BATCH)
            large = simulate(provider, event, occasion, now)
            acts |= acts_of(provider, large)
            requests += [large, large]
    mixed = [*((request, adapter.answers.taken) for request in requests), *((request, None) for request in forged)]
    random.Random(provider).shuffle(mixed)
    for request, expected in mixed:
        status = await post(api, request)
        refused = {adapter.answers.forged, adapter.answers.unsigned}
        assert status == expected or (expected is None and status in refused), status
    await read_all(reader)

    told = await outcomes(owner)
    others = {(each.outcome, each.reason) for each in told if each.outcome not in {"granted", "duplicate"}}
    assert others <= {("ignored", reason) for reason in EARNS_NOTHING}
    paid = await owner.fetch("SELECT points FROM ledger.event")
    assert [row[0] for row in paid] == [5] * len(acts)
    assert sum(each.points for each in told) == 5 * len(acts)
    assert sum(each.outcome == "granted" for each in told) == len(acts)
    await assert_books_are_sound(owner)
