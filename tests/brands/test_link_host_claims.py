"""Which hosts a brand may claim depends on where the service itself is."""

from __future__ import annotations

import pytest

from service.brand_settings.link_hosts import check_claim
from service.egress.hosts import normal_host
from service.settings import Settings

LOCAL = Settings(base_url="http://127.0.0.1:8080", port=8080)
PUBLIC = Settings(base_url="https://Rewards.Example:443", host="0.0.0.0", port=8080)

# The host, and whether a test brand and a live one may claim it where the service is on this machine, and where it is public.
CLAIMS: list[tuple[str, tuple[bool, bool], tuple[bool, bool]]] = [
    ("r.shop.example", (True, True), (True, True)),
    ("r.shop.example:8443", (True, True), (True, True)),
    ("sub.rewards.example", (True, True), (True, True)),
    ("rewards.example", (True, True), (False, False)),
    ("REWARDS.example.:8443", (True, True), (False, False)),
    ("127.0.0.1:8080", (False, False), (False, False)),
    ("localhost:8080", (False, False), (False, False)),
    ("127.1:8080", (False, False), (False, False)),
    ("2130706433:8080", (False, False), (False, False)),
    ("[::1]:8080", (False, False), (False, False)),
    ("0.0.0.0:8080", (False, False), (False, False)),
    ("[::ffff:7f00:1]:8080", (False, False), (False, False)),
    ("127.0.0.1:8081", (True, False), (False, False)),
    ("r.localhost:8080", (True, False), (False, False)),
    ("localhost", (True, False), (False, False)),
    ("10.0.0.1", (False, False), (False, False)),
    ("0xa.1", (False, False), (False, False)),
    ("8.8.8.8", (False, False), (False, False)),
    ("[2606:4700:4700::1111]", (False, False), (False, False)),
    ("intranet", (False, False), (False, False)),
    (".".join(["a" * 60] * 4), (False, False), (False, False)),
]


@pytest.mark.parametrize(("host", "local", "public"), CLAIMS)
def test_a_host_may_be_claimed_or_not(host: str, local: tuple[bool, bool], public: tuple[bool, bool]) -> None:
    for settings, allowed in ((LOCAL, local), (PUBLIC, public)):
        for is_test, is_allowed in zip((True, False), allowed, strict=True):
            why = check_claim(normal_host(host), settings, is_test=is_test)
            assert (why is None) == is_allowed, (settings.base_url, is_test, why)
