"""Codes: what stands for a link where a token is too long, in an SMS and in print.

    code_of        the code of something, always the same under the same key
    normal_code    a code as it is looked up, however it was typed
    code_in        the code in a part of an address
    scanned_code   the code in what a scanner or a person put into a field
    look_alikes    the codes that a typed one may stand for
    code_hash      what it is looked up by

A code is 80 bits in base32 (RFC 4648): 16 capital letters and digits, so that a QR code of its address can be written in the
alphanumeric mode, which is half the size. The bits are the start of an HMAC-SHA-256, and nobody without the key can tell them
from random ones; so a code need not be kept to be given again. Kept is only its hash: who reads the table can use none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import math
import operator
import re
import unicodedata

from service.crypto.derived_keys import derived_key
from service.settings import LinkKey

BITS = 80
CODE_CHARACTERS = BITS // 5
HASH_BYTES = 16
_CODE = re.compile(r"([A-Za-z0-9]{16})(?![A-Za-z0-9])")
_SYMBOLOGY = re.compile(r"\A\][A-Za-z][0-9A-Za-z]")
"""What a scanner may put first: the kind of code it read (ISO/IEC 15424)."""
_CODE_ALONE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{16}(?![A-Za-z0-9])")
_NOT_OF_A_CODE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2010-\u2015\u2060\u2212\ufeff+_-]+")
# Letters of other alphabets that look like ours: who types on such a keyboard sees no difference.
_OF_OTHER_ALPHABETS = str.maketrans(
    "АВЕЗКМНОРСТУХІЅЈ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "İ",
    "ABE3KMHOPCTYXISJ" + "ABEZHIKMNOPTYX" + "I",
)

_LOOK_ALIKES = {
    "0": "O",
    "8": "B",
    "9": "GQ",
    "1": "IL",
    "I": "IL",
    "L": "LI",
    "2": "2Z",
    "Z": "Z2",
    "5": "5S",
    "S": "S5",
    "6": "6G",
    "G": "G6",
}
LOOK_ALIKES_MAX = 256
"""So many codes are looked for at most: one with more than eight doubtful letters has to be typed with more care."""


def code_key(key: LinkKey) -> bytes:
    """The key of codes that goes with a link key."""
    return derived_key(key, "code 1")


def code_of(subject: bytes, key: bytes) -> str:
    """The code of ``subject``."""
    return base64.b32encode(hmac.digest(key, subject, "sha256")[: BITS // 8]).decode()


def normal_code(text: str) -> str | None:
    """The code that ``text`` is, if it may be one. What stands behind it belongs to the sentence around it, not to the code."""
    match = _CODE.match(text)
    return match[1].upper() if match else None


_TYPED_CHARACTERS_MAX = 64
"""No code is typed in so many, and most that is asked for is a token."""


def code_in(segment: str) -> str | None:
    """The code that a part of an address is, as it was printed or as somebody typed it."""
    code = normal_code(segment)
    return scanned_code(segment) if code is None and len(segment) <= _TYPED_CHARACTERS_MAX else code


def scanned_code(text: str) -> str | None:
    """The code in what was typed or scanned.

    With spaces and hyphens, in wide letters or those of another alphabet, as the whole address of a QR code, or among words. Of
    several the last one counts: in an address the code stands at the end.
    """
    plain = _SYMBOLOGY.sub("", _in_our_letters(text).strip())
    path = re.split(r"[?#]", plain, maxsplit=1)[0].rstrip("/")
    last = path.rpartition("/")[2]
    for part in (last, path, plain):
        for spelt in (part, _NOT_OF_A_CODE.sub("", part)):
            if found := _CODE_ALONE.findall(spelt):
                return found[-1].upper()
    return None


def _in_our_letters(text: str) -> str:
    """Capital letters and digits as a code has them."""
    capitals = unicodedata.normalize("NFKC", text).upper().translate(_OF_OTHER_ALPHABETS)
    return capitals if capitals.isascii() else "".join(map(_ascii_digit, capitals))


def _ascii_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def look_alikes(code: str) -> list[str]:
    """What a code may have been before somebody typed it: itself first, then those that differ in the fewest letters."""
    choices = [_LOOK_ALIKES.get(letter, letter) for letter in code]
    if math.prod(map(len, choices)) > LOOK_ALIKES_MAX:
        choices = [choice if letter not in choice else letter for letter, choice in zip(code, choices, strict=True)]
        if math.prod(map(len, choices)) > LOOK_ALIKES_MAX:
            return [code]
    spelt = {"".join(letters) for letters in itertools.product(*choices)} - {code}
    return [code, *sorted(spelt, key=lambda each: (sum(map(operator.ne, each, code)), each))]


def code_hash(code: str) -> bytes:
    """What a code is looked up by. It has 80 bits of its own, so that no salt is needed."""
    return hashlib.sha256(code.encode()).digest()[:HASH_BYTES]
