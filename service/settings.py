"""What the operator decides: settings from the environment, secrets from one private file.

Every setting is a variable ``REWARDS_<NAME>``; `Settings` lists them with their defaults. Secrets are never in the
environment, where a crash report or a child process would carry them off: they are in ``secrets_file``.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import re
import secrets as random
import stat
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from service.egress.hosts import HostRefused, host_of, is_address, is_loopback, name_and_port, read_host

PREFIX = "REWARDS_"
KEY_BYTES = 32

PROCESSES_MAX = 64

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Days = Annotated[int, msgspec.Meta(ge=0, le=36_600)]
"""How long something is kept; 0 is for ever, or until its customer is erased."""

DAYS_MIN: Mapping[str, int] = {
    "links_days": 90,
    "details_days": 366,
    "answers_days": 30,
    "messages_days": 90,
    "looks_days": 365,
    "consent_texts_days": 366,
    "approvals_days": 366,
    "dead_letters_days": 30,
}
"""The shortest time for which each can be kept: refunds, complaints and reports look back so far."""


class SettingsError(Exception):
    """The environment or the secrets file is not as it must be. The message names the variable or the file."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. ``REWARDS_DATABASE_URL`` sets ``database_url``, and so on."""

    database_url: str = ""
    """A ``postgresql://`` URL; empty means the embedded server."""
    owner_database_url: str = ""
    """The login that migrates and writes brands and keys; empty means ``database_url``."""
    data_dir: str = ".rewards"
    """Where the embedded server, the secrets and the demo's description are kept."""
    base_url: str = "http://127.0.0.1:8080"
    """How customers and clients reach the API: reward links begin with it. Follows ``host`` and ``port`` unless given."""
    host: str = "127.0.0.1"
    port: Port = 8080
    operator_host: str = "127.0.0.1"
    operator_port: Port = 9090
    """Metrics and health, for the operator alone."""
    processes: Annotated[int, msgspec.Meta(ge=0, le=PROCESSES_MAX)] = 0
    """API processes that share the port. 0 means one, and for ``rewards up`` as many as the machine has use for."""
    secrets_file: str = ""
    """Empty means ``<data_dir>/secrets.json``."""
    spool_dir: str = ""
    """On a disk of this machine: acts that wait for the database, and what links need to be served without it. Empty means
    ``<data_dir>/spool``."""
    spool_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256 * 1024 * 1024
    """How much one process may keep there of acts."""
    exports_dir: str = ""
    """Where the files of exports are kept: a directory that the API's machines and the workers' all see. Empty means
    ``<data_dir>/exports``."""
    exports_store: str = ""
    """An S3 bucket for the files of exports, ``s3://bucket/prefix``; then ``exports_dir`` holds only the file that is being
    written. Empty means ``exports_dir``."""
    exports_days: Annotated[int, msgspec.Meta(ge=1)] = 30
    """How long the files of an export are kept."""
    exports_bytes: Annotated[int, msgspec.Meta(ge=0)] = 10 * 1024 * 1024 * 1024
    """How much room the files of one brand's exports may take."""
    clicks_days: Annotated[int, msgspec.Meta(ge=1, le=38)] = 30
    """How long requests for links are kept."""
    links_days: Days = 0
    """How long links are kept after they have expired."""
    reply_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 72
    """How long after a message a reply that names none is still an answer to it."""
    messages_days: Days = 400
    """How long messages are kept that were registered, and which of them replies answer."""
    reply_texts_days: Days = 90
    """How long the words of a reply earn nothing when the customer sends them again."""
    details_days: Days = 0
    """How long texts of events, orders and corrections are kept; the hashes stay."""
    answers_days: Days = 0
    """How long an answer is kept under its idempotency key."""
    looks_days: Days = 1_096
    """How long the audit trail keeps who looked at a customer."""
    consent_texts_days: Days = 0
    """How long it is kept where a customer has said what they consent to."""
    approvals_days: Days = 0
    """How long it is kept what a request for a customer said that waited for another person."""
    dead_letters_days: Days = 0
    """How long acts that could not be settled are kept."""
    envelopes_days: Annotated[int, msgspec.Meta(ge=1, le=36)] = 14
    """How long requests of messaging providers are kept."""
    erasure_notice_days: Annotated[int, msgspec.Meta(ge=0, le=30)] = 14
    """How long a customer who is to be erased may still use their points."""
    erasures_file: str = ""
    """Where the erasures that were made are listed, so that a restored backup is erased again: not on the database's disk.
    Empty means ``<data_dir>/erasures.jsonl``."""
    data_mart_since: str = ""
    """The business date from which on the worker makes the data mart, such as 2026-11-01. Empty means none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    trusted_proxies: str = ""
    """Addresses whose ``X-Forwarded-For`` is believed, separated by commas."""
    dns_resolver: str = ""
    """The DNS servers that are asked for proofs of control, addresses with a port if need be, separated by commas. Empty means
    the system's."""
    demo: bool = False
    """Serve the demo shop's page."""

    @property
    def secrets_path(self) -> Path:
        """Where the secrets file is."""
        return Path(self.secrets_file) if self.secrets_file else Path(self.data_dir) / "secrets.json"

    @property
    def spool_path(self) -> Path:
        """Where acts wait for the database."""
        return Path(self.spool_dir) if self.spool_dir else Path(self.data_dir) / "spool"

    @property
    def erasures_path(self) -> Path:
        """Where the erasures that were made are listed."""
        return Path(self.erasures_file) if self.erasures_file else Path(self.data_dir) / "erasures.jsonl"

    @property
    def exports_path(self) -> Path:
        """Where the files of exports are kept."""
        return Path(self.exports_dir) if self.exports_dir else Path(self.data_dir) / "exports"

    @property
    def data_mart_begins_on(self) -> date | None:
        """The first business date of the data mart."""
        return date.fromisoformat(self.data_mart_since) if self.data_mart_since else None

    @property
    def directories(self) -> dict[str, Path]:
        """Where this process, or the database beside it, writes."""
        return {"data": Path(self.data_dir), "spool": self.spool_path}

    @property
    def local_url(self) -> str:
        """How this machine reaches the API."""
        return _local_url(self.host, self.port)

    @property
    def local_operator_url(self) -> str:
        """How this machine reaches metrics and health, which are of all API processes."""
        return _local_url(self.operator_host, self.operator_port)

    @property
    def own_hosts(self) -> frozenset[str]:
        """The hosts that are the service's own, in their normal form; all brands share them."""
        return frozenset({host_of(self.base_url), host_of(self.local_url)})

    @property
    def serves_this_machine_alone(self) -> bool:
        """Whether customers reach the API on this machine and nowhere else."""
        return is_loopback(name_and_port(host_of(self.base_url))[0])

    @property
    def owner_url(self) -> str:
        """The URL that migrates and writes brands and keys."""
        return self.owner_database_url or self.database_url


