"""A brand's apps open its links, on its own host and nowhere else."""

from __future__ import annotations

from typing import Any

from tests.api_fixtures import Api, have_link_host
from tests.links.test_link_hosts import HOST

FINGERPRINT = ":".join(["14"] * 32)
APP_LINKS: dict[str, Any] = {
    "apple": ["ABCDE12345.example.lumen"],
    "android": [{"package": "example.lumen", "sha256": [FINGERPRINT]}],
}


async def test_the_systems_are_told_which_apps_open_a_brands_links(api: Api) -> None:
    admin, anybody = api.client("admin"), api.client(None)
    (await admin.patch("/v1/brand", json={"app_links": APP_LINKS})).raise_for_status()
    await have_link_host(api, f"https://{HOST}")
    apple = await anybody.get("/.well-known/apple-app-site-association", headers={"Host": HOST})
    assert (apple.status_code, apple.headers["content-type"]) == (200, "application/json")
    (details,) = apple.json()["applinks"]["details"]
    assert details["appIDs"] == ["ABCDE12345.example.lumen"]
    assert details["components"] == [{"/": "/r/done/*", "exclude": True}, {"/": "/r/*"}, {"/": "/????????????????"}]
    android = await anybody.get("/.well-known/assetlinks.json", headers={"Host": HOST})
    assert (android.status_code, android.headers["content-type"]) == (200, "application/json")
    assert android.json() == [
        {
            "relation": ["delegate_permission/common.handle_all_urls"],
            "target": {
                "namespace": "android_app",
                "package_name": "example.lumen",
                "sha256_cert_fingerprints": [FINGERPRINT],
            },
        }
    ]
    # On an address that brands share, one's app would catch the links of all.
    for host in "rewards.test", "r.another.example":
        for name in "apple-app-site-association", "assetlinks.json":
            assert (await anybody.get(f"/.well-known/{name}", headers={"Host": host})).status_code == 404
