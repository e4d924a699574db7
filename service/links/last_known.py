"""Brands, destinations, minting keys, campaigns and revocations as last seen, so that links lead on without the database.

    LastKnown   what this process has seen
    read_copy   what was written of it to the local disk, also by another process, before this one was started
    write_copy  the same for the next

A token carries the number of its destination. What is known here is enough to take customers where they were going, to say
which link a brand's own token is, and to tell them that it was withdrawn; nothing else is ever decided from it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from service.brands.brand import Brand
from service.crypto.macs import with_mac, without_mac
from service.egress.hosts import host_of, is_same_place
from service.links.minting_keys import MintingKey
from service.settings import replace_private

DESTINATIONS_MAX = 100_000
CAMPAIGNS_MAX = 10_000
"""The newest; a handoff of another that a brand has signed itself leads to the shop without a claim."""
REVOCATIONS_MAX = 10_000
"""The newest; what else is revoked earns nothing either, which is looked up when the database is back."""


class Copy(msgspec.Struct, frozen=True):
    """What is kept on the local disk.

    ``destinations`` are number, brand's number and URL, those not seen for longest first; ``campaigns`` number, brand's number
    and what the brand calls it, oldest first.
    """

    brands: tuple[Brand, ...] = ()
    destinations: tuple[tuple[int, int, str], ...] = ()
    minting_keys: tuple[MintingKey, ...] = ()
    revoked: tuple[tuple[int, str], ...] = ()
    campaigns: tuple[tuple[int, int, str], ...] = ()


class LastKnown:
    """Brands by code, destinations and minting keys by number, campaigns by what their brand calls them.

    ``own_hosts`` are the service's, which all brands share: none of them is a brand's, whatever the database says.
    """

    def __init__(self, copy: Copy | None = None, *, own_hosts: frozenset[str] = frozenset()) -> None:
        self._own_hosts = own_hosts
        self._brands: dict[str, Brand] = {}
        self._codes_by_link_host: dict[str, str] = {}
        self._destinations: OrderedDict[int, tuple[int, str]] = OrderedDict()
        self._minting_keys: dict[int, MintingKey] = {}
        self._campaigns: dict[tuple[int, str], int] = {}
        self._revoked: frozenset[tuple[int, str]] = frozenset()
        self.is_copied = copy is not None
        """Whether nothing was seen that is not in the copy."""
        if copy is not None:
            self._brands = {brand.code: brand for brand in copy.brands}
            for brand in copy.brands:
                self._see_link_host(brand)
            self._minting_keys = {key.key_no: key for key in copy.minting_keys}
            self._revoked = frozenset(copy.revoked)
            self._destinations.update((number, (brand_id, url)) for number, brand_id, url in copy.destinations)
            self._campaigns = {(brand_id, name): number for number, brand_id, name in copy.campaigns}

    def has_picture_of(self, brand: Brand) -> bool:
        """Whether the brand's pictures, if it has any, are known here: then they need not be read again."""
        known = self._brands.get(brand.code)
        return brand.has_pictures or (known is not None and known.picture_names == brand.picture_names and known.has_pictures)

    def see_brand(self, brand: Brand) -> None:
        """Keep a brand as it is now; with its pictures, if those are known, also where it comes without."""
        known = self._brands.get(brand.code)
        if known is not None and not brand.has_pictures and known.picture_names == brand.picture_names:
            brand = msgspec.structs.replace(
                brand, picture=known.picture, dark_picture=known.dark_picture, banner_picture=known.banner_picture
            )
        if known != brand:
            self._brands[brand.code] = brand
            self.is_copied = False
            self._see_link_host(brand)

    def see_destinations(self, destinations: Iterable[tuple[int, int, str]]) -> None:
        """Keep destinations (number, brand's number, URL); those not seen for longest make room."""
        for destination_no, brand_id, url in destinations:
            if self._destinations.get(destination_no) != (brand_id, url):
                self._destinations[destination_no] = (brand_id, url)
                self.is_copied = False
            self._destinations.move_to_end(destination_no)
        while len(self._destinations) > DESTINATIONS_MAX:
            self._destinations.popitem(last=False)

    def see_minting_keys(self, keys: Sequence[MintingKey]) -> None:
        """Keep the keys there are, as they are now."""
        seen = {key.key_no: key for key in keys}
        if seen != self._minting_keys:
            self._minting_keys = seen
            self.is_copied = False

    def see_campaigns(self, campaigns: Iterable[tuple[int, int, str]]) -> None:
        """Keep campaigns (number, brand's number, id), given oldest first; the oldest make room."""
        for campaign_no, brand_id, campaign_id in campaigns:
            if self._campaigns.get((brand_id, campaign_id)) != campaign_no:
                self._campaigns[brand_id, campaign_id] = campaign_no
                self.is_copied = False
        while len(self._campaigns) > CAMPAIGNS_MAX:
            del self._campaigns[next(iter(self._campaigns))]

    def see_revoked(self, revoked: Iterable[tuple[int, str]]) -> None:
        """Keep what is revoked now, as brand's number and subject."""
        seen = frozenset(revoked)
        if seen != self._revoked:
            self._revoked = seen
            self.is_copied = False

    def is_revoked(self, brand: Brand, subjects: Iterable[str]) -> bool:
        """Whether any of these was revoked when it was last seen."""
        return not self._revoked.isdisjoint((brand.brand_id, subject) for subject in subjects)

    def _see_link_host(self, brand: Brand) -> None:
        if (base_url := self.link_base_url_of(brand)) is not None:
            self._codes_by_link_host[host_of(base_url)] = brand.code

    def link_base_url_of(self, brand: Brand) -> str | None:
        """What the brand's links begin with, if it has a link host that is not the service's own."""
        base_url = brand.link_base_url
        return None if base_url is None or is_same_place(host_of(base_url), self._own_hosts) else base_url

    def brand(self, code: str) -> Brand | None:
        """The brand as it was last seen."""
        return self._brands.get(code)

    def brand_at(self, host: str) -> Brand | None:
        """The brand whose own link host this is."""
        brand = self._brands.get(self._codes_by_link_host.get(host, ""))
        base_url = None if brand is None else self.link_base_url_of(brand)
        return None if base_url is None or host_of(base_url) != host else brand

    def destination(self, brand: Brand | None, destination_no: int) -> str | None:
        """Where ``destination_no`` leads, if it is this brand's."""
        brand_id, url = self._destinations.get(destination_no, (0, None))
        return url if brand is not None and brand.brand_id == brand_id else None

    def minting_key(self, key_no: int) -> MintingKey | None:
        """The key as it was last seen."""
        return self._minting_keys.get(key_no)

    def campaign_no(self, brand: Brand, campaign_id: str) -> int | None:
        """The number of the campaign that the brand calls so."""
        return self._campaigns.get((brand.brand_id, campaign_id))

    def copy(self) -> Copy:
        """All of it, to be written to the local disk."""
        self.is_copied = True
        return Copy(
            brands=tuple(self._brands.values()),
            destinations=tuple((number, brand_id, url) for number, (brand_id, url) in self._destinations.items()),
            minting_keys=tuple(self._minting_keys.values()),
            revoked=tuple(sorted(self._revoked)),
            campaigns=tuple((number, brand_id, name) for (brand_id, name), number in self._campaigns.items()),
        )


def read_copy(path: Path, keys: Sequence[bytes]) -> Copy | None:
    """What one of us has written, if it is there whole: any other file could lead a customer anywhere."""
    try:
        body = without_mac(path.read_bytes(), keys)
        return None if body is None else msgspec.msgpack.decode(body, type=Copy)
    except (OSError, msgspec.MsgspecError):
        return None


def write_copy(path: Path, copy: Copy, keys: Sequence[bytes]) -> None:
    """Put ``copy`` in the place of what was there, in one step. Raises ``OSError``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    body = msgspec.msgpack.encode(copy)
    # Other processes of this machine write theirs beside us; whose is there last is as good as another.
    replace_private(path, with_mac(body, keys[0]))
