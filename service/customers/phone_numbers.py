"""The normal forms of a telephone number: E.164, a plus sign and 7 to 15 digits, country code first.

    form 1    blanks, brackets, dots and hyphens dropped
    form 2    as people write it: digits of any script and width, any separators, ``00`` for the plus sign, ``tel:``, invisible
              characters; and one spelling where a numbering plan has two

What makes two spellings one number is the national plan (ITU-T E.164, and the plans filed with the ITU):

- A trunk prefix, which is dialled only within the country, is dropped, in brackets or not. In nearly all plans no number begins
  with 0, so a 0 there is a trunk prefix. ``_BEGIN_WITH_ZERO`` are those where it belongs to the number, as in Italy.
- Mexico: the 1 that mobile numbers had after +52 until 2019, and have in WhatsApp, is dropped.
- Argentina: the 9 that is dialled before mobile numbers from abroad, and the 15 within the country, are dropped.
- Brazil: a mobile number without its ninth digit (until 2016, and in WhatsApp) gets it.
- Benin: a number of before November 2024 gets its 01.

An extension, letters for digits, the mark of a footnote, or a number without its country code is no number of a person that we
could tell from others. The plans are written down here and not asked of a library: what a number becomes must not change with a
release of it. A test holds them to libphonenumber's.
"""

from __future__ import annotations

import re
import unicodedata

_DIGITS_MIN, _DIGITS_MAX = 7, 15
_WRITTEN_MAX = 64

_COUNTRY_CODE = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|21[12368]|22[0-9]|23[0-9]|24[0-9]|25[0-8]|26[0-9]|29[01789]"
    r"|35[0-9]|37[0-9]|38[0-35-79]|42[013]|50[0-9]|59[0-9]"
    r"|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|8[78]0|88[1-368]|878"
    r"|96[0-8]|97[0-79]|99[2-68]"
)
"""Those that are assigned. A new one may be added to a form that exists: what was refused may be taken."""

_BEGIN_WITH_ZERO = frozenset({"39", "225", "226", "227", "229", "241", "242", "247", "378", "379", "800", "881", "888", "992"})
"""Where a number may begin with 0: a 0 after the country code is kept."""

_LENGTHS = {"1": (10,), "7": (10,), "52": (10,), "54": (10,), "55": (10, 11)}
"""How many digits follow the country code, where a rule below depends on it."""

_TRUNKS = {
    "1": re.compile(r"1(?=[0-9]{10}$)"),
    "7": re.compile(r"8(?=[0-9]{10}$)"),
    "36": re.compile(r"06"),
    "52": re.compile(r"(?:01|04[45])(?=[0-9]{10}$)"),
    "225": re.compile(r"0(?=[0-9]{10}$)"),
    "226": re.compile(r"0(?=[0-9]{8}$)"),
    "227": re.compile(r"0(?=[0-9]{8}$)"),
    "229": re.compile(r"0(?=[0-9]{10}$)"),
    "241": re.compile(r"0(?=[0-9]{8}$)"),
    "242": re.compile(r"0(?=[0-9]{9}$)"),
    "370": re.compile(r"[08](?=[0-9]{8}$)"),
    "375": re.compile(r"80?(?=[0-9]{9}$)"),
    "692": re.compile(r"1(?=[0-9]{7}$)"),
    "992": re.compile(r"0(?=[0-9]{9}$)"),
    "993": re.compile(r"8(?=[0-9]{8}$)"),
}
"""Trunk prefixes that are not a 0, or a 0 where numbers may begin with one: where they make the number too long."""

_NO_ZERO_IS_WRITTEN = _BEGIN_WITH_ZERO | {"1", "7"}
"""Where nobody writes a 0 that is not part of the number."""

_SEPARATORS = re.compile(r"[\s()\[\]./~\u00b7\u2022\u2212\u223c\u30fc-]")
_WRITTEN = re.compile(r"(?:\+|00)([1-9][0-9]+)")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_FORM_1_PUNCTUATION = str.maketrans("", "", " ().-")


