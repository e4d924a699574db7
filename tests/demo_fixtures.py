"""The demo brand of `rewards up`, made on a database of a test's own and served on a port by this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvicorn

from service.app import create_app
from service.demo_shop import demo_brand, demo_file
from service.settings import Secrets, Settings
from tests.api_fixtures import make_secrets

if TYPE_CHECKING:
    from tests.conftest import Database


class Demo(msgspec.Struct, frozen=True):
    """Where the demo is, its keys by name, and a link that nobody has followed."""

    base_url: str
    keys: dict[str, str]
    reward_link: str
    settings: Settings
    secrets: Secrets

    def bearer(self, key: str) -> dict[str, str]:
        """The headers of a request with a key."""
        return {"Authorization": f"Bearer {self.keys[key]}"}


@contextlib.asynccontextmanager
async def serving_demo(database: Database, data: Path, *, host: str = "127.0.0.1") -> AsyncGenerator[Demo]:
    """A demo as it stands after its first start; ``host`` is what this machine is called in its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://{host}:{listening.getsockname()[1]}"
    settings = Settings(database_url=database.application_url, base_url=base_url, demo=True, data_dir=str(data))
    secrets = make_secrets()
    server = uvicorn.Server(uvicorn.Config(create_app(settings, secrets), log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        keys = await demo_brand.ensure_keys(database.owner_url, {})
        shop = base_url + demo_file.SHOP_PATH
        await asyncio.to_thread(demo_brand.furnish, base_url, keys, shop=shop)
        link = await asyncio.to_thread(demo_brand.fresh_link, base_url, keys["messaging"], destination=shop)
        persons = await demo_brand.ensure_persons(database.owner_url)
        made = demo_file.Demo(base_url, demo_brand.BRAND, demo_brand.CAMPAIGN, keys, link.url, persons)
        demo_file.write(demo_file.path_of(settings), made)
        yield Demo(base_url, keys, link.url, settings, secrets)
    finally:
        server.should_exit = True
        await serving
