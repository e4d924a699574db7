"""What is in flight: requests accepted by this process and not yet answered, by client, and whether it can take more.

    InFlight      all of it, under its bounds (``limits.Bounds``)
    Client        an API key and its brand once known, before that the address of the request
    Reservation   what one request takes, from the arrival of its head until its answer is sent

The server reserves as soon as it knows of a request; the application releases. Bytes count when they arrive, not when they are
announced. Shares bind only while much is in flight: nobody waits for capacity that nobody else wants, and no
client takes all of it.
"""

from __future__ import annotations

import enum

from service.admission.client_networks import client_network
from service.admission.limits import Bounds

HEALTH = "/health/"
"""Paths that begin so are always answered, and never counted."""


class Refusal(enum.Enum):
    """Why a process accepts no more. ``service.http.problems`` has the answer to each."""

    OVERLOADED = "overloaded"
    OVER_SHARE = "share_exceeded"


class Client:
    """A client, its share of each bound, and what it holds."""

    __slots__ = ("body_bytes", "connections", "name", "requests", "share")

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.share = share
        self.requests = 0
        self.body_bytes = 0
        self.connections = 0


UNBOUNDED = Client("", 1.0)
"""A client without bounds: a trusted proxy, or a connection without an address."""


class Reservation:
    """What one request holds. A pipelined request counts from when it begins."""

    __slots__ = ("_brand", "_client", "_in_flight", "_requests", "body_bytes", "refused")

    def __init__(self, in_flight: InFlight, client: Client, *, waits: bool = False) -> None:
        self._in_flight = in_flight
        self._client = client
        self._brand: Client | None = None
        self._requests = 0
        self.body_bytes = 0
        self.refused: Refusal | None = None
        """Why the application refuses the request, where the server could not."""
        if not waits:
            self._requests = 1
            in_flight.requests += 1
            client.requests += 1

    def begin(self) -> None:
        """Count a pipelined request, or refuse it."""
        self.refused = self._in_flight.refusal(self._client)
        self._requests = 1
        self._in_flight.requests += 1
        self._client.requests += 1

    def receive(self, size: int) -> Refusal | None:
        """Count bytes of the body; return a refusal if no more of it is accepted."""
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

    def assign_to(self, api_key_id: int, brand_id: int) -> Refusal | None:
        """Count for a key and its brand from now on, instead of the address; return a refusal if over their share."""
        in_flight = self._in_flight
        requests, body_bytes = self._requests, self.body_bytes
        in_flight.subtract(self._client, requests, body_bytes)
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
        """Release everything."""
        in_flight, client, brand = self._in_flight, self._client, self._brand
        requests, body_bytes = self._requests, self.body_bytes
        in_flight.requests -= requests
        in_flight.body_bytes -= body_bytes
        if brand is None:
            in_flight.subtract(client, requests, body_bytes)
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


class _NoReservation(Reservation):
    """What a health check holds: nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        self.body_bytes = 0
        self.refused = None

    def begin(self) -> None:
        pass

    def receive(self, size: int) -> Refusal | None:
        return None

    def assign_to(self, api_key_id: int, brand_id: int) -> Refusal | None:
        return None

    def release(self) -> None:
        pass


NO_RESERVATION = _NoReservation()


class InFlight:
    """What this process has in flight."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.requests = 0
        self.body_bytes = 0
        self.connections = 0
        self.calm_requests = self.bounds.contended_from * self.bounds.requests_max
        self.calm_body_bytes = self.bounds.contended_from * self.bounds.body_bytes_max
        self._addresses: dict[str, Client] = {}
        # Only valid keys and their brands, so no client can make these grow.
        self._keys: dict[int, Client] = {}
        self._brands: dict[int, Client] = {}

    @property
    def is_full(self) -> bool:
        """Whether nothing more is accepted."""
        return self.requests >= self.bounds.requests_max or self.body_bytes >= self.bounds.body_bytes_max

    @property
    def is_calm(self) -> bool:
        """Whether so little is in flight that shares do not bind."""
        return self.requests < self.calm_requests and self.body_bytes < self.calm_body_bytes

    def refusal(self, client: Client) -> Refusal | None:
        """Why no further request of this client's is accepted, if so."""
        if self.requests < self.calm_requests and self.body_bytes < self.calm_body_bytes:
            return None
        if self.is_full:
            return Refusal.OVERLOADED
        over_requests = client.requests >= client.share * self.bounds.requests_max
        return Refusal.OVER_SHARE if over_requests or client.body_bytes >= client.share * self.bounds.body_bytes_max else None

    def connection_refusal(self, client: Client) -> Refusal | None:
        """Why the newest connection may only ask for health, if so."""
        bounds = self.bounds
        if self.connections <= bounds.contended_from * bounds.connections_max:
            return None
        if self.connections > bounds.connections_max:
            return Refusal.OVERLOADED
        return Refusal.OVER_SHARE if client.connections > client.share * bounds.connections_max else None

    def at(self, address: str) -> Client:
        """The client with this address."""
        name = client_network(address)
        if not name:
            return UNBOUNDED
        client = self._addresses.get(name)
        if client is None:
            client = self._addresses[name] = Client(name, self.bounds.client_share)
        return client

    def key(self, api_key_id: int) -> Client:
        """The client with this key."""
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

    def subtract(self, client: Client, requests: int, body_bytes: int) -> None:
        """Stop counting so much for this client."""
        client.requests -= requests
        client.body_bytes -= body_bytes
        if not client.connections:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        if client.name and not client.connections and not client.requests:
            self._addresses.pop(client.name, None)
