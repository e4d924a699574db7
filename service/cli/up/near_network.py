"""Serving to the network that this machine is in: a phone beside it."""

from __future__ import annotations

import io
import ipaddress
import socket
import sys

from service.settings import SettingsError

# An address that is nobody's (RFC 5737): asking for the way there sends nothing.
_ELSEWHERE = ("192.0.2.1", 9)
_ADVICE = "set REWARDS_HOST to the address to listen on, and REWARDS_BASE_URL to what customers reach"


def own_address() -> str:
    """This machine's address in its own network. Raises `SettingsError` where it has none that only neighbours reach."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_ELSEWHERE)
            address: str = probe.getsockname()[0]
    except OSError:
        raise SettingsError(f"This machine has no local network, so no phone can reach it; {_ADVICE}") from None
    if ipaddress.ip_address(address).is_loopback:
        raise SettingsError(f"This machine has no local network, so no phone can reach it; {_ADVICE}")
    if ipaddress.ip_address(address).is_global:
        raise SettingsError(f"{address} can be reached from the internet, and a demo should not be; if you mean it, {_ADVICE}")
    return address


def qr_code(url: str) -> str:
    """A QR code in the characters of a terminal, for a camera; empty where the terminal has no such characters."""
    from service.code_batches import qr_codes  # here, so that `--help` need not wait for it

    drawn = io.StringIO()
    # Full blocks are light squares: right on a dark ground, the other way round on a light one, which cameras read too.
    qr_codes.qr_code(url).terminal(out=drawn, compact=True)
    try:
        drawn.getvalue().encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ""
    return drawn.getvalue()
