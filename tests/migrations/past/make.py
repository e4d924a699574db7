"""Makes what `test_from_the_past` upgrades, with the code of a commit: a dump of a database, and what is to be known of it.

    git worktree add --detach ../past COMMIT
    cp -r tests/migrations/past ../past/tests/migrations/
    (cd ../past && make .venv/installed-dev && .venv/bin/pytest tests/migrations/past/make.py)
    cp ../past/tests/migrations/past/revision_* tests/migrations/past/

In it is a brand whose customers were granted points, alone and in a batch, and have redeemed some: captured, given back,
refunded and still held. Two were merged; one said that they want no rewards. Of two links one was claimed; a third redirects.
A link lives for five years at most: by November 2031 this is to be made again.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from ledger import audit
from tests.api_fixtures import Api
from tests.conftest import Database

NAME = "revision_0027"
CAMPAIGN = {
    "id": "autumn",
    "name": "Autumn thank-you",
    "starts_at": "2020-01-01T00:00:00Z",
    "ends_at": "2099-01-01T00:00:00Z",
    "budget": 1_000_000,
    "rules": [{"action": "click", "channel": "email", "points": 25}, {"action": "reply", "points": 50}],
    "caps": [{"per": "customer", "window": "day", "max_grants": 50}],
}


def _act(customer: str, message_id: str) -> dict[str, Any]:
    return {
        "campaign": "autumn",
        "message_id": message_id,
        "customer": {"id": customer},
        "action": "click",
        "channel": "email",
        "occurred_at": datetime.now(UTC).isoformat(),
    }


async def test_make(api: Api, database: Database, owner: asyncpg.Connection[Any]) -> None:
    """Make both files."""
    past: dict[str, Any] = {"keys": api.keys, "secrets": base64.b64encode(msgspec.msgpack.encode(api.secrets)).decode()}
    admin, messaging = api.client("admin"), api.client("messaging")
    (await admin.post("/v1/campaigns", json=CAMPAIGN)).raise_for_status()
    past["grant"] = _act("ada", "m-1")
    (await messaging.post("/v1/grants", json=past["grant"])).raise_for_status()
    acts = [_act(customer, f"m-{number}") for customer in ("ada", "bob", "cleo") for number in range(1, 5)]
    batch = await messaging.post("/v1/grants/batch", json=acts)
    assert [each["status"] for each in batch.json()["results"]] == [200] + [201] * 11, batch.text

    await _redeem(api, "ada", 30)
    for number, then in enumerate(("capture", "void")):
        redemption = await _redeem(api, "bob", 10 + number)
        await _then(api, redemption, then, {})
    past["captured"] = await _redeem(api, "cleo", 20)
    await _then(api, past["captured"], "capture", {})
    await _then(api, past["captured"], "refund", {"points": 5})
    (await messaging.post("/v1/customers/bob/merge", json={"from": {"id": "cleo"}})).raise_for_status()
    refusing = await messaging.put("/v1/customers/dora/consents/rewards", json={"status": "refused", "source": "form"})
    refusing.raise_for_status()

    items = [
        {**_act("ada", f"l-{number}"), "destination": "https://shop.example/autumn", "mode": mode}
        for number, mode in enumerate(("page", "page", "redirect"))
    ]
    for item in items:
        del item["occurred_at"]
        item["expires_at"] = (datetime.now(UTC) + timedelta(days=5 * 365)).isoformat()
    minted = await messaging.post("/v1/links", json={"links": items})
    assert minted.status_code == 200, minted.text
    past["links"] = [each["url"].removeprefix("http://rewards.test") for each in minted.json()["results"]]
    assert (await api.client().post(past["links"][0])).status_code == 303

    assert [each for each in await audit(owner, api.brand.book) if each.violations] == []
    past["transfers"] = await owner.fetchval("SELECT count(*) FROM ledger.transfer")
    here = Path(__file__).parent
    (here / f"{NAME}.json").write_text(json.dumps(past, indent=1) + "\n")
    programs = Path(await owner.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'"))
    dump = await asyncio.to_thread(subprocess.check_output, [programs / "pg_dump", "--inserts", database.owner_url])
    # Commands of psql, and who ran this: whoever restores it owns what the ledger's owner does not.
    dump = re.sub(rb"^(\\.*|ALTER .* OWNER TO postgres;)\n", b"", dump, flags=re.MULTILINE)
    (here / f"{NAME}.sql.gz").write_bytes(gzip.compress(dump, mtime=0))


async def _redeem(api: Api, customer: str, points: int) -> str:
    order = f"o-{customer}-{points}"
    body = {"customer": {"id": customer}, "points": points, "order_ref": order}
    answer = await api.client("storefront").post("/v1/redemptions", json=body, headers={"Idempotency-Key": order})
    assert answer.status_code == 201, answer.text
    return answer.json()["redemption_id"]


async def _then(api: Api, redemption: str, then: str, body: dict[str, Any]) -> None:
    path = f"/v1/redemptions/{redemption}/{then}"
    answer = await api.client("storefront").post(path, json=body, headers={"Idempotency-Key": f"{then}-{redemption}"})
    assert answer.is_success, answer.text
