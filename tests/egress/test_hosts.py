"""A host has one form, however it is written, and two spellings of one host are one."""

from __future__ import annotations

import pytest

from service.egress.hosts import HostRefused, host_of, is_address, is_loopback, is_one_of, is_same_place, normal_host, requested

SPELLINGS: list[tuple[str, list[str]]] = [
    (
        "r.shop.example",
        [
            "r.shop.example",
            "R.SHOP.Example",
            "r.shop.example.",
            "r.shop.example:443",
            "r.shop.example:80",
            "r.shop.example.:0443",
            "r.shop.example:",
            "r。shop．example",
            "ｒ.shop.example",
        ],
    ),
    ("r.shop.example:8443", ["r.shop.example:8443", "R.Shop.Example.:8443", "r.shop.example:08443"]),
    ("xn--bcher-kva.example", ["bücher.example", "BÜCHER.example", "bu\u0308cher.example", "XN--BCHER-KVA.example"]),
    (
        "127.0.0.1:8080",
        [
            "127.0.0.1:8080",
            "127.1:8080",
            "127.0.1:8080",
            "0x7f.1:8080",
            "0x7F000001:8080",
            "2130706433:8080",
            "017700000001:8080",
            "0177.0.0.1:8080",
            "127.0.0.1.:8080",
            "[::ffff:127.0.0.1]:8080",
            "[::ffff:7f00:1]:8080",
            "１２７.0.0.1:8080",
        ],
    ),
    ("[::1]", ["[::1]", "[0:0:0:0:0:0:0:1]", "[::1]:443", "[::0001]:80"]),
    ("[2001:db8::a]:8080", ["[2001:DB8:0:0::A]:8080", "[2001:db8::0.0.0.10]:8080"]),
    ("under_score.example", ["under_score.example"]),
]


@pytest.mark.parametrize(("normal", "written"), [(normal, each) for normal, spellings in SPELLINGS for each in spellings])
def test_a_host_has_one_form(normal: str, written: str) -> None:
    assert normal_host(written) == normal
    assert normal_host(normal) == normal
    assert requested(written) == normal
    assert host_of(f"https://{written}/a:b@c") == normal
    assert is_one_of(written, [normal])


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "-a.example",
        "a-.example",
        "a b.example",
        "a\\b.example",
        "a/b",
        "me@r.shop.example",
        "r.shop.example:x",
        "r.shop.example:0",
        "r.shop.example:65536",
        "r.shop.example:8080:1",
        "::1",
        "[::1",
        "[::1%lo]",
        "[]",
        "[1.2.3.4]",
        "127.0.0.256",
        "1.2.3.4.5",
        "1.2.3.08",
        "a.1",
        "0x100000000",
        "r.shop%2eexample",
        "r.shop.example%00",
        "r.shop.example\n",
        "\x00",
        "a" * 64 + ".example",
        ".".join(["a" * 50] * 6),
        "ä" * 70 + ".example",
        "*.example",
        "xn--\u00fc.example",
        "\ud800.example",
    ],
)
def test_what_is_no_host_is_nobodys(written: str) -> None:
    with pytest.raises(HostRefused):
        normal_host(written)
    if written != "r.shop.example\n":
        # A header's value has no line end; blanks around it are not part of it.
        assert requested(written) == ""
    assert not is_one_of("", [""])


def test_a_name_is_one_place_whatever_the_port_and_on_this_machine_the_port_tells_servers_apart() -> None:
    name = frozenset({"rewards.example"})
    assert is_same_place("rewards.example", name)
    assert is_same_place("rewards.example:8443", name)
    assert not is_same_place("r.rewards.example", name)
    machine = frozenset({"127.0.0.1:8080"})
    for same in "127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.9.9.9:8080", "0.0.0.0:8080", "[::]:8080":
        assert is_same_place(same, machine), same
    for another in "127.0.0.1:8081", "localhost", "r.localhost:8080", "10.0.0.1:8080":
        assert not is_same_place(another, machine), another
    assert is_same_place("r.localhost:8080", frozenset({"r.localhost:8080"}))


def test_addresses_and_this_machine_are_known() -> None:
    assert all(is_loopback(name) for name in ("localhost", "r.localhost", "127.0.0.1", "127.8.8.8", "[::1]"))
    assert not any(is_loopback(name) for name in ("localhost.example", "10.0.0.1", "[::2]", "notlocalhost"))
    assert all(is_address(name) for name in ("10.0.0.1", "[::2]"))
    assert not any(is_address(name) for name in ("r.shop.example", "1.example"))


def test_what_visitors_send_takes_no_room() -> None:
    assert requested("a." * 5_000 + "example") == ""
    assert not is_one_of("a." * 5_000 + "example", ["r.shop.example"])
