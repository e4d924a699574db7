"""Bodies that are forms: `application/x-www-form-urlencoded`, and `multipart/form-data` where a mail has attachments.

    form_of     the fields as texts, in order
    fields_of   the fields by name, to be read as an object
    parts_of    the fields as bytes, for a provider that says the character set of each
    without_files   a request with the fields alone: what a mail has attached is read by nobody
    text_in     bytes in a character set that somebody names

What is no form is ``Unreadable``.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec
import multipart

from service.providers.reading import Fields, Unreadable
from service.providers.types import ProviderRequest

_FIELDS_MAX = 1_000
_DISPOSITION = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
MULTIPART = "multipart/form-data"
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
# What mail is written in. Python knows more codecs, and some of them take quadratic time.
_CHARACTER_SETS = re.compile(
    r"utf-?(8|16|32)([bl]e)?|us-ascii|ascii|latin-?1|iso-?8859-?\d+|(windows|cp)-?\d+|koi8-[ru]|gb(2312|k|18030)|big5(-hkscs)?"
    r"|euc-(jp|kr)|shift_jis|iso-2022-(jp|kr)|tis-620"
)


def is_multipart(request: ProviderRequest) -> bool:
    """Whether the body is `multipart/form-data`."""
    return request.headers.get("content-type", "").lower().startswith(MULTIPART)


def form_of(request: ProviderRequest) -> list[tuple[str, str]]:
    """The fields of a form in order, without its files."""
    if is_multipart(request):
        return [(name, text_in(value, "utf-8")) for name, value in parts_of(request)]
    try:
        return parse_qsl(request.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except UnicodeDecodeError:
        raise Unreadable("", "is not UTF-8") from None
    except ValueError:
        raise Unreadable("", "is not a form, or has too many fields") from None


def fields_of(request: ProviderRequest) -> Fields:
    """The fields of a form by name; of several with one name, the last."""
    return Fields(dict(form_of(request)))


def parts_of(request: ProviderRequest) -> list[tuple[str, bytes]]:
    """The fields of `multipart/form-data`, as they came; files are left out."""
    boundary = _BOUNDARY.search(request.headers.get("content-type", ""))
    try:
        return _parts(request.body, boundary[1] or boundary[2] if boundary else "")
    except (ValueError, LookupError):
        raise Unreadable("", "is not multipart/form-data") from None


def without_files(request: ProviderRequest) -> ProviderRequest:
    """A request of `multipart/form-data` with its fields alone; any other as it is. Raises ``Unreadable``."""
    boundary = _BOUNDARY.search(request.headers.get("content-type", "")) if is_multipart(request) else None
    if boundary is None:
        return request
    # What stood between two boundaries has none in it.
    edge = (boundary[1] or boundary[2]).encode("latin-1")
    pieces = [_DISPOSITION % (edge, name.replace('"', "%22").encode(), value) for name, value in parts_of(request)]
    return msgspec.structs.replace(request, body=b"".join([*pieces, b"--%b--\r\n" % edge]))


def text_in(raw: bytes, character_set: str) -> str:
    """Bytes as a text; what is not in the character set, or in none that we read, is replaced."""
    known = character_set.lower() if _CHARACTER_SETS.fullmatch(character_set.lower()) else "utf-8"
    try:
        return raw.decode(known, "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def _parts(body: bytes, boundary: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with multipart.PushMultipartParser(boundary, max_segment_count=_FIELDS_MAX) as parser:
        segment, pieces = None, bytearray()
        for event in parser.parse(body):
            if isinstance(event, multipart.MultipartSegment):
                segment, pieces = event, bytearray()
            elif event:
                pieces += event
            elif segment is not None and segment.name and segment.filename is None:
                found.append((segment.name, bytes(pieces)))
    return found
