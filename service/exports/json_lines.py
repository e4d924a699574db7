"""transfers.jsonl and accounts.jsonl: an object a line, which the database writes. Transfers are in detail, as in
`transfer_details`; what is not known is null, and money is text, so that no reader rounds it.
"""

from __future__ import annotations

from typing import TextIO

from service.exports import accounts_csv, transfer_details
from service.exports.account_names import by_number
from service.exports.book_at_cut import BookAtCut
from service.exports.totals import Totals

_UNQUOTED = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}
"""As it is: JSON has no control characters, so that nothing needs quotes."""
_OBJECTS = "SELECT row_to_json(line) FROM ({}) AS line"


async def write_transfers(book: BookAtCut, out: TextIO) -> Totals:
    """Write the log up to the cut, in detail."""
    rows, forms = _OBJECTS.format(transfer_details.ROWS), transfer_details.forms(book, for_spreadsheet=False)
    return await book.copy(rows, transfer_details.SUMS, transfer_details.pages(book), forms, out, _UNQUOTED)


async def write_accounts(book: BookAtCut, out: TextIO) -> Totals:
    """Write every account that was used up to the cut."""
    names = by_number(book.campaigns)
    rows, forms = _OBJECTS.format(accounts_csv.ROWS), (names, names)
    return await book.copy(rows, accounts_csv.SUMS, book.account_pages(), forms, out, _UNQUOTED)