def _local_url(host: str, port: int) -> str:
    here = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from ``environ``, where empty means unset. Raises `SettingsError` naming the variable that is wrong."""
    given = {name.removeprefix(PREFIX).lower(): text.strip() for name, text in environ.items() if name.startswith(PREFIX)}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        if not given.get(field.name):
            continue
        try:
            values[field.name] = msgspec.convert(given[field.name], field.type, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{PREFIX}{field.name.upper()} is {given[field.name]!r}: {error}") from None
    settings = Settings(**values)
    if "base_url" not in values:
        settings = msgspec.structs.replace(settings, base_url=settings.local_url)
    for name in ("database_url", "owner_database_url"):
        url: str = getattr(settings, name)
        if url and not url.startswith(("postgresql://", "postgres://")):
            # The URL itself may hold a password, so the message does not repeat it.
            raise SettingsError(f"{PREFIX}{name.upper()} must begin with postgresql://")
        if not _has_ports_of_digits(url):
            raise SettingsError(f"{PREFIX}{name.upper()} has an invalid port")
    if not settings.base_url.startswith(("http://", "https://")) or settings.base_url.endswith("/"):
        raise SettingsError(
            f"{PREFIX}BASE_URL is {settings.base_url!r}: it must begin with http:// or https:// and not end with /"
        )
    try:
        host_of(settings.base_url)
    except HostRefused as refused:
        raise SettingsError(f"{PREFIX}BASE_URL is {settings.base_url!r}: it {refused}") from None
    _check_days(settings)
    if settings.exports_store and not settings.exports_store.startswith("s3://"):
        raise SettingsError(f"{PREFIX}EXPORTS_STORE is {settings.exports_store!r}: it must begin with s3://")
    try:
        _ = settings.data_mart_begins_on
    except ValueError:
        raise SettingsError(f"{PREFIX}DATA_MART_SINCE is {settings.data_mart_since!r}: it must be a date") from None
    for server in filter(None, settings.dns_resolver.split(",")):
        try:
            is_server = is_address(read_host(server.strip())[0])
        except HostRefused:
            is_server = False
        if not is_server:
            raise SettingsError(f"{PREFIX}DNS_RESOLVER is {settings.dns_resolver!r}: it must be addresses, as in 192.0.2.1:53")
    return settings


def _check_days(settings: Settings) -> None:
    for name, shortest in DAYS_MIN.items():
        if 0 < (days := getattr(settings, name)) < shortest:
            raise SettingsError(f"{PREFIX}{name.upper()} is '{days}': it must be 0, which is for ever, or at least {shortest}")


def _has_ports_of_digits(url: str) -> bool:
    """Whether each of the hosts of a ``postgresql://`` URL, of which there may be several, has a port of digits, or none."""
    hosts = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].split(",")
    return all(re.search(r":(?!\d*$)[^\]]*$", host) is None for host in hosts)


