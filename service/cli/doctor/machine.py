"""What this machine gives the service: Python, secrets, disks, ports, open files; and the address that customers are given."""

from __future__ import annotations

import http.client
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from service.admission.limits import Bounds
from service.cli.doctor.finding import Finding, advice, ok, wrong
from service.crypto.derived_keys import key_in_use
from service.observability import interpreter
from service.server.listening import listen
from service.server.open_files import bounds_for_files, raise_file_limit
from service.settings import Settings, SettingsError, load_secrets
from service.storage import disk_space

_ANSWER_TIMEOUT_S = 2.0


def python() -> Finding:
    """Whether Python was compiled for speed."""
    if interpreter.build_of(sysconfig.get_config_vars()).is_fast:
        return ok("python", interpreter.described())
    return advice(
        "python",
        f"{interpreter.described()}: one that is optimized serves about a fifth more, such as Debian's"
        " (`make clean`, then `make run PYTHON=/usr/bin/python3`)",
    )


def examine(settings: Settings) -> Iterator[Finding]:
    """All but Python and the database."""
    yield _secrets(settings)
    yield from (_directory(name, path) for name, path in settings.directories.items())
    yield _open_files()
    yield _port("port", settings.host, settings.port, "REWARDS_PORT")
    yield _port("operator port", settings.operator_host, settings.operator_port, "REWARDS_OPERATOR_PORT")
    yield _address(settings)


def _secrets(settings: Settings) -> Finding:
    try:
        secrets = load_secrets(settings.secrets_path)
    except SettingsError as error:
        return wrong("secrets", str(error))
    signing = key_in_use(secrets.link_keys).kid
    return ok("secrets", f"{settings.secrets_path}, readable by its owner alone; link key {signing} signs")


def _directory(name: str, path: Path) -> Finding:
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return wrong(name, f"{path} cannot be written to: it needs to belong to the user that runs the service")
    if full := disk_space.warnings({name: path}):
        return advice(name, full[0])
    room = disk_space.room(path)
    return ok(name, str(path) if room is None else f"{path}, {room.free / 1024**3:,.1f} GiB free")


def _open_files() -> Finding:
    files = raise_file_limit()
    allowed, wanted = bounds_for_files(files).connections_max, Bounds().connections_max
    says = f"{files:,} allowed, which is {allowed:,} connections"
    if allowed < wanted:
        return advice("open files", f"{says} of {wanted:,}: raise the hard limit (`ulimit -Hn`, or LimitNOFILE of systemd)")
    return ok("open files", says)


def _port(name: str, host: str, port: int, variable: str) -> Finding:
    try:
        listen(host, port, variable).close()
    except SettingsError as error:
        return ok(name, f"{host}:{port}, where the service runs") if _is_ours(host, port) else wrong(name, str(error))
    return ok(name, f"{host}:{port} is free")


def _is_ours(host: str, port: int) -> bool:
    """Whether who listens there answers as this service does."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(reached, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().read().startswith(b'{"status":"ok"')
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _address(settings: Settings) -> Finding:
    url = settings.base_url
    if settings.serves_this_machine_alone:
        return advice("address", f"{url}: links lead to this machine alone, until REWARDS_BASE_URL says how customers reach it")
    if url.startswith("http://"):
        return advice("address", f"{url}: links and cookies are sent in the clear; put a proxy with TLS in front")
    if not settings.trusted_proxies:
        return advice("address", f"{url}: set REWARDS_TRUSTED_PROXIES, or all visitors behind the proxy count as one client")
    return ok("address", url)
