"""Where the embedded server answers, and its passwords: the file ``server.json`` in its directory.

owner_url, application_url   how its two logins reach it: over its Unix socket, if it has one
prepare                      the address for a start: made for a new server, with another port if that one is taken
keep_tcp_alone               it turned out to have no socket
"""

from __future__ import annotations

import random
import secrets
import socket
from pathlib import Path
from urllib.parse import quote

import msgspec

from service.settings import replace_private
from service.storage.embedded_postgres import socket_directory
from service.storage.embedded_postgres.errors import EmbeddedPostgresError, EmbeddedPostgresUnusable
from service.storage.embedded_postgres.server_user import ServerUser

SUPERUSER = "postgres"
LOGIN = "rewards"
DATABASE = "rewards"
HOST = "127.0.0.1"

# Below the range the kernel hands out to outgoing connections, which could sit on our port when we come back.
PORTS = range(20_000, 32_000)
_FILE = "server.json"


class Address(msgspec.Struct, frozen=True):
    """The server's port, which is in its socket's name too, and the passwords of its two logins."""

    port: int
    superuser_password: str
    login_password: str
    tcp_alone_because: str = "a version that makes no socket started it"
    """Why it has no Unix socket; empty if it has one."""


def owner_url(directory: Path, *, over_tcp: bool = False) -> str:
    """For migrations and the operator's tools: the superuser."""
    kept = read(directory)
    return _url(directory, kept, SUPERUSER, kept.superuser_password, over_tcp=over_tcp)


def application_url(directory: Path) -> str:
    """For the service: a login that may only take the service's roles."""
    kept = read(directory)
    return _url(directory, kept, LOGIN, kept.login_password)


def _url(directory: Path, kept: Address, login: str, password: str, *, over_tcp: bool = False) -> str:
    host = HOST if over_tcp or kept.tcp_alone_because else str(socket_directory.path_in(directory))
    # In the host's place rather than in `?host=`, so that what replaces a URL's login, port or database needs no other way.
    return f"postgresql://{login}:{password}@{quote(host, safe='')}:{kept.port}/{DATABASE}"


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


def prepare(directory: Path, user: ServerUser, *, fresh: bool) -> Address:
    """The address for a start by ``user``. It is on the disk before the cluster is, so that none can be without passwords."""
    kept = _kept_or_new(directory, fresh=fresh)
    port = kept.port if _is_free(kept.port) else _free_port()
    tcp_alone_because = socket_directory.make(directory, port, user)
    address = msgspec.structs.replace(kept, port=port, tcp_alone_because=tcp_alone_because)
    if fresh or address != kept:
        _keep(directory, address)
    return address


def keep_tcp_alone(directory: Path, because: str) -> None:
    """From now on the server of ``directory`` is reached over TCP, until it is started again."""
    _keep(directory, msgspec.structs.replace(read(directory), tcp_alone_because=because))


def _kept_or_new(directory: Path, *, fresh: bool) -> Address:
    try:
        return read(directory)
    except EmbeddedPostgresError:
        if not fresh:
            message = f"{directory / _FILE} is gone, and with it the passwords of the data: put it back"
            raise EmbeddedPostgresUnusable(message) from None
        return Address(_free_port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24))


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
