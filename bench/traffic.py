"""What the load says: reports, redemptions, claims and reads, as conversations (see ``load``).

Half of the reports name the customer by their email, one in ten is a duplicate of another one just sent (in a batch: of another
one inside it), and message and customer ids have 36 characters.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from bench.books import customer_id, email
from bench.engine import DUPLICATES
from bench.load import Answer, Conversation, LoadFailed, request
from bench.stage import CAMPAIGN, Station

BURST = 50
_RUN = f"{random.getrandbits(32):08x}"
_numbers = itertools.count(1)


def fresh_id(kind: str = "m") -> str:
    """An id of 36 characters that nobody has used."""
    return f"{_RUN}-{kind}{next(_numbers):026}"


def reports(station: Station, seed: int = 1) -> Iterator[str]:
    """Reports without end, each of its own event, as JSON."""
    source = random.Random(seed)
    occurred_at = (datetime.now(UTC) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tail = f'"action":"click","channel":"email","occurred_at":"{occurred_at}"}}'
    customers = station.population.customers
    while True:
        number = int(source.random() * customers) + 1
        name = f'"email":"{email(number)}"' if source.random() < 0.5 else f'"id":"{customer_id(number)}"'
        yield f'{{"campaign":"{CAMPAIGN}","message_id":"{fresh_id()}","customer":{{{name}}},{tail}'


def single_reports(station: Station, seed: int = 1) -> Iterator[bytes]:
    """Requests with one report each; one in ten repeats one of the last few."""
    source = random.Random(seed)
    new = reports(station, seed)
    last = [next(new) for _ in range(32)]
    head = request("POST", "/v1/grants", key=station.keys["messaging"], headers="Content-Type: application/json\r\n")
    head = head[:-2] + b"Content-Length: "
    for place in itertools.cycle(range(32)):
        if source.random() >= DUPLICATES:
            last[place] = next(new)
        body = last[place].encode()
        yield head + b"%d\r\n\r\n" % len(body) + body


def poisson(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Arrivals that know nothing of each other, ``rate`` a second: as customers who open a message when they please."""
    source = random.Random(seed)
    at = source.expovariate(rate)
    while at < seconds:
        yield at
        at += source.expovariate(rate)


def bursts(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """As many, ``BURST`` of them at once: as a system that has kept reports back, and sends them."""
    for at in poisson(rate / BURST, seconds, seed):
        yield from itertools.repeat(at, BURST)


def saying(requests: Iterator[bytes]) -> Conversation:
    """Say whatever comes next. What is shared must not be closed with one of those who share it, as ``yield from`` would."""
    for each in requests:  # noqa: UP028
        yield each


class Batches:
    """Batches of reports; counts what was granted and is no replay."""

    def __init__(self, station: Station, size: int, seed: int = 1) -> None:
        self.granted = 0
        self._key = station.keys["messaging"]
        self._size = size
        self._source = random.Random(seed)
        self._reports = reports(station, seed)

    def conversation(self) -> Conversation:
        """One client, which sends a batch as soon as the one before is answered."""
        originals = self._size - round(self._size * DUPLICATES)
        while True:
            items = [next(self._reports) for _ in range(originals)]
            items += [self._source.choice(items) for _ in range(self._size - originals)]
            self._source.shuffle(items)
            status, body = yield request("POST", "/v1/grants/batch", key=self._key, body=f"[{','.join(items)}]".encode())
            granted = body.count(b'"status":201')
            if status == 200 and (granted != originals or body.count(b'"status":200') != self._size - originals):
                raise LoadFailed(f"{granted} of {originals} were granted: {body[:500]!r}")
            self.granted += granted


class Tills:
    """Redemptions of one point each, over the first ``customers``; counts pairs of authorization and capture."""

    def __init__(self, station: Station, customers: int, seed: int = 1) -> None:
        self.pairs = 0
        self._key = station.keys["till"]
        self._customers = min(customers, station.population.customers)
        self._source = random.Random(seed)

    def authorization(self) -> bytes:
        """A request that sets a point aside."""
        number = int(self._source.random() * self._customers) + 1
        body = f'{{"customer":{{"id":"{customer_id(number)}"}},"points":1,"order_ref":"{fresh_id("o")}"}}'
        return request("POST", "/v1/redemptions", key=self._key, body=body.encode(), headers=_idempotent())

    def conversation(self) -> Conversation:
        """Authorize, capture, and so on."""
        while True:
            answer = yield self.authorization()
            yield request(
                "POST",
                f"/v1/redemptions/{_redemption_of(answer)}/capture",
                key=self._key,
                body=b"{}",
                headers=_idempotent(),
            )
            self.pairs += 1

    def authorizing(self, rest_s: float = 0.0) -> Conversation:
        """Authorize, rest, and so on; what is held is given back by its deadline, in a week."""
        while True:
            yield self.authorization()
            if rest_s:
                yield rest_s


def _idempotent() -> str:
    return f"Idempotency-Key: {fresh_id('k')}\r\n"


def _redemption_of(answer: Answer) -> str:
    status, body = answer
    if status != 201:
        raise LoadFailed(f"an authorization was answered {status}: {body[:500]!r}")
    at = body.index(b'"redemption_id":"') + 17
    return body[at : body.index(b'"', at)].decode()


def mintings(station: Station, count: int, seed: int = 1, *, mode: str = "page", at_once: int = 500) -> Iterator[bytes]:
    """Requests that mint ``count`` links, so many at a time, of messages that were sent an hour ago."""
    source = random.Random(seed)
    customers = station.population.customers
    sent_at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for start in range(0, count, at_once):
        links = ",".join(
            f'{{"campaign":"{CAMPAIGN}","message_id":"{fresh_id()}","customer":{{"id":"'
            f'{customer_id(int(source.random() * customers) + 1)}"}},"action":"click","channel":"email",'
            f'"destination":"https://shop.example/autumn","mode":"{mode}","sent_at":"{sent_at}"}}'
            for _ in range(min(at_once, count - start))
        )
        yield request("POST", "/v1/links", key=station.keys["messaging"], body=f'{{"links":[{links}]}}'.encode())


def claims(tokens: Sequence[str]) -> Iterator[bytes]:
    """Each token's button, pressed once."""
    return (request("POST", f"/r/{token}", headers="Content-Length: 0\r\n") for token in tokens)


def follows(tokens: Sequence[str]) -> Iterator[bytes]:
    """Each token's link, followed once by a person with a telephone."""
    agent = (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
    )
    return (request("GET", f"/r/{token}", headers=f"User-Agent: {agent}\r\n") for token in tokens)


def reads(station: Station, what: str, seed: int = 1) -> Iterator[bytes]:
    """Reads of any customer's ``balance`` or ``statement``."""
    source = random.Random(seed)
    customers = station.population.customers
    while True:
        number = int(source.random() * customers) + 1
        yield request("GET", f"/v1/customers/{customer_id(number)}/{what}", key=station.keys["messaging"])
