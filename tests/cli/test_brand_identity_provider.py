"""`rewards brand set-identity-provider` and its removal: recorded, and without the secret."""

from __future__ import annotations

from typing import Any

import asyncpg

from service.brands.errors import BrandUnknown
from service.console.sign_in.provider import ProviderInvalid
from tests.api_fixtures import Api
from tests.cli.test_import_and_issue_limit import Run, run

__all__ = ["run"]

CLIENT = ("--client-id", "console", "--client-secret", "s3cret")


async def test_an_operator_sets_and_removes_a_provider(run: Run, api: Api, owner: asyncpg.Connection[Any]) -> None:
    done = await run("brand", "set-identity-provider", "lumen", "--issuer", "https://accounts.example", *CLIENT)
    assert done.exit_code == 0, done.output
    assert "/console/provider/back" in done.output
    assert await owner.fetchval("SELECT issuer FROM rewards.identity_provider") == "https://accounts.example"
    assert (await run("brand", "remove-identity-provider", "lumen")).exit_code == 0
    assert await owner.fetchval("SELECT count(*) FROM rewards.identity_provider") == 0
    rows = await owner.fetch(
        "SELECT act, after::text FROM rewards.audit_trail WHERE act LIKE 'brand.%provider' ORDER BY entry_no"
    )
    assert [row["act"] for row in rows] == ["brand.set_identity_provider", "brand.remove_identity_provider"]
    assert "s3cret" not in str(rows)


async def test_what_is_no_provider_is_refused(run: Run, api: Api) -> None:
    plain = await run("brand", "set-identity-provider", "lumen", "--issuer", "http://accounts.example", *CLIENT)
    assert isinstance(plain.exception, ProviderInvalid)
    nobody = await run("brand", "set-identity-provider", "nobody", "--issuer", "https://accounts.example", *CLIENT)
    assert isinstance(nobody.exception, BrandUnknown)
