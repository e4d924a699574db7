"""Settings and secrets: what is wrong is said by name, and a secret is nobody else's to read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings, SettingsError, create_secrets, load, load_secrets

WRONG = [
    ({"REWARDS_PORT": "http"}, "REWARDS_PORT"),
    ({"REWARDS_OPERATOR_PORT": "65536"}, "REWARDS_OPERATOR_PORT"),
    ({"REWARDS_DEMO": "perhaps"}, "REWARDS_DEMO"),
    ({"REWARDS_LOG_LEVEL": "loud"}, "REWARDS_LOG_LEVEL"),
    ({"REWARDS_DATABASE_URL": "mysql://root:hunter2@db/x"}, "REWARDS_DATABASE_URL"),
    ({"REWARDS_OWNER_DATABASE_URL": "db"}, "REWARDS_OWNER_DATABASE_URL"),
    ({"REWARDS_BASE_URL": "rewards.example"}, "REWARDS_BASE_URL"),
    ({"REWARDS_BASE_URL": "https://rewards.example/"}, "REWARDS_BASE_URL"),
    ({"REWARDS_BASE_URL": "https://rewards..example"}, "REWARDS_BASE_URL"),
    ({"REWARDS_BASE_URL": "https://rewards.example:99999"}, "REWARDS_BASE_URL"),
    ({"REWARDS_DNS_RESOLVER": "dns.example"}, "REWARDS_DNS_RESOLVER"),
    ({"REWARDS_DNS_RESOLVER": "192.0.2.1, nine"}, "REWARDS_DNS_RESOLVER"),
]


@pytest.mark.parametrize(("environ", "named"), WRONG)
def test_a_wrong_setting_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as raised:
        load(environ)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s%40cret@one:5432,two/books?target_session_attrs=read-write",
        "postgresql://me:s%40cret@%2Frun%2Fpostgresql:5432/books",
        "postgresql://me:s%40cret@%2Frun%2Fpostgresql/books",
        "postgresql://me:s%40cret@/books?host=/run/postgresql&port=5432",
        "postgresql:///books?host=/run/postgresql",
    ],
)
def test_every_form_of_a_database_url_is_taken_as_it_is(url: str) -> None:
    assert load({"REWARDS_DATABASE_URL": url}).database_url == url


def test_what_is_unset_or_empty_has_its_default() -> None:
    assert load({}) == load({"REWARDS_PORT": "", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("environ", "base_url"),
    [
        ({"REWARDS_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"REWARDS_HOST": "0.0.0.0"}, "http://127.0.0.1:8080"),
        ({"REWARDS_HOST": "::1"}, "http://[::1]:8080"),
        ({"REWARDS_PORT": "9000", "REWARDS_BASE_URL": "https://rewards.example"}, "https://rewards.example"),
    ],
)
def test_links_begin_with_where_we_listen_unless_told(environ: dict[str, str], base_url: str) -> None:
    assert load(environ).base_url == base_url


def test_secrets_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secrets.json"
    assert create_secrets(path)
    made = load_secrets(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (len(made.identity_keys[0].key), len(made.link_keys[0].private_key)) == (32, 32)
    assert not create_secrets(path)
    assert load_secrets(path) == made
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secrets_that_others_can_read_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secrets.json"
    create_secrets(path)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="others"):
        load_secrets(path)


def _without_link_keys(secrets: dict[str, Any]) -> None:
    secrets["link_keys"] = []


def _all_retired(secrets: dict[str, Any]) -> None:
    secrets["link_keys"][0]["retired_at"] = "2026-01-01T00:00:00Z"


def _short_key(secrets: dict[str, Any]) -> None:
    secrets["identity_keys"][0]["key"] = "c2hvcnQ="


def _not_base64(secrets: dict[str, Any]) -> None:
    secrets["identity_keys"][0]["key"] = "***"


def _same_number_twice(secrets: dict[str, Any]) -> None:
    secrets["identity_keys"] *= 2


@pytest.mark.parametrize("spoil", [_without_link_keys, _all_retired, _short_key, _not_base64, _same_number_twice])
def test_a_malformed_secrets_file_is_named_and_not_quoted(tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "secrets.json"
    create_secrets(path)
    secrets = json.loads(path.read_bytes())
    spoil(secrets)
    path.write_text(json.dumps(secrets))
    os.chmod(path, 0o600)
    with pytest.raises(SettingsError, match=r"secrets\.json") as raised:
        load_secrets(path)
    assert secrets["identity_keys"][0]["key"] not in str(raised.value)


def test_missing_secrets_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="rewards secrets create"):
        load_secrets(tmp_path / "secrets.json")
