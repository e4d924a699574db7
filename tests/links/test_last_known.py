"""What is known of brands and destinations without asking the database: it is kept on the local disk, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from service.app import create_app
from service.links import last_known, last_known_refresher
from service.links.last_known import Copy, LastKnown, read_copy, write_copy
from tests.api_fixtures import Api
from tests.brands.pictures import png
from tests.links.conftest import Links
from tests.links.pages.test_deferred_claims import kept_on_disk
from tests.links.wire import Wire

KEYS = (b"k" * 32,)


async def test_a_copy_says_all_that_is_known(api: Api, tmp_path: Path) -> None:
    known = LastKnown()
    known.see_brand(api.brand)
    known.see_destinations([(7, api.brand.brand_id, "https://shop.example/autumn"), (8, 99, "https://other.example/")])
    known.see_campaigns([(3, api.brand.brand_id, "autumn"), (4, 99, "spring")])
    assert not known.is_copied
    path = tmp_path / "new" / "known"
    write_copy(path, known.copy(), KEYS)
    assert known.is_copied
    assert path.stat().st_mode & 0o777 == 0o600
    again = LastKnown(read_copy(path, KEYS))
    assert again.is_copied
    assert again.brand("lumen") == api.brand
    assert again.destination(api.brand, 7) == "https://shop.example/autumn"
    assert again.destination(api.brand, 8) is None
    assert (again.campaign_no(api.brand, "autumn"), again.campaign_no(api.brand, "spring")) == (3, None)
    again.see_campaigns([(3, api.brand.brand_id, "autumn")])
    again.see_brand(api.brand)
    again.see_destinations([(7, api.brand.brand_id, "https://shop.example/autumn")])
    assert again.is_copied
    assert os.listdir(path.parent) == ["known"]


def test_the_oldest_campaigns_make_room(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_known, "CAMPAIGNS_MAX", 2)
    known = LastKnown()
    known.see_campaigns([(number, api.brand.brand_id, f"c{number}") for number in (1, 2, 3)])
    assert [known.campaign_no(api.brand, f"c{number}") for number in (1, 2, 3)] == [None, 2, 3]


def test_a_logo_is_read_once_and_goes_with_its_brand(tmp_path: Path, api: Api) -> None:
    known = LastKnown()
    without = msgspec.structs.replace(api.brand, logo="ab12")
    assert known.has_picture_of(api.brand)
    assert not known.has_picture_of(without)
    known.see_brand(msgspec.structs.replace(without, picture=png(2, 2)))
    write_copy(tmp_path / "copy", known.copy(), KEYS)
    started = LastKnown(read_copy(tmp_path / "copy", KEYS))
    assert started.has_picture_of(without)
    started.see_brand(msgspec.structs.replace(without, name="Lumen & Co"))
    seen = started.brand(api.brand.code)
    assert seen is not None
    assert (seen.name, seen.picture) == ("Lumen & Co", png(2, 2))
    # Another logo is another picture.
    changed = msgspec.structs.replace(without, logo="cd34")
    assert not started.has_picture_of(changed)
    started.see_brand(changed)
    assert started.brand(api.brand.code) == changed


def test_a_copy_that_is_not_whole_is_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "known"
    assert read_copy(path, KEYS) is None
    write_copy(path, Copy(destinations=((7, 1, "https://shop.example/autumn"),)), KEYS)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[:10], whole.replace(b"shop", b"shoq"), b"\x00" * 40):
        path.write_bytes(content)
        assert read_copy(path, KEYS) is None


def test_a_copy_that_none_of_us_wrote_is_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "known"
    write_copy(path, Copy(destinations=((7, 1, "https://elsewhere.example/"),)), (b"x" * 32,))
    assert read_copy(path, KEYS) is None
    assert read_copy(path, (*KEYS, b"x" * 32)) is not None


async def test_a_process_that_starts_without_its_database_leads_on(
    wired: tuple[Links, Wire], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    links, wire = wired
    monkeypatch.setattr(last_known_refresher, "REFRESHED_EVERY_S", 0.05)
    monkeypatch.setattr(last_known_refresher, "_RETRY_AFTER_S", 0.05)
    path = await links.path()
    settings, secrets = links.api.settings, links.api.secrets
    # Another process hears of the destination without a visit, and keeps it.
    async with create_app(settings, secrets).lifespan():
        await kept_on_disk(tmp_path, "https://shop.example/autumn")
    wire.cut()
    app = create_app(settings, secrets)
    async with app.lifespan():
        later = Api(app=app, brand=links.api.brand, keys=links.api.keys, settings=settings, secrets=secrets)
        page = await later.client(None).get(path)
        assert "https://shop.example/autumn" in page.text
        assert "Lumen" in page.text
        await later.close()
        wire.mend()


async def test_a_disk_that_refuses_the_copy_stops_nobody(api: Api, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    services = api.services
    await last_known_refresher._copy(services.last_known, blocked / "known", KEYS)  # pyright: ignore[reportPrivateUsage]
    assert not services.last_known.is_copied
