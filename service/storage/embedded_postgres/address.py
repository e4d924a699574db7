"""Where the embedded server answers, and its passwords: the file ``server.json`` in its directory.

read      the address that is kept
prepare   the same for a start: made for a new server, and with another port if that one is taken
"""

from __future__ import annotations

import random
import secrets
import socket
from pathlib import Path

import msgspec

from service.settings import replace_private
from service.storage.embedded_postgres.errors import EmbeddedPostgresError, EmbeddedPostgresUnusable

SUPERUSER = "postgres"
LOGIN = "rewards"
DATABASE = "rewards"
HOST = "127.0.0.1"

# Below the range the kernel hands out to outgoing connections, which could sit on our port when we come back.
PORTS = range(20_000, 32_000)
_FILE = "server.json"


class Address(msgspec.Struct, frozen=True):
    """The server's port, and the passwords of its two logins."""

    port: int
    superuser_password: str
    login_password: str

    @property
    def owner_url(self) -> str:
        """For migrations and the operator's tools: the superuser."""
        return f"postgresql://{SUPERUSER}:{self.superuser_password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def application_url(self) -> str:
        """For the service: a login that may only take the service's roles."""
        return f"postgresql://{LOGIN}:{self.login_password}@{HOST}:{self.port}/{DATABASE}"


def is_kept(directory: Path) -> bool:
    """Whether the server of ``directory`` has an address."""
    return (directory / _FILE).exists()


def read(directory: Path) -> Address:
    """The address of the server of ``directory``. Raises `EmbeddedPostgresError` if it has none."""
    try:
        content = (directory / _FILE).read_bytes()
    except FileNotFoundError:
        raise EmbeddedPostgresError(f"The server in {directory} was never started") from None
    return msgspec.json.decode(content, type=Address)


def prepare(directory: Path, *, fresh: bool) -> Address:
    """Port and passwords. They are on the disk before the cluster is, so that none can be without them."""
    try:
        address = read(directory)
    except EmbeddedPostgresError:
        if not fresh:
            message = f"{directory / _FILE} is gone, and with it the passwords of the data: put it back"
            raise EmbeddedPostgresUnusable(message) from None
        address = Address(_free_port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        _keep(directory, address)
    if not _is_free(address.port):
        address = msgspec.structs.replace(address, port=_free_port())
        _keep(directory, address)
    return address


def _keep(directory: Path, address: Address) -> None:
    replace_private(directory / _FILE, msgspec.json.encode(address))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: connections of the last server that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        if _is_free(port):
            return port
    raise EmbeddedPostgresError(f"No free port on {HOST} between {PORTS.start} and {PORTS.stop}")
