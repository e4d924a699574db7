"""What an API key has made, and what the keys that it made have made: all that is taken back with it.

Links are not listed one by one, because a key mints millions: there is one entry for all of a key's, with the codes and links
to customers' pages that go with them.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import asyncpg
import msgspec

from ledger import Position
from service.http.identifiers import key_id, position
from service.http.pagination import Page, page
from service.http.problems import not_found

_MADE = Path(__file__).with_suffix(".sql").read_text()
_IS_THERE = "SELECT EXISTS (SELECT FROM rewards.api_key WHERE brand_id = $1 AND api_key_id = $2)"

Kind = Literal["key", "minting_key", "code_batch", "links", "source"]
_KINDS: tuple[Kind, ...] = ("key", "minting_key", "code_batch", "links", "source")


class MadeResponse(msgspec.Struct, frozen=True):
    """Something made by the key, or by a key it created."""

    kind: Kind
    """`key`: an API key. `minting_key`. `code_batch`. `links`: all links, codes and page links of the key.
    `source`: a source that reports in the key's name, and no more once the key is revoked."""
    id: str
    """The id of the key, the minting key, the batch or the source; for links, of the key that minted them."""
    name: str
    """Its name; for links, the name of the key that minted them."""
    made_by: str
    """The id of the key that made it: the requested one, or one it created."""
    made_at: datetime
    """When it was made; for links, when their key was created."""
    revoked_at: datetime | None
    """When it was revoked; null if it was not."""


async def made_by(
    pool: asyncpg.Pool[Any] | asyncpg.Connection[Any], brand_id: int, api_key_id: int, *, after: Position | None, limit: int
) -> Page[MadeResponse]:
    """A page of what a key made: keys first, then minting keys, batches, links, sources."""
    if not await pool.fetchval(_IS_THERE, brand_id, api_key_id):
        raise not_found("key")
    kind, number = (after.seq, after.place) if after else (0, 0)
    rows = await pool.fetch(_MADE, brand_id, api_key_id, kind, number, limit + 1)
    listed = page(rows, limit=limit, cursor=lambda row: position(Position(row["kind"], row["number"])))
    items = [
        MadeResponse(
            kind=_KINDS[int(row["kind"])],
            id=row["id"],
            name=row["name"],
            made_by=key_id(row["made_by"]),
            made_at=row["made_at"],
            revoked_at=row["revoked_at"],
        )
        for row in listed.items
    ]
    return Page(items=items, next=listed.next)
