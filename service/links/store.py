"""Storing links and their codes: a link that is there already stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import LargeBinary, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from ledger import event_key
from service.links.queries import LinkRow, links_by_id
from service.links.tables import link, link_code
from service.tokens.code import code_hash, code_of
from service.tokens.link import LinkKind, LinkMode

if TYPE_CHECKING:
    from service.services import Services


class NewLink(msgspec.Struct, frozen=True):
    """A link to be stored, unless there is one of its id."""

    link_id: bytes
    brand_id: int
    campaign_no: int
    campaign_version: int
    customer: int
    message_id: str
    action: str
    channel: str
    label: str
    destination_no: int
    sent_at: datetime | None
    minted_at: datetime
    expires_at: datetime
    minted_by: int
    kind: LinkKind
    mode: LinkMode


_NEW_LINK_COLUMNS = NewLink.__struct_fields__

# One statement whatever the number of links: each column is an array, and unnest walks them together.
_insert_links = (
    insert(link)
    .from_select(
        _NEW_LINK_COLUMNS,
        select(*(func.unnest(bindparam(name, type_=ARRAY(link.c[name].type))).label(name) for name in _NEW_LINK_COLUMNS)),
    )
    .on_conflict_do_nothing()
    .returning(link.c.link_id)
)


def link_id_of(campaign_no: int, *, message_id: str, customer: int, action: str, label: str) -> bytes:
    """The id of the link that reports this event, whoever mints it."""
    key = event_key(campaign_no=campaign_no, message_id=message_id, customer=customer, action=action, qualifier=label)
    return campaign_no.to_bytes(4, "big") + key


async def store(services: Services, rows: Iterable[NewLink]) -> tuple[set[bytes], dict[bytes, LinkRow]]:
    """Store the links that are not there yet, and give the ids of those and all links as they are stored."""
    first: dict[bytes, NewLink] = {}
    for row in rows:
        first.setdefault(row.link_id, row)
    if not first:
        return set(), {}
    # In order of their ids: two batches with the same links must not wait for each other.
    ordered = [first[link_id] for link_id in sorted(first)]
    columns = {name: [getattr(row, name) for row in ordered] for name in _NEW_LINK_COLUMNS}
    async with services.engine.begin() as connection:
        new = {bytes(row.link_id) for row in await connection.execute(_insert_links, columns)}
    return new, await links_by_id(services.pool, list(first))


_insert_codes = (
    insert(link_code)
    .from_select(
        ["code_hash", "link_id"],
        select(*(func.unnest(bindparam(name, type_=ARRAY(LargeBinary))).label(name) for name in ("code_hash", "link_id"))),
    )
    .on_conflict_do_nothing()
)


async def store_codes(services: Services, link_ids: Collection[bytes]) -> dict[bytes, str]:
    """Let there be a code for each of these links."""
    codes = {
        link_id: code_of(b"link" + link_id, services.token_keys.codes[services.token_keys.links.kid]) for link_id in link_ids
    }
    if codes:
        by_hash = {code_hash(code): link_id for link_id, code in codes.items()}
        hashes = sorted(by_hash)
        async with services.engine.begin() as connection:
            columns = {"code_hash": hashes, "link_id": [by_hash[each] for each in hashes]}
            await connection.execute(_insert_codes, columns)
    return codes
