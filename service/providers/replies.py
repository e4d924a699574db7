"""What a reply says: whether a person wrote it, and what is left of it without quotes, our own text and the signature.

    content_of      the person's own words; empty above a quote is empty
    auto_reply_in   the header that says that a program answered (RFC 3834, and what mail programs set)
    is_stop         whether the words ask us to stop, in the languages of the pages
    is_brief        whether it is so short that many people say the same, whatever they are asked
    fingerprint     equal for two replies that say the same, for whoever counts repetitions

All of it is linear in the text. A reply is cut at 64 KiB before it comes here.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

_LINES_MAX = 2_000
_LINE_CHARACTERS_MAX = 500
_ATTRIBUTION_LINES_MAX = 3
_HEADER_BLOCK_LINES = 5
_SIGN_OFF_CHARACTERS_MAX = 80
BRIEF_CHARACTERS_MAX = 20

_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")
_QUOTED = re.compile(r"\s*[>|｜]")
_NOT_WORDS = re.compile(r"[\W_]+")

# How mail programs announce what they quote, in the languages of the pages. Bounded, so that no line takes long.
_ATTRIBUTIONS = re.compile(
    r"(on\b.{1,400}\bwrote"  # en
    r"|am\b.{1,400}\bschrieb\b.{0,200}"  # de
    r"|le\b.{1,400}\ba écrit"  # fr
    r"|el\b.{1,400}\bescribió"  # es
    r"|il\b.{1,400}\bha scritto"  # it
    r"|op\b.{1,400}\b(schreef\b.{0,200}|heeft\b.{0,200}\bgeschreven)"  # nl
    r"|(em|a|no dia)\b.{1,400}\bescreveu"  # pt
    r"|(في|بتاريخ)\b.{1,400}\bكتبت?\b.{0,200}"  # ar
    r"|\d.{0,400}<[^<>\s]{1,200}@[^<>\s]{1,200}>.{0,40}"  # any language: a date and an address
    r")\s?[:：]",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(r".{0,400}<[^<>\s]{1,200}@[^<>\s]{1,200}>.{0,40}")
_SEPARATORS = frozenset({
    "original message", "forwarded message", "begin forwarded message", "reply above this line",
    "ursprüngliche nachricht", "originalnachricht", "weitergeleitete nachricht",
    "message d'origine", "message original", "message transféré",
    "mensaje original", "mensaje reenviado", "messaggio originale", "messaggio inoltrato",
    "oorspronkelijk bericht", "origineel bericht", "doorgestuurd bericht", "mensagem original", "mensagem encaminhada",
    "الرسالة الأصلية", "رسالة معاد توجيهها",
})  # fmt: skip
_FROM = frozenset({"from", "von", "de", "da", "van", "من"})
_OTHER_HEADERS = frozenset({
    "sent", "date", "to", "subject", "cc", "gesendet", "datum", "an", "betreff", "envoyé", "à", "objet", "enviado",
    "enviado el", "fecha", "para", "asunto", "inviato", "data", "a", "oggetto", "verzonden", "aan", "onderwerp",
    "enviada em", "enviado em",
    "assunto", "تاريخ الإرسال", "التاريخ", "إلى", "الموضوع",
})  # fmt: skip
_SIGN_OFFS = (
    "sent from my", "sent from outlook", "sent from yahoo", "sent via", "get outlook for", "von meinem", "gesendet von",
    "gesendet mit", "diese nachricht wurde von meinem", "envoyé de mon", "envoyé depuis", "télécharger outlook",
    "enviado desde", "enviado de mi", "enviado do meu", "enviado a partir", "obtener outlook", "inviato da", "ottieni outlook",
    "verstuurd vanaf", "verzonden vanaf", "outlook voor", "obter o outlook", "أرسلت من", "أُرسلت من", "تم الإرسال من", "مرسل من",
)  # fmt: skip

STOP_WORDS: dict[str, frozenset[str]] = {
    "en": frozenset({"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "optout", "opt out", "revoke",
                     "remove me", "no more messages"}),
    "de": frozenset({"stopp", "stop", "abmelden", "abbestellen", "austragen", "keine nachrichten mehr", "ende"}),
    "fr": frozenset({"stop", "arret", "arreter", "arretez", "desabonner", "desabonnement", "desinscrire", "desinscription"}),
    "es": frozenset({"stop", "baja", "alto", "parar", "cancelar", "detener", "darme de baja", "darse de baja",
                     "no mas mensajes"}),
    "it": frozenset({"stop", "basta", "annulla", "cancella", "cancellami", "disiscrivimi", "disiscrizione", "rimuovi"}),
    "nl": frozenset({"stop", "stoppen", "afmelden", "uitschrijven", "opzeggen", "geen berichten meer"}),
    "pt": frozenset({"stop", "parar", "pare", "sair", "cancelar", "remover", "descadastrar", "cancelar inscricao"}),
    "ar": frozenset({"توقف", "ايقاف", "قف", "الغاء", "الغاء الاشتراك", "اوقف", "اوقفوا"}),
}  # fmt: skip
"""By language of the pages, in the form of ``_plain``. The whole reply must be one of them, apart from a courtesy."""

_STOPS = frozenset(word for words in STOP_WORDS.values() for word in words)
_COURTESIES = re.compile(
    r"\b(please|pls|thanks|thank you|bitte|danke|s il vous plait|svp|merci|por favor|gracias|per favore|grazie|alstublieft"
    r"|alsjeblieft|bedankt|obrigad[oa]|من فضلك|شكرا)\b"
)
# What Exchange puts in front of the subject of an automatic reply, and what others write there.
_AUTOMATIC_SUBJECTS = (
    "automatic reply", "auto reply", "autoreply", "out of office", "automatische antwort", "abwesenheit", "abwesend",
    "reponse automatique", "absence du bureau", "respuesta automatica", "fuera de la oficina", "risposta automatica",
    "fuori sede", "automatisch antwoord", "afwezig", "resposta automatica", "fora do escritorio", "رد تلقايي", "خارج المكتب",
)  # fmt: skip
_AUTOMATIC_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from", "x-mail-autoreply")
_AUTOMATIC_PRECEDENCE = frozenset({"auto_reply", "bulk", "junk", "list"})
_MAILING_LIST_HEADERS = ("list-id", "list-unsubscribe")


def content_of(text: str | None, stripped: str | None = None, ours: Collection[str] = ()) -> str:
    """The words of the person who replied. ``ours`` are lines of the message that they answer, as we sent them."""
    known = {plain for line in ours if (plain := _plain(line))}
    whole = stripped if stripped is not None else text or ""
    kept = [line for line in _own_lines(_lines(whole)) if not known or _plain(line) not in known]
    return "\n".join(kept).strip()


def auto_reply_in(headers: Mapping[str, str]) -> str | None:
    """The header, by its name in lower case, that says that a program wrote the mail."""
    if headers.get("auto-submitted", "no").partition(";")[0].strip().lower() != "no":
        return "auto-submitted"
    if headers.get("precedence", "").strip().lower() in _AUTOMATIC_PRECEDENCE:
        return "precedence"
    if headers.get("return-path", "").strip() == "<>":
        return "return-path"
    if _plain(headers.get("subject", "")).startswith(_AUTOMATIC_SUBJECTS):
        return "subject"
    if "all" in headers.get("x-auto-response-suppress", "").lower():
        return "x-auto-response-suppress"
    return next((name for name in (*_AUTOMATIC_HEADERS, *_MAILING_LIST_HEADERS) if name in headers), None)


def is_stop(content: str) -> bool:
    """Whether a reply asks for no more messages. A sentence that has such a word in it does not."""
    if len(content) > _LINE_CHARACTERS_MAX:
        return False
    return " ".join(_COURTESIES.sub(" ", _plain(content)).split()) in _STOPS


def is_brief(content: str) -> bool:
    """Whether a reply is as short as the answer to a question: "yes", "number 2", an emoji."""
    return len(_plain(content)) <= BRIEF_CHARACTERS_MAX


def fingerprint(content: str) -> str:
    """A hash of the words, whatever their case, accents and punctuation."""
    return hashlib.sha256(_plain(content).encode(errors="replace")).hexdigest()[:40]


def _lines(text: str) -> list[str]:
    return [_INVISIBLE.sub("", line).rstrip() for line in text.replace("\xa0", " ").splitlines()[:_LINES_MAX]]


def _own_lines(lines: Sequence[str]) -> Iterator[str]:
    """Each line that the person wrote, up to what is quoted whole or to their signature."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if _QUOTED.match(line):
            at += 1
        elif taken := _attribution_lines(lines, at):
            at += taken
            # Someone who answers below the quote marks it line by line; a quote that is not marked goes on to the end.
            if not _is_quoted_next(lines, at):
                return
        elif _ends_reply(lines, at):
            return
        else:
            yield line
            at += 1


