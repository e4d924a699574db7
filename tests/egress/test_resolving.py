"""What others chose is looked up within bounds, whatever the DNS answers; what was checked is what is connected to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from ipaddress import ip_address

import dns.rcode
import pytest

from service.egress.addresses import AddressRefused
from service.egress.hosts import HostRefused
from service.egress.questions import servers_of
from service.egress.resolving import ALIASES_MAX, RECORDS_MAX, NotThere, Pinned, Resolver, ResolvingFailed
from tests.dns_server import Answer, DnsServer, addresses, aliases, fails, is_silent, of_another_name, serving_dns, texts

NAME = "_rewards-challenge.r.shop.example"


@pytest.fixture
async def server() -> AsyncGenerator[DnsServer]:
    """A DNS server of this test's own."""
    async with serving_dns() as server:
        yield server


async def test_text_records_are_read_and_put_together(server: DnsServer) -> None:
    server.publish(NAME, "one", "t" * 300, "")
    assert sorted(await Resolver(server.address).texts(NAME)) == ["", "one", "t" * 300]
    # The name is asked for as it is, and once.
    assert server.asked == [(NAME, "udp")]


async def test_an_answer_that_is_too_long_for_a_datagram_is_asked_for_again(server: DnsServer) -> None:
    server.publish(NAME, *(f"{n}" * 200 for n in range(8)))
    assert len(await Resolver(server.address).texts(NAME)) == 8
    assert server.asked == [(NAME, "udp"), (NAME, "tcp")]


async def test_an_alias_may_lead_to_the_record(server: DnsServer) -> None:
    server.answers[NAME] = aliases(ALIASES_MAX, "there")
    assert await Resolver(server.address).texts(NAME) == ["there"]


async def test_what_is_not_there_is_said_apart(server: DnsServer) -> None:
    with pytest.raises(NotThere):
        await Resolver(server.address).texts(NAME)
    server.answers[NAME] = addresses("192.0.2.1")
    with pytest.raises(NotThere):
        await Resolver(server.address).texts(NAME)


USELESS: list[Answer] = [
    is_silent,
    fails(dns.rcode.SERVFAIL),
    fails(dns.rcode.REFUSED),
    aliases(ALIASES_MAX + 1, "too far"),
    aliases(40, "much too far"),
    aliases(3, loop=True),
    aliases(1, loop=True),
    texts(*(f"{n}" for n in range(RECORDS_MAX + 1))),
    texts("t" * 9_000),
    texts(*("t" * 500 + f"{n}" for n in range(60))),
]


@pytest.mark.parametrize("answer", USELESS)
async def test_a_useless_answer_is_a_failure_in_good_time(server: DnsServer, answer: Answer) -> None:
    server.answers[NAME] = answer
    with pytest.raises(ResolvingFailed) as failed:
        await asyncio.wait_for(Resolver(server.address, timeout_s=0.5).texts(NAME), 10)
    assert not isinstance(failed.value, NotThere)
    assert len(server.asked) < 20


async def test_an_answer_to_another_question_is_none(server: DnsServer) -> None:
    server.answers[NAME] = of_another_name
    with pytest.raises(ResolvingFailed):
        await Resolver(server.address, timeout_s=0.5).texts(NAME)


async def test_nobody_listens(server: DnsServer) -> None:
    with pytest.raises(ResolvingFailed):
        await Resolver("127.0.0.1:1", timeout_s=0.5).texts(NAME)
    with pytest.raises(ResolvingFailed):
        await Resolver(server.address).texts("a" * 64 + ".example")


async def test_the_next_server_is_asked_where_one_fails(server: DnsServer) -> None:
    server.publish(NAME, "there")
    assert await Resolver(f"127.0.0.1:1, {server.address}").texts(NAME) == ["there"]


@pytest.mark.parametrize(("host", "port"), [("8.8.8.8", None), ("8.8.8.8:80", 80), ("8.8.8.8:443", 443), ("[2606::1]:53", 53)])
async def test_a_port_is_kept_that_browsers_leave_out(server: DnsServer, host: str, port: int | None) -> None:
    assert (await Resolver(server.address).pin(host)).port == port


def test_a_resolver_is_asked_on_the_port_that_is_said() -> None:
    written = "192.0.2.1, 192.0.2.2:443,[2001:db8::1]:80"
    assert [(each.address, each.port) for each in servers_of(written)] == [
        ("192.0.2.1", 53),
        ("192.0.2.2", 443),
        ("2001:db8::1", 80),
    ]


async def test_a_host_is_pinned_to_what_was_checked(server: DnsServer) -> None:
    server.answers["hooks.shop.example"] = addresses("8.8.8.8", "2606:4700:4700::1111")
    pinned = await Resolver(server.address).pin("Hooks.Shop.Example.:8443")
    assert pinned == Pinned("hooks.shop.example", 8443, (ip_address("8.8.8.8"), ip_address("2606:4700:4700::1111")))
    assert await Resolver(server.address).pin("8.8.8.8") == Pinned("8.8.8.8", None, (ip_address("8.8.8.8"),))


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:8.8.8.8", "64:ff9b::a00:1"])
async def test_a_name_that_leads_inside_is_refused_whole(server: DnsServer, inside: str) -> None:
    server.answers["hooks.shop.example"] = addresses("8.8.8.8", inside)
    with pytest.raises(AddressRefused):
        await Resolver(server.address).pin("hooks.shop.example")


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1:80"])
async def test_an_address_is_judged_however_it_is_spelt(server: DnsServer, host: str) -> None:
    with pytest.raises(AddressRefused):
        await Resolver(server.address).pin(host)
    assert server.asked == []


async def test_what_is_no_host_is_asked_for_nowhere(server: DnsServer) -> None:
    for host in "", "a..b", "me@shop.example", "shop.example/path":
        with pytest.raises(HostRefused):
            await Resolver(server.address).pin(host)
    with pytest.raises(NotThere):
        await Resolver(server.address).pin("nowhere.example")
