"""The normal forms of an email address.

    form 1    NFC, trimmed, lower case, its domain in ASCII (IDNA 2008, UTS 46)
    form 2    the same, full-width letters made plain, and only of what is an address: one mailbox, ``local@domain``

Quoted local parts, comments, display names and address literals are addresses to RFC 5322 and not to us: nobody's mailbox is
called so. Where form 2 has an answer, form 1 has the same one, but for full-width letters.
"""

from __future__ import annotations

import re
import unicodedata

import idna

LOCAL_BYTES_MAX = 64
DOMAIN_LENGTH_MAX = 253

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")
_ASCII = re.compile(rf"({_ATOM}+(?:\.{_ATOM}+)*)@({_DOMAIN.pattern})")
# What nearly everybody's address looks like: of at most 64 characters, it breaks none of the bounds. No possessive group:
# Python 3.11.2 takes back too little of one that fails in the middle, and an empty label would pass.
_PLAIN = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9]+\.)+[a-z]{2,63}")
# RFC 6531 has any character beyond ASCII in an atom. Letters, marks and digits are what people have there.
_LOCAL = re.compile(rf"(?:{_ATOM}|[^\x00-\x7f])+(?:\.(?:{_ATOM}|[^\x00-\x7f])+)*")
_FORM_1 = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")


def normal_email(text: str) -> str | None:
    """Form 2 of an email address, or ``None`` if it is none."""
    email = text.strip().lower()
    if len(email) <= LOCAL_BYTES_MAX and _PLAIN.fullmatch(email):
        return email
    if not email.isascii():
        email = unicodedata.normalize("NFC", "".join([_plain(character) for character in email]).lower())
    local, at, domain = email.rpartition("@")
    if not domain.isascii():
        encoded = None if _has_symbols(domain) else _ascii_domain(domain)
        if encoded is None:
            return None
        domain = encoded
    if not at or len(local.encode()) > LOCAL_BYTES_MAX or len(domain) > DOMAIN_LENGTH_MAX:
        return None
    if "xn--" in domain and _ascii_domain(domain) != domain:
        return None
    email = f"{local}@{domain}"
    if email.isascii():
        return email if _ASCII.fullmatch(email) else None
    is_address = _LOCAL.fullmatch(local) is not None and _DOMAIN.fullmatch(domain) is not None
    return email if is_address and all(_is_in_names(character) for character in local) else None


def former_email(text: str) -> str | None:
    """Form 1 of an email address, or ``None`` if it had none."""
    email = text.strip().lower()
    if _FORM_1.fullmatch(email):
        return email
    local, _, domain = unicodedata.normalize("NFC", email).rpartition("@")
    encoded = _ascii_domain(domain)
    if not local or encoded is None or "." not in encoded:
        return None
    return None if any(unicodedata.category(character)[0] in "CZ" for character in local) else f"{local}@{encoded}"


def _ascii_domain(domain: str) -> str | None:
    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None


def _plain(character: str) -> str:
    """A full-width or half-width character as it is written elsewhere."""
    is_a_width = unicodedata.decomposition(character).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", character) if is_a_width else character


def _has_symbols(domain: str) -> bool:
    """Whether a domain has a footnote mark, an enclosed letter or the like, which UTS 46 would make a plain character."""
    return any(unicodedata.category(character) in {"No", "Nl", "So"} for character in domain)


def _is_in_names(character: str) -> bool:
    return character.isascii() or unicodedata.category(character)[0] in "LMN"