class IdentityKey(msgspec.Struct, frozen=True):
    """A key under which identities (emails, phones) are hashed. ``key_no`` is stored beside each hash."""

    key_no: int
    key: bytes


class LinkKey(msgspec.Struct, frozen=True):
    """An Ed25519 key that signs reward links; a retired one only verifies."""

    kid: str
    private_key: bytes
    retired_at: datetime | None = None


class Secrets(msgspec.Struct, frozen=True):
    """What must not leak. The last key of each list that is not retired is the one in use."""

    identity_keys: tuple[IdentityKey, ...]
    link_keys: tuple[LinkKey, ...]
    tombstone_keys: tuple[IdentityKey, ...] = ()
    """Identity keys of once: customers who were erased under them are still known to be."""


def create_secrets(path: Path) -> bool:
    """Write a new secrets file, readable by its owner alone. False when there is one: it is never overwritten."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Secrets(
        identity_keys=(IdentityKey(key_no=1, key=random.token_bytes(KEY_BYTES)),),
        link_keys=(LinkKey(kid=f"{datetime.now(UTC):%Y-%m-%d}-1", private_key=random.token_bytes(KEY_BYTES)),),
    )
    content = msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
    # Written aside and linked into place: a reader never sees half a file, and of two writers one wins.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    write_private(aside, content)
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def load_secrets(path: Path) -> Secrets:
    """Read the secrets file. Raises `SettingsError` when it is missing, malformed or readable by others."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: `rewards secrets create` makes one") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{path} can be read by others than its owner: chmod 600 it")
    try:
        secrets = msgspec.json.decode(content, type=Secrets)
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise SettingsError(f"{path} is not a secrets file: {error}") from None
    hashing = (*secrets.identity_keys, *secrets.tombstone_keys)
    keys = [key.key for key in hashing] + [key.private_key for key in secrets.link_keys]
    if any(len(key) != KEY_BYTES for key in keys):
        raise SettingsError(f"{path}: every key must be {KEY_BYTES} bytes in base64")
    key_numbers = {key.key_no for key in hashing}
    kids = {key.kid for key in secrets.link_keys}
    if len(key_numbers) + len(kids) != len(keys):
        raise SettingsError(f"{path}: each key_no and each kid must be unique")
    if not secrets.identity_keys or all(key.retired_at for key in secrets.link_keys):
        raise SettingsError(f"{path} needs an identity key and a link key that is not retired")
    return secrets


def write_private(path: Path, content: bytes) -> None:
    """Write ``path`` whole, readable by its owner alone, and put it on the disk."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # A disk that is about to be full takes a part, and refuses the next.
        written = 0
        while written < len(content):
            written += os.write(file, content[written:])
        os.fsync(file)
    finally:
        os.close(file)


def sync(path: Path) -> None:
    """Put a file or a directory on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def replace_private(path: Path, content: bytes) -> None:
    """Atomically replace what is at ``path`` by ``content``; concurrent calls are safe."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    write_private(aside, content)
    aside.replace(path)
