"""What an erasure does is declared for every table and every file, and said on the page about privacy."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from service.cli import backup_set
from service.erasure.scope import PLACES, TABLES
from service.export_jobs.mart.facts import Day, writers_of_day
from service.exports.bundle import CUSTOMERS, DETAILS, WRITERS
from service.settings import Settings
from service.storage.spool_files import ASIDE, REFUSED
from tests.erasure.conftest import Owner

PAGE = (Path(__file__).parents[2] / "docs/privacy.md").read_text()
WHERE = {
    "secrets_path": ["secrets"],
    "spool_path": ["spool: *.spool", f"spool: {ASIDE}", f"spool: {REFUSED}", "spool: envelopes", "spool: known"],
    "erasures_path": ["erasures"],
    "exports_path": [
        *(f"export: {name}" for files in (*WRITERS.values(), *DETAILS.values(), CUSTOMERS) for name in files),
        *(f"export: {name}" for name in writers_of_day(Day(datetime.date(2030, 1, 1), None))),
    ],
}
"""What lies where the settings say."""


async def test_every_table_is_declared(owner: Owner) -> None:
    tables = await owner.fetch(
        """
        SELECT relnamespace::regnamespace || '.' || relname FROM pg_class
        WHERE relnamespace IN ('ledger'::regnamespace, 'rewards'::regnamespace) AND relkind IN ('r', 'p')
            AND NOT relispartition
        """
    )
    assert {row[0] for row in tables} == TABLES.keys()


def test_every_place_on_the_disk_is_declared() -> None:
    assert {name for name in vars(Settings) if name.endswith("_path")} == WHERE.keys()
    declared = {place for places in WHERE.values() for place in places}
    assert PLACES.keys() == declared | {"backup", "log"}
    # A backup holds a dump of the tables and copies of what is declared.
    assert {backup_set.DUMP, backup_set.SECRETS, backup_set.SPOOL, backup_set.MANIFEST} == {
        "database.dump",
        "secrets.json",
        "spool",
        "manifest.json",
    }


@pytest.mark.parametrize("where", [*TABLES, *PLACES])
def test_the_page_about_privacy_says_the_same(where: str) -> None:
    said = TABLES.get(where) or PLACES[where]
    assert f"| `{where}` | {said} |" in PAGE