def normal_phone(text: str) -> str | None:
    """Form 2 of a telephone number, or ``None`` if it is none."""
    if len(text) > _WRITTEN_MAX:
        return None
    if not _E164.fullmatch(text):
        text = _as_dialled(text)
    dialled = _WRITTEN.fullmatch(text)
    if dialled is None:
        return None
    digits = dialled[1]
    assigned = _COUNTRY_CODE.match(digits)
    if assigned is None:
        return None
    country = assigned[0]
    national = _national(country, digits.removeprefix(country))
    is_number = _DIGITS_MIN <= len(country) + len(national) <= _DIGITS_MAX
    is_in_plan = len(national) in _LENGTHS.get(country, (len(national),))
    begins_well = country in _BEGIN_WITH_ZERO or not national.startswith("0")
    return f"+{country}{national}" if is_number and is_in_plan and begins_well else None


def former_phones(text: str, normal: str) -> list[str]:
    """What the number ``normal`` may be stored as under form 1: as ``text`` was spelled, and as others spell it."""
    assigned = _COUNTRY_CODE.match(normal, 1)
    assert assigned is not None
    country, national = assigned[0], normal[assigned.end() :]
    nationals = [] if country in _NO_ZERO_IS_WRITTEN else [f"0{national}"]
    match country:
        case "52":
            nationals.append(f"1{national}")
        case "54":
            nationals.append(f"9{national}")
        case "55" if len(national) == 11 and national[2] == "9" and national[3] in "6789":
            nationals.append(national[:2] + national[3:])
        case "229" if national.startswith("01"):
            nationals.append(national[2:])
        case _:
            pass
    spelled = former_phone(text)
    formers = [*([] if spelled is None else [spelled]), *(f"+{country}{each}" for each in nationals)]
    return [each for each in dict.fromkeys(formers) if each != normal and _E164.fullmatch(each)]


def former_phone(text: str) -> str | None:
    """Form 1 of a telephone number, or ``None`` if it had none."""
    phone = text.strip().translate(_FORM_1_PUNCTUATION)
    return phone if _E164.fullmatch(phone) else None


def _as_dialled(text: str) -> str:
    """A number as it is written, without what is only there for the eye: a plus sign and digits, if it is one."""
    written = "".join([_plain(character) for character in text]).strip()
    if written[:4].lower() == "tel:":
        written = written[4:]
    return _SEPARATORS.sub("", written)


def _plain(character: str) -> str:
    """A character in ASCII where it stands for a digit, a plus sign, a hyphen or nothing."""
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":
        return ""
    if category == "No":
        # The mark of a footnote, or a number in a circle or brackets: whether it belongs to the number nobody can tell.
        return character
    return "-" if category == "Pd" else unicodedata.normalize("NFKC", character)


def _national(country: str, national: str) -> str:
    """A national number as its plan has it, however it was written."""
    trunk = _TRUNKS.get(country)
    if trunk is not None:
        national = trunk.sub("", national, count=1) if trunk.match(national) else national
    if country not in _BEGIN_WITH_ZERO and national.startswith("0"):
        national = national[1:]
    match country:
        case "52" if len(national) == 11:
            return national.removeprefix("1")
        case "54":
            return _argentine(national)
        case "55" if len(national) == 10 and national[2] in "6789":
            return f"{national[:2]}9{national[2:]}"
        case "229" if len(national) == 8:
            return f"01{national}"
        case _:
            return national


def _argentine(national: str) -> str:
    """Area code and number. With a 15 between them, which is dialled before mobile numbers within the country, they are 12."""
    if len(national) in {11, 13}:
        national = national.removeprefix("9")
        national = national.removeprefix("0") if len(national) == 13 else national
    if len(national) != 12:
        return national
    area = 2 if national.startswith("11") else next((n for n in (3, 4) if national[n : n + 2] == "15"), None)
    if area is None or national[area : area + 2] != "15":
        return national
    return national[:area] + national[area + 2 :]
