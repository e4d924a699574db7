"""A QR code is its address in capitals, small, and there whether or not there is such a code."""

from __future__ import annotations

import re
import struct

import pytest

from service.code_batches.qr_codes import qr_code
from tests.api_fixtures import Api, have_link_host
from tests.links.conftest import Links
from tests.links.test_link_hosts import HOST

CODE = "MZXW6YTBOI4GC2LT"


def test_the_address_is_written_in_the_mode_that_takes_half_the_room() -> None:
    symbol = qr_code(f"https://r.brand.example/{CODE}")
    assert (symbol.mode, symbol.version) == ("alphanumeric", 3)
    assert qr_code(f"https://r.brand.example/{CODE.lower()}").matrix == symbol.matrix


async def test_a_code_is_drawn_as_svg_and_png(api: Api) -> None:
    client = api.client(None)
    svg = await client.get(f"/qr/{CODE}.svg")
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert svg.text.lstrip().startswith(("<?xml", "<svg"))
    assert "script" not in svg.text
    png = await client.get(f"/qr/{CODE.lower()}.png")
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    width, height = struct.unpack(">II", png.content[16:24])
    # Version 2 is 25 modules, with a quiet zone of four on each side.
    assert width == height == 10 * (25 + 8)
    for answer in svg, png:
        assert answer.headers["cache-control"].startswith("private")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.one_process("asks at once what other processes learn within seconds")
async def test_it_leads_to_the_host_that_was_asked_for_it(links: Links) -> None:
    await have_link_host(links.api, f"https://{HOST}")
    await links.mint(links.item())
    pictures = [
        (await links.api.client(None).get(f"/qr/{CODE}.svg", headers={"Host": host})).text
        for host in (HOST, "rewards.test", "evil.example")
    ]
    own, service, stranger = (re.sub(r"<title>.*?</title>", "", picture) for picture in pictures)
    assert own != service == stranger


async def test_what_is_no_code_has_no_picture(api: Api) -> None:
    for name in ("hello.svg", f"{CODE}.gif", CODE, f"{CODE}1.svg", ".svg"):
        assert (await api.client(None).get(f"/qr/{name}")).status_code == 404, name
