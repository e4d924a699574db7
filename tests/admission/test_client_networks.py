"""Whom an address stands for."""

from __future__ import annotations

import pytest

from service.admission.client_networks import client_network


@pytest.mark.parametrize(
    ("address", "neighbours"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("testclient", ""),
        ("192.0.2.256", ""),
        ("192.0.2.7, 192.0.2.8", ""),
        ("2001:db8::1::1", ""),
        ("192.0.2.7\0", ""),
    ],
)
def test_a_neighbourhood_is_one_address_or_a_household(address: str, neighbours: str) -> None:
    assert client_network(address) == neighbours
