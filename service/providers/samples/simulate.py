"""A provider's request, correctly signed.

    simulate      one request of a provider; one that is late has an earlier ``occasion.at``
    signed        any request, as the provider signs it
    secrets_for   what a source holds so that it verifies
    doubled       the request as the provider sends it again
    tampered      the request with one byte of its body changed

Amazon's requests verify only where certificates are asked for from ``CERTIFICATES``: nobody else signs in its name.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.providers.adapter import Adapter, verify
from service.providers.registry import ADAPTERS
from service.providers.samples import email, engagement, generic, messaging
from service.providers.samples.occasion import Occasion, Samples
from service.providers.schemes import Certificates
from service.providers.signing import sign, simulated_certificate, simulated_secret
from service.providers.types import ProviderRequest, Secrets, Verdict

SAMPLES: Samples = {**email.SAMPLES, **messaging.SAMPLES, **engagement.SAMPLES, **generic.SAMPLES}

CERTIFICATES: Certificates = simulated_certificate
"""What a source of ours must fetch certificates with to verify what we sign in Amazon's name."""

_NEW_IDS = frozenset({"sendgrid"})
_FIXED = {"topic_arn": email.TOPIC_ARN, "verify_token": "simulated-provider"}


def secrets_for(adapter: Adapter) -> dict[str, list[str]]:
    """What a source holds so that a simulated request verifies."""
    signing = {scheme.secret: simulated_secret(scheme) for scheme in adapter.schemes}
    named = {shape.name for shape in adapter.secrets}
    return {name: [value] for name, value in {**signing, **_FIXED}.items() if name in named}


def simulate(provider: str, event: str, occasion: Occasion, now: datetime, secrets: Secrets | None = None) -> ProviderRequest:
    """A request of a provider, signed at ``now`` with the first secret of the source."""
    return signed(provider, SAMPLES[provider][event](occasion), now, secrets)


def signed(provider: str, request: ProviderRequest, now: datetime, secrets: Secrets | None = None) -> ProviderRequest:
    """A request as its provider signs it, with the first secret of the source."""
    adapter = ADAPTERS[provider]
    held = secrets_for(adapter) if secrets is None else secrets
    for scheme in adapter.schemes:
        if held.get(scheme.secret):
            made = sign(scheme, request, held[scheme.secret][0], now)
            if verify(adapter, made, held, now, CERTIFICATES).verdict is Verdict.VERIFIED:
                return made
    return request


def doubled(
    provider: str, event: str, occasion: Occasion, now: datetime, secrets: Secrets | None = None
) -> list[ProviderRequest]:
    """The request three times, as the provider sends it again: SendGrid with another id each time."""
    again = [msgspec.structs.replace(occasion, event=f"{occasion.event}-{count}") for count in range(3)]
    occasions = again if provider in _NEW_IDS else [occasion] * 3
    return [simulate(provider, event, each, now, secrets) for each in occasions]


def tampered(request: ProviderRequest) -> ProviderRequest:
    """The request with one byte of its body changed, in the middle."""
    at = len(request.body) // 2
    body = request.body[:at] + bytes([request.body[at] ^ 1]) + request.body[at + 1 :]
    return msgspec.structs.replace(request, body=body)
