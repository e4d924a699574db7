"""`rewards brand link-host` shows an operator what a brand claims, and the record that would prove it."""

from __future__ import annotations

from service.brands.errors import BrandUnknown
from tests.api_fixtures import Api, have_link_host
from tests.cli.test_import_and_issue_limit import Run, run

__all__ = ["run"]


async def test_an_operator_sees_how_far_a_claim_is(run: Run, api: Api) -> None:
    assert "claims no host" in (await run("brand", "link-host", "lumen")).output
    answer = await api.client("admin").patch("/v1/brand", json={"link_base_url": "https://r.shop.example"})
    record = answer.json()["link_host"]["dns_record"]
    shown = (await run("brand", "link-host", "lumen")).output
    assert "r.shop.example is pending" in shown
    assert f'{record["name"]} TXT "{record["value"]}"' in shown
    await have_link_host(api, "https://r.shop.example")
    assert "r.shop.example is verified by dns" in (await run("brand", "link-host", "lumen")).output


async def test_an_unknown_brand_is_said(run: Run, api: Api) -> None:
    assert isinstance((await run("brand", "link-host", "nobody")).exception, BrandUnknown)
