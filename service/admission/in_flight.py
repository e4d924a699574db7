"""What is in flight: what this process has taken on and not answered yet, for whom, and whether it can take more.

    InFlight   all of it, under its bounds (``limits.Bounds``)
    Client     whose it is: an API key and its brand once that is known, before that the address a request came from
    Held       one request's part, from the arrival of its head until its answer is gone

The server holds a request as soon as it knows of it; the application lets go. Bytes count when they are received: what a client
announces costs nothing. Shares bind only while much is in flight, so nobody waits for room that nobody else wants, and nobody
takes the room of all.
"""

from __future__ import annotations

import enum

from service.admission.client_networks import neighbourhood
from service.admission.limits import Bounds

HEALTH = "/health/"
"""What begins so is always answered, and never counted."""


class Refusal(enum.Enum):
    """Why a process takes on no more. What a client is told of each, ``service.http.problems`` says."""

    OVERLOADED = "overloaded"
    OVER_SHARE = "share_exceeded"


class Client:
    """Whoever may hold a share of each bound, and what they hold."""

    __slots__ = ("body_bytes", "connections", "name", "requests", "share")

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.share = share
        self.requests = 0
        self.body_bytes = 0
        self.connections = 0


NOBODY = Client("", 1.0)
"""Whose shares do not bind: a trusted proxy, and what has no address."""


class Held:
    """What one request holds. One that waits for the answer before it on its connection is counted when it begins."""

    __slots__ = ("_brand", "_client", "_in_flight", "_requests", "body_bytes", "refused")

    def __init__(self, in_flight: InFlight, client: Client, *, waits: bool = False) -> None:
        self._in_flight = in_flight
        self._client = client
        self._brand: Client | None = None
        self._requests = 0
        self.body_bytes = 0
        self.refused: Refusal | None = None
        """Why the application is to refuse the request, if its server could not."""
        if not waits:
            self._requests = 1
            in_flight.requests += 1
            client.requests += 1

    def begin(self) -> None:
        """Hold what waited until now, or be refused."""
        self.refused = self._in_flight.refusal(self._client)
        self._requests = 1
        self._in_flight.requests += 1
        self._client.requests += 1

    def receive(self, size: int) -> Refusal | None:
        """Count bytes of the body; return why no more of it is taken, if that is so."""
        in_flight = self._in_flight
        self.body_bytes += size
        in_flight.body_bytes += size
        self._client.body_bytes += size
        if self._brand is not None:
            self._brand.body_bytes += size
        if in_flight.body_bytes <= in_flight.calm_body_bytes:
            return None
        if in_flight.body_bytes > in_flight.bounds.body_bytes_max:
            return Refusal.OVERLOADED
        return Refusal.OVER_SHARE if self._is_over_share() else None

    def belong_to(self, api_key_id: int, brand_id: int) -> Refusal | None:
        """Count for a key and its brand from now on, and no more for the address; return why they may hold no more."""
        in_flight = self._in_flight
        requests, body_bytes = self._requests, self.body_bytes
        in_flight.take_off(self._client, requests, body_bytes)
        client = self._client = in_flight.key(api_key_id)
        client.requests += requests
        client.body_bytes += body_bytes
        brand = self._brand = in_flight.brand(brand_id)
        brand.requests += requests
        brand.body_bytes += body_bytes
        if in_flight.is_calm:
            return None
        return Refusal.OVER_SHARE if self._is_over_share() else None

    def release(self) -> None:
        """Hold nothing any more."""
        in_flight, client, brand = self._in_flight, self._client, self._brand
        requests, body_bytes = self._requests, self.body_bytes
        in_flight.requests -= requests
        in_flight.body_bytes -= body_bytes
        if brand is None:
            in_flight.take_off(client, requests, body_bytes)
        else:
            # A key and its brand are not forgotten, unlike addresses.
            client.requests -= requests
            client.body_bytes -= body_bytes
            brand.requests -= requests
            brand.body_bytes -= body_bytes
        self._requests = self.body_bytes = 0

    def _is_over_share(self) -> bool:
        bounds = self._in_flight.bounds
        return any(
            client.requests > client.share * bounds.requests_max or client.body_bytes > client.share * bounds.body_bytes_max
            for client in (self._client, self._brand)
            if client is not None
        )


class _Uncounted(Held):
    """What a question about health holds."""

    __slots__ = ()

    def __init__(self) -> None:
        self.body_bytes = 0
        self.refused = None

    def begin(self) -> None:
        pass

    def receive(self, size: int) -> Refusal | None:
        return None

    def belong_to(self, api_key_id: int, brand_id: int) -> Refusal | None:
        return None

    def release(self) -> None:
        pass


UNCOUNTED = _Uncounted()


class InFlight:
    """What one process has in flight."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.requests = 0
        self.body_bytes = 0
        self.connections = 0
        self.calm_requests = self.bounds.contended_from * self.bounds.requests_max
        self.calm_body_bytes = self.bounds.contended_from * self.bounds.body_bytes_max
        self._addresses: dict[str, Client] = {}
        # As many as there are keys and brands that work, so nobody can make them many.
        self._keys: dict[int, Client] = {}
        self._brands: dict[int, Client] = {}

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken, from anybody."""
        return self.requests >= self.bounds.requests_max or self.body_bytes >= self.bounds.body_bytes_max

    @property
    def is_calm(self) -> bool:
        """Whether so little is in flight that nobody's share matters."""
        return self.requests < self.calm_requests and self.body_bytes < self.calm_body_bytes

    def refusal(self, client: Client) -> Refusal | None:
        """Why no further request of this client's is taken, if that is so."""
        if self.requests < self.calm_requests and self.body_bytes < self.calm_body_bytes:
            return None
        if self.is_full:
            return Refusal.OVERLOADED
        over_requests = client.requests >= client.share * self.bounds.requests_max
        return Refusal.OVER_SHARE if over_requests or client.body_bytes >= client.share * self.bounds.body_bytes_max else None

    def connection_refusal(self, client: Client) -> Refusal | None:
        """Why the connection that came last is of no use but to ask for health, if that is so."""
        bounds = self.bounds
        if self.connections <= bounds.contended_from * bounds.connections_max:
            return None
        if self.connections > bounds.connections_max:
            return Refusal.OVERLOADED
        return Refusal.OVER_SHARE if client.connections > client.share * bounds.connections_max else None

    def at(self, address: str) -> Client:
        """Who asks from this address."""
        name = neighbourhood(address)
        if not name:
            return NOBODY
        client = self._addresses.get(name)
        if client is None:
            client = self._addresses[name] = Client(name, self.bounds.client_share)
        return client

    def key(self, api_key_id: int) -> Client:
        """Who holds this key."""
        client = self._keys.get(api_key_id)
        if client is None:
            client = self._keys[api_key_id] = Client("", self.bounds.client_share)
        return client

    def brand(self, brand_id: int) -> Client:
        """The brand, for all its keys."""
        client = self._brands.get(brand_id)
        if client is None:
            client = self._brands[brand_id] = Client("", self.bounds.brand_share)
        return client

    def connect(self, client: Client) -> None:
        """Count an open connection."""
        self.connections += 1
        client.connections += 1

    def disconnect(self, client: Client) -> None:
        """A connection is closed."""
        self.connections -= 1
        client.connections -= 1
        self._forget(client)

    def take_off(self, client: Client, requests: int, body_bytes: int) -> None:
        """So much counts for this client no more."""
        client.requests -= requests
        client.body_bytes -= body_bytes
        if not client.connections:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        if client.name and not client.connections and not client.requests:
            self._addresses.pop(client.name, None)
