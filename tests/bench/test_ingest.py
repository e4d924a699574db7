"""What SendGrid is made to send: that it is SendGrid's, and that each act comes three times."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bench.books import Population
from bench.ingest import EVENTS, SendGrid, acts_of, secrets_of
from bench.stage import CAMPAIGN, Station
from ledger import Book
from service.providers.adapter import parse, verify
from service.providers.email import sendgrid
from service.providers.types import ProviderRequest, Verdict

KEY = ec.generate_private_key(ec.SECP256R1())
STATION = Station("shop", Book(1, 1), 1, Population(customers=100), {})


def request_of(sent: bytes) -> ProviderRequest:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return ProviderRequest(first.split(" ")[0], first.split(" ")[1], headers, body)


def test_each_act_comes_three_times_as_another_event_in_signed_requests() -> None:
    provider = SendGrid(STATION, cast("Any", None), 1, "/v1/ingest/src_1", KEY)
    requests = [request_of(sent) for sent in provider.requests(12, tokens=["one", "two"])]
    now = datetime.now(UTC)
    assert {verify(sendgrid.ADAPTER, each, secrets_of(KEY), now).verdict for each in requests} == {Verdict.VERIFIED}
    copies: dict[str, set[str]] = defaultdict(set)
    places: dict[str, set[int]] = defaultdict(set)
    named: set[tuple[str | None, str | None]] = set()
    for place, request in enumerate(requests):
        events = parse(sendgrid.ADAPTER, request).events
        assert len(events) == EVENTS
        for event, written in zip(events, msgspec.json.decode(request.body), strict=True):
            copies[event.natural_key].add(written["sg_event_id"])
            places[event.natural_key].add(place)
            named.add((event.token, event.tags.get("campaign")))
    assert (len(copies), {len(ids) for ids in copies.values()}) == (acts_of(12), {3})
    assert max(len(each) for each in places.values()) == 3
    assert named == {("one", None), ("two", None), (None, CAMPAIGN)}
