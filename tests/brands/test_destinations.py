"""A link leads to a host the brand has named, and to no other that looks like it."""

from __future__ import annotations

import pytest

from service.brands.destinations import DestinationRefused, normal_form, shown_host
from service.egress import hosts

HOSTS = ("shop.example", "www.shop.example", "pay.shop.example:8443", "xn--bcher-kva.example")


def check(url: str, *, loopback_allowed: bool = False) -> str:
    return normal_form(url, allowed_hosts=HOSTS, loopback_allowed=loopback_allowed)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example/a?b=c&d=%20#e", "https://shop.example/a?b=c&d=%20#e"),
        ("HTTPS://SHOP.EXAMPLE/A", "https://shop.example/A"),
        ("https://shop.example.:443/", "https://shop.example/"),
        ("https://pay.shop.example:8443/x", "https://pay.shop.example:8443/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.example/größe", "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe"),
        ("https://shop.example/ok@home", "https://shop.example/ok@home"),
    ],
)
def test_an_allowed_destination_has_one_form(url: str, normal: str) -> None:
    assert check(url) == normal
    assert check(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "data:text/html,hello",
        "//shop.example/",
        "/relative",
        "shop.example",
        "https:shop.example",
        "https:/shop.example/",
        "https:///shop.example/",
        "https://",
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://sub.shop.example/",
        "https://shop.example@evil.example/",
        "https://shop.example:pass@evil.example/",
        "https://user@shop.example/",
        "https://@shop.example/",
        "https://shop.example:8443/",
        "https://pay.shop.example/",
        "https://shop.example:99999/",
        "https://shop.example:0/",
        "http://127.0.0.1:0/",
        "https://shop.example:x/",
        "https://evil.example\\@shop.example/",
        "https://shop.example\\.evil.example/",
        "https://evil.example#@shop.example/",
        "https://evil.example?@shop.example/",
        "https://shop.exam\tple/",
        "https://shop.example/\r\nSet-Cookie: a=b",
        " https://shop.example/",
        "https://shop.example/ ",
        "https://shop.example%2eevil.example/",
        "https://shop..example/",
        "https://-shop.example/",
        "https://[::1]/",
        "https://shop。example.evil.example/",
        "https://ѕhop.example/",
        "https://shop.example/<script>",
        "http://127.0.0.1:8080/",
        "https://shop.example/" + "a" * 2_048,
        "https://shop.example/" + "ß" * 1_000,
    ],
)
def test_any_other_is_refused(url: str) -> None:
    with pytest.raises(DestinationRefused):
        check(url)


def test_a_test_brand_may_use_its_own_machine() -> None:
    assert check("http://127.0.0.1:8080/demo/shop", loopback_allowed=True) == "http://127.0.0.1:8080/demo/shop"
    assert check("http://localhost/", loopback_allowed=True) == "http://localhost/"
    assert check("http://[::1]:8080/", loopback_allowed=True) == "http://[::1]:8080/"
    for url in ("http://shop.example/", "http://127.0.0.1.evil.example/", "http://127.0.0.1@evil.example/"):
        with pytest.raises(DestinationRefused):
            check(url, loopback_allowed=True)


@pytest.mark.parametrize("host", ["192.168.1.5:8080", "10.0.0.7", "169.254.10.1:80", "[fd00::5]:8080"])
def test_a_test_brand_may_use_an_address_of_its_network_that_it_has_named(host: str) -> None:
    url = f"http://{host}/demo/shop"
    normal = normal_form(url, allowed_hosts=[host], loopback_allowed=True)
    assert hosts.host_of(normal) == hosts.host_of(url)
    for allowed_hosts, loopback_allowed in (((), True), ([host], False)):
        with pytest.raises(DestinationRefused):
            normal_form(url, allowed_hosts=allowed_hosts, loopback_allowed=loopback_allowed)


@pytest.mark.parametrize("host", ["8.8.8.8", "[2001:4860:4860::8888]", "shop.example", "192.168.1.5.evil.example"])
def test_a_test_brand_uses_no_plain_http_on_what_all_may_reach(host: str) -> None:
    with pytest.raises(DestinationRefused, match="https"):
        normal_form(f"http://{host}/", allowed_hosts=[host], loopback_allowed=True)


def test_a_wide_full_stop_is_a_full_stop() -> None:
    assert check("https://shop。example/") == "https://shop.example/"


def test_people_are_shown_the_host_they_know() -> None:
    assert shown_host("https://www.shop.example/a") == "shop.example"
    assert shown_host("https://xn--bcher-kva.example/") == "bücher.example"
