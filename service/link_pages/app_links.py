"""Which apps may open a brand's links: what the systems of Apple and Google ask each link host for.

A host says so for the one brand whose own it is. On the service's own address, which brands share, nobody's app may open the
links of the others: there is nothing to be found there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from service.brands.brand import Brand
from service.http.problems import not_found
from service.link_pages.lookup import Visitor
from service.links.hosts import requested_host
from service.pages.rendering import Answer
from service.storage.database import is_away
from service.tokens.code import CODE_CHARACTERS

if TYPE_CHECKING:
    from service.services import Services

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "public, max-age=300"}


async def apple_file(services: Services, _: str, visitor: Visitor) -> Answer:
    """``apple-app-site-association`` of the brand whose link host was asked."""
    return _file(apple(await _brand_asked(services, visitor)))


async def android_file(services: Services, _: str, visitor: Visitor) -> Answer:
    """``assetlinks.json`` of the brand whose link host was asked."""
    return _file(android(await _brand_asked(services, visitor)))


async def _brand_asked(services: Services, visitor: Visitor) -> Brand:
    brand = await _brand_at(services, requested_host(visitor.headers))
    if brand is None:
        raise not_found("file")
    return brand


def _file(content: Any) -> Answer:
    return Answer(200, "", _HEADERS, msgspec.json.encode(content))


def apple(brand: Brand) -> dict[str, Any]:
    """``apple-app-site-association``: links and codes go to the app, the page of what was decided stays in the browser."""
    components: list[dict[str, Any]] = [
        {"/": "/r/done/*", "exclude": True},
        {"/": "/r/*"},
        {"/": "/" + "?" * CODE_CHARACTERS},
    ]
    return {"applinks": {"details": [{"appIDs": list(brand.app_links.apple), "components": components}]}}


def android(brand: Brand) -> list[dict[str, Any]]:
    """``assetlinks.json``."""
    return [
        {
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": app.package,
                "sha256_cert_fingerprints": list(app.sha256),
            },
        }
        for app in brand.app_links.android
    ]


async def _brand_at(services: Services, host: str) -> Brand | None:
    try:
        brand = await services.brands.by_link_host(host)
        return brand if brand is not None and services.last_known.link_base_url_of(brand) else None
    except Exception as error:
        if not is_away(error):
            raise
        return services.last_known.brand_at(host)
