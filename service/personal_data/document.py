"""The document: sections one after the other, each read in pages, so that it takes no memory and holds no snapshot."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ledger import Balance, GrantOutcome
from service.brands.brand import Brand
from service.campaigns.queries import campaign_ids
from service.customers.queries import Customer
from service.evidence.click_log import message_key
from service.exports.account_names import by_number
from service.exports.transfers_csv import VERBS
from service.http.identifiers import customer_id
from service.personal_data.schemas import SubjectResponse

if TYPE_CHECKING:
    from service.services import Services

PAGE_ROWS = 1_000
_MESSAGES_AT_ONCE = 500
_encode = msgspec.json.encode


class _Section(NamedTuple):
    """A list of the document: its statement, of the book or of the brand, and before what its cursor begins."""

    name: str
    of_book: bool
    begin: Any = -1

    @property
    def statement(self) -> str:
        return _STATEMENTS[self.name]


_SECTIONS = (
    _Section("identities", of_book=False),
    _Section("verifications", of_book=False),
    _Section("consents", of_book=False),
    _Section("preferences", of_book=False),
    _Section("transfers", of_book=True),
    _Section("acts", of_book=True),
    _Section("redemptions", of_book=True),
    _Section("corrections", of_book=True),
    _Section("shortfalls", of_book=True),
    _Section("codes", of_book=False, begin=b""),
    _Section("approvals", of_book=False),
    _Section("erasures", of_book=False),
    _Section("recorded_acts", of_book=False),
    _Section("links", of_book=False, begin=b""),
    _Section("offers", of_book=False, begin=""),
    _Section("offer_notices", of_book=True),
    _Section("messages", of_book=False, begin=""),
    _Section("devices", of_book=False),
)
_FILES: Mapping[str, str] = {"acts": "decisions"}
_SQL = Path(__file__).with_name("sql")
_STATEMENTS = {each.name: (_SQL / f"{_FILES.get(each.name, each.name)}.sql").read_text() for each in _SECTIONS}
_CLICKS = (_SQL / "clicks.sql").read_text()


async def document(services: Services, brand: Brand, known: Customer, balance: Balance) -> AsyncGenerator[bytes]:
    """The bytes of the document about a customer."""
    numbers = [known.customer, *known.former]
    campaigns = by_number(await campaign_ids(services.engine, brand.brand_id))
    names: Mapping[str, Sequence[Any]] = {
        "transfers": (VERBS, campaigns),
        "corrections": (VERBS,),
        "offer_notices": (campaigns,),
        "acts": (_encode({int(outcome): outcome.name.lower() for outcome in GrantOutcome}).decode(), campaigns),
    }
    yield b'{"made_at":' + _encode(datetime.now(UTC)) + b',"customer":' + _encode(_person(known, balance))
    messages: dict[bytes, None] = {}
    for section in _SECTIONS:
        yield b',"' + section.name.encode() + b'":['
        separator = b""
        of = brand.book.book_id if section.of_book else brand.brand_id
        async for page in _pages(services, section, of, numbers, names.get(section.name, ())):
            yield separator + b",".join(item.encode() for _, item, *_ in page)
            separator = b","
            if section.name == "links":
                messages |= dict.fromkeys(message_key(customer, message) for *_, customer, message in page)
        yield b"]"
    yield b',"clicks":['
    separator = b""
    async for item in _clicks(services, list(messages)):
        yield separator + item
        separator = b","
    yield b"]}"


def _person(known: Customer, balance: Balance) -> SubjectResponse:
    return SubjectResponse(
        numbers=[customer_id(number) for number in (known.customer, *known.former)],
        confirmed=known.confirmed,
        verified=known.verified,
        spendable=balance.spendable,
        held=balance.held,
        pending=balance.pending,
    )


async def _pages(
    services: Services, section: _Section, of: int, numbers: Sequence[int], names: Sequence[Any]
) -> AsyncIterator[list[Any]]:
    after = section.begin
    while page := await services.pool.fetch(section.statement, of, numbers, after, PAGE_ROWS, *names):
        yield page
        after = page[-1][0]


async def _clicks(services: Services, messages: Sequence[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(messages), _MESSAGES_AT_ONCE):
        for row in await services.pool.fetch(_CLICKS, messages[start : start + _MESSAGES_AT_ONCE]):
            yield row[0].encode()
