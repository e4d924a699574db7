"""Mails that people send back, however a provider hands them on: their headers, their text, and the event that they are.

    reply         the event of a mail
    headers_of    headers as a mapping, from pairs; ``headers_in`` from raw lines
    read_mime     the headers and the text of a whole mail
    is_proved     whether the provider found that a mail is from its sender

A mail that has no plain text has that of its HTML.
"""

from __future__ import annotations

import email.errors
import email.header
import email.parser
import email.policy
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.message import Message

import msgspec

from service.providers.email.html_text import text_of
from service.providers.forms import text_in
from service.providers.reading import ID_CHARACTERS_MAX, Broken, key_of, ours_in_text, storable
from service.providers.replies import auto_reply_in
from service.providers.types import EventKind, Identity, IdentityKind, ProviderEvent

_HEADERS_MAX = 200
_HEADER_CHARACTERS_MAX = 2_000
_MIME_BYTES_MAX = 1 << 20
_ADDRESS = re.compile(r"<([^<>\s]{1,300}@[^<>\s]{1,300})>|([^<>\s,;\"]{1,300}@[^<>\s,;\"]{1,300})")
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as a provider describes it."""

    sender: str | None
    recipient: str | None
    headers: Mapping[str, str]
    text: str | None
    stripped_text: str | None = None
    received_at: datetime | None = None
    provider_message_id: str | None = None
    provider_kind: str = "inbound"
    opaque: str | None = None
    """What the provider found behind the plus of the recipient's address."""
    html: str | None = None
    """Its text counts if there is no plain one."""
    is_proved: bool | None = None
    """Whether the provider found that it is from its sender; None: it does not say."""


def reply(mail: Mail) -> ProviderEvent:
    """The event of a mail. Raises ``Broken`` if it does not say who sent it."""
    sender = address_in(mail.sender or mail.headers.get("from", ""))
    if sender is None:
        raise Broken("from", "is no address")
    own_id = _id_in(mail.headers.get("message-id")) or mail.provider_message_id
    if own_id is None:
        raise Broken("message-id", "is missing")
    text, stripped = _words(mail)
    token, tags = ours_in_text(mail.opaque or _behind_plus(mail.recipient or mail.headers.get("to", "")))
    return ProviderEvent(
        natural_key=key_of("mail", own_id, sender),
        kind=EventKind.REPLIED,
        provider_kind=mail.provider_kind,
        channel="email",
        occurred_at=mail.received_at,
        recipients=(Identity(IdentityKind.EMAIL, sender),),
        token=token,
        tags=tags,
        provider_message_id=mail.provider_message_id or own_id,
        in_reply_to=_id_in(mail.headers.get("in-reply-to")) or _last_id_in(mail.headers.get("references")),
        auto_reply=auto_reply_in(mail.headers),
        text=text,
        stripped_text=stripped,
        is_sender_proved=mail.is_proved,
    )


def _words(mail: Mail) -> tuple[str | None, str | None]:
    """The text, and what the provider made of it, which is nothing if it had none."""
    if mail.html and not (mail.text or "").strip():
        return storable(text_of(mail.html)), None
    return mail.text, mail.stripped_text


def is_proved(sender: str | None, spf: str | None, envelope_sender: str | None, dkim: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether a mail is from the domain of its sender: by SPF, if that is of the same domain, or by a signature (DKIM) of it.

    Only ``pass`` is one. A signature of another domain says that somebody sent it, and not who.
    """
    domain = _domain(sender)
    passed = [_domain(envelope_sender)] if _is_pass(spf) else []
    passed += [signer.lower() for signer, result in dkim if _is_pass(result)]
    return bool(domain) and any(_is_within(domain, each) or _is_within(each, domain) for each in passed if each)


def _is_pass(result: str | None) -> bool:
    return (result or "").strip().lower() == "pass"


def _domain(address: str | None) -> str:
    return (address_in(address or "") or "").rpartition("@")[2].lower().rstrip(".")


def _is_within(domain: str, other: str) -> bool:
    # A domain of one label, such as com, is nobody's.
    return domain == other or ("." in other and domain.endswith(f".{other}"))


def address_in(text: str) -> str | None:
    """The address in a header such as ``From``, of several the first."""
    found = _ADDRESS.search(_UNSTORABLE.sub("", text[:_HEADER_CHARACTERS_MAX]))
    address = found and (found[1] or found[2])
    return address if address and len(address) <= ID_CHARACTERS_MAX and address.isprintable() else None


def headers_of(pairs: Iterable[Iterable[object]]) -> dict[str, str]:
    """Headers by name in lower case, the first of each; what is no text is left out."""
    found: dict[str, str] = {}
    for count, (name, value) in enumerate(pairs):
        if count == _HEADERS_MAX:
            break
        if isinstance(name, str) and isinstance(value, str):
            found.setdefault(name.lower(), _UNSTORABLE.sub("\ufffd", value[:_HEADER_CHARACTERS_MAX]))
    return found


def headers_in(text: str) -> dict[str, str]:
    """Headers from their raw lines."""
    return read_mime(text.encode(errors="replace"))[0]


def read_mime(raw: bytes) -> tuple[dict[str, str], str | None]:
    """The headers of a mail, and its first plain text, or that of its HTML."""
    try:
        message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw[:_MIME_BYTES_MAX])
        headers = headers_of((name, _decoded(str(value))) for name, value in message.items()[:_HEADERS_MAX])
        return headers, _text(message)
    except RecursionError:
        return {}, None


def _text(message: Message) -> str | None:
    plain = _first(message, "text/plain")
    if plain is not None and plain.strip():
        return storable(plain)
    written = _first(message, "text/html")
    return storable(plain if written is None else text_of(written))


def _first(message: Message, content_type: str) -> str | None:
    """The first part of a type that is no attachment."""
    for part in message.walk():
        is_meant = part.get_content_type() == content_type and not part.is_multipart()
        if is_meant and part.get_content_disposition() != "attachment":
            payload = part.get_payload(decode=True)
            return text_in(payload, part.get_content_charset("utf-8")) if isinstance(payload, bytes) else ""
    return None


def _decoded(value: str) -> str:
    short = value[:_HEADER_CHARACTERS_MAX]
    try:
        return str(email.header.make_header(email.header.decode_header(short)))
    except (email.errors.MessageError, LookupError, ValueError):
        return short


def _behind_plus(recipient: str) -> str | None:
    local = (address_in(recipient) or "").rpartition("@")[0]
    return local.partition("+")[2] or None


def _id_in(value: str | None) -> str | None:
    if not value:
        return None
    found = _MESSAGE_ID.search(value)
    bare = found[1] if found else value.strip()
    return bare if bare.isprintable() and 0 < len(bare) <= ID_CHARACTERS_MAX else None


def _last_id_in(references: str | None) -> str | None:
    found = _MESSAGE_ID.findall(references or "")
    return found[-1] if found else None