def _attribution_lines(lines: Sequence[str], at: int) -> int:
    """Over how many lines somebody is said to have written what follows."""
    joined = ""
    for taken in range(1, _ATTRIBUTION_LINES_MAX + 1):
        if at + taken > len(lines) or not lines[at + taken - 1].strip():
            return 0
        joined = f"{joined} {lines[at + taken - 1].strip()}".strip()
        if len(joined) > 2 * _LINE_CHARACTERS_MAX:
            return 0
        if joined.endswith((":", "：")) and (_ATTRIBUTIONS.fullmatch(joined) or (taken == 1 and _ADDRESSED.fullmatch(joined))):
            return taken
    return 0


def _is_quoted_next(lines: Sequence[str], at: int) -> bool:
    following = next((line for line in lines[at:] if line.strip()), "")
    return bool(_QUOTED.match(following))


def _ends_reply(lines: Sequence[str], at: int) -> bool:
    line = lines[at].strip()
    words = line.strip("-_*=#~–— :").lower()
    if line in {"--", "—"} or (len(line) >= 10 and not line.strip("_")):
        return True
    if words.replace("’", "'") in _SEPARATORS:
        return True
    return (len(line) <= _SIGN_OFF_CHARACTERS_MAX and words.startswith(_SIGN_OFFS)) or _is_header_block(lines, at)


def _is_header_block(lines: Sequence[str], at: int) -> bool:
    """Whether the headers of a mail are written out: the sender's, and two others right below it."""
    if _header_name(lines[at]) not in _FROM:
        return False
    following = [line for line in lines[at + 1 : at + 1 + _HEADER_BLOCK_LINES] if line.strip()]
    return sum(_header_name(line) in _OTHER_HEADERS for line in following) >= 2


def _header_name(line: str) -> str:
    return line[:40].partition(":")[0].strip("* \t").lower() if ":" in line[:40] else ""


def _plain(text: str) -> str:
    """Words only, in lower case and without accents: what somebody types is compared so."""
    decomposed = unicodedata.normalize("NFKD", text[: 128 * _LINE_CHARACTERS_MAX].casefold())
    without_marks = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _NOT_WORDS.sub(" ", without_marks).strip()
