"""`rewards doctor`: is this installation right? What the service decides for itself when it starts and is ready, at a glance.

machine    Python, the settings, files, disks, ports, open files
postgres   what the database is, how it is set up, and whether we could serve from it
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import click
import msgspec

from service.cli.database_settings import load_with_database
from service.cli.doctor import machine, postgres
from service.cli.doctor.finding import Finding, Verdict, wrong
from service.settings import SettingsError, load


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, as_json: bool) -> None:
    """Check this installation: Python, PostgreSQL, files, ports, limits. Exits with 1 if something is wrong.

    Run it as the service runs: as the same user, with the same environment. It changes nothing.
    """
    findings = list(_findings())
    is_wrong = any(finding.verdict is Verdict.WRONG for finding in findings)
    click.echo(_json(findings, is_ok=not is_wrong) if as_json else _lines(findings))
    raise SystemExit(1 if is_wrong else 0)


def _findings() -> Iterator[Finding]:
    yield machine.python()
    try:
        settings = load()
    except SettingsError as error:
        yield wrong("settings", str(error))
        return  # nothing else would be looked at where the service does
    yield from machine.examine(settings)
    try:
        settings = load_with_database()
    except SettingsError as error:
        yield wrong("database", str(error))
        return
    yield from asyncio.run(postgres.examine(settings))


def _lines(findings: Sequence[Finding]) -> str:
    return "\n".join(f"{finding.verdict:<6}  {finding.name:<13} {finding.says}" for finding in findings)


def _json(findings: Sequence[Finding], *, is_ok: bool) -> str:
    return msgspec.json.format(msgspec.json.encode({"ok": is_ok, "findings": findings}), indent=2).decode()
