"""Which addresses the service may connect to for somebody else.

Python's ``is_global`` alone would not do: it says yes to multicast and to addresses that carry a private one inside (NAT64,
6to4), and its tables differ between versions. So the special blocks are listed here, and Python must agree as well.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# The IANA registries of special-purpose addresses (RFC 6890), also the blocks in them that are reachable: nobody serves there.
_SPECIAL_V4 = [
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' address translation; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host, which is reachable inside and looks like any other
        "169.254.0.0/16",  # link-local; clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnelling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
]

# Only 2000::/3 is given out to anybody (RFC 4291), so loopback, mapped, link-local, unique local, multicast and what was never
# given out need no entry of their own.
_GIVEN_OUT_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_SPECIAL_V6 = [
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
_ISATAP = (0x00005EFE, 0x02005EFE)


class AddressRefused(ValueError):
    """This address is not one that the service connects to; the message says why."""


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the internet, so that nothing of this machine or its network answers there."""
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        # The network's translator goes on to the IPv4 address inside (RFC 6052).
        return _is_public_v4(_last_32_bits(address))
    if address not in _GIVEN_OUT_V6 or any(address in block for block in _SPECIAL_V6):
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP and not _is_public_v4(_last_32_bits(address)):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def check(text: str) -> Address:
    """Read an address that a resolver gave. Raises ``AddressRefused`` unless it is public."""
    try:
        address = ip_address(text)
    except ValueError:
        raise AddressRefused("is not an address") from None
    if not is_public(address):
        raise AddressRefused(f"leads to {address}, which is not an address on the public internet")
    return address


def _is_public_v4(address: IPv4Address) -> bool:
    if any(address in block for block in _SPECIAL_V4):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
