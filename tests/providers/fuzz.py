"""Looks for bytes that break a parser: ``python -m tests.providers.fuzz PROVIDER [options of libFuzzer]``.

It needs atheris, which the tests do not (``pip install atheris``). It asks of a request what the tests ask, and finds its way
by what the code does. It begins with the providers' documented requests, and ends with the first input that fails.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

try:
    import atheris  # pyright: ignore[reportMissingImports]
except ImportError:
    sys.exit("needs atheris: pip install atheris")

with atheris.instrument_imports(include=["service.providers"]):  # pyright: ignore
    from service.providers import adapter, replies  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from service.providers.places import coordinates_in, exact_in, is_place
    from service.providers.reading import Unreadable, json_of
    from tests.providers.test_hostile import GENUINE, HEADERS, looks_at, looks_at_mail

import msgspec


def of_provider(provider: str) -> Callable[[bytes], None]:
    """The requests of a provider: the first byte chooses whose headers they have, the rest is the body."""
    genuine = [request for name, request in GENUINE if name == provider]

    def one(data: bytes) -> None:
        request = genuine[data[0] % len(genuine)] if data else genuine[0]
        looks_at(provider, msgspec.structs.replace(request, body=data[1:]))

    return one


def mails(data: bytes) -> None:
    """Mails, replies and the headers of automatic ones."""
    text = data.decode(errors="replace")
    looks_at_mail(data, text, dict.fromkeys(HEADERS[:4], text))


def places(data: bytes) -> None:
    """What a document says of a place."""
    text = data.decode(errors="replace")
    coordinates_in({"note": text, text: 1})
    assert not is_place(text) or exact_in({"place": text}) is None
    with contextlib.suppress(Unreadable):
        exact_in(json_of(data))


def main() -> None:
    """Fuzz what is named."""
    name, *options = sys.argv[1:] or ["all"]
    targets = {**{each: of_provider(each) for each, _ in GENUINE}, "mails": mails, "places": places}

    def one(data: bytes) -> None:
        for target in [targets[name]] if name in targets else targets.values():
            target(data)

    with tempfile.TemporaryDirectory() as corpus:
        for n, (provider, request) in enumerate(GENUINE):
            if name in {provider, "all"}:
                (Path(corpus) / str(n)).write_bytes(b"\x00" + request.body)
        atheris.Setup([sys.argv[0], *options, corpus], one)  # pyright: ignore
        atheris.Fuzz()  # pyright: ignore


if __name__ == "__main__":
    main()
