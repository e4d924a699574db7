"""Where the embedded server's Unix socket is: a directory in the server's own, which only the user whom it runs as may enter.

make   one for a start, empty, or why there can be none: then the server listens on TCP alone
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from service.storage.embedded_postgres.server_user import ServerUser

_NAME = "socket"


def path_in(directory: Path) -> Path:
    """The socket's directory for the server of ``directory``."""
    return directory / _NAME


def make(directory: Path, port: int, user: ServerUser) -> str:
    """Make the socket's directory again; why no socket can be in it, or nothing.

    Again, because a killed server leaves its socket behind and a lock with its pid, which may be another process by now.
    """
    path = path_in(directory)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700)
    user.own(path)
    return _why_not(path / f".s.PGSQL.{port}")


def _why_not(path: Path) -> str:
    # To a client a comma ends a host's name. What cannot be printed may be no text at all, and a URL is text.
    if "," in str(path) or not str(path).isprintable():
        return "the path of a socket must be printable, and have no comma"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(path))
        except OSError as error:  # it is longer than 107 bytes, or its file system has no sockets
            return f"no socket can be in {path.parent}: {error.strerror or error}"
    path.unlink()
    return ""
