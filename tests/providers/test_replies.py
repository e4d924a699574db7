"""What a person said in a reply, and what only looks like it."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest

from service.providers.replies import STOP_WORDS, auto_reply_in, content_of, fingerprint, is_stop

PAGES = Path(__file__).parents[2] / "service/pages/texts"

# How mail programs announce a quote, one or more for each language of the pages.
ATTRIBUTIONS = {
    "en": ["On Mon, 30 Nov 2026 at 12:00, Shop <shop@shop.example> wrote:", "On 30 Nov 2026, at 12:00, Shop wrote:"],
    "de": ["Am Mo., 30. Nov. 2026 um 12:00 Uhr schrieb Shop <shop@shop.example>:", "Am 30.11.26 um 12:00 schrieb Shop:"],
    "fr": ["Le lun. 30 nov. 2026 à 12:00, Shop <shop@shop.example> a écrit :", "Le 30 nov. 2026 à 12:00, Shop a écrit\xa0:"],
    "es": ["El lun, 30 nov 2026 a las 12:00, Shop (<shop@shop.example>) escribió:"],
    "it": ["Il giorno lun 30 nov 2026 alle ore 12:00 Shop <shop@shop.example> ha scritto:"],
    "nl": [
        "Op ma 30 nov 2026 om 12:00 schreef Shop <shop@shop.example>:",
        "Op 30 nov. 2026 heeft Shop het volgende geschreven:",
    ],
    "pt": ["Em seg., 30 de nov. de 2026 às 12:00, Shop <shop@shop.example> escreveu:", "A 30/11/2026, Shop escreveu:"],
    "ar": ["في الاثنين، ٣٠ نوفمبر ٢٠٢٦ في ١٢:٠٠ كتب Shop <shop@shop.example>:"],
    "any": ["2026-11-30 12:00 GMT+01:00 Shop <shop@shop.example>:"],
}
HEADER_BLOCKS = [
    "From: Shop\nSent: Monday\nTo: Anna\nSubject: Espresso",
    "*Von:* Shop\n*Gesendet:* Montag\n*An:* Anna\n*Betreff:* Espresso",
    "De : Shop\nEnvoyé : lundi\nÀ : Anna\nObjet : Espresso",
    "De: Shop\nEnviado el: lunes\nPara: Anna\nAsunto: Espresso",
    "Da: Shop\nInviato: lunedì\nA: Anna\nOggetto: Espresso",
    "Van: Shop\nVerzonden: maandag\nAan: Anna\nOnderwerp: Espresso",
    "De: Shop\nEnviada em: segunda\nPara: Anna\nAssunto: Espresso",
    "من: Shop\nالتاريخ: الاثنين\nإلى: Anna\nالموضوع: Espresso",
]
SEPARATORS = [
    "-----Original Message-----", "-----Ursprüngliche Nachricht-----", "-----Message d'origine-----",
    "-----Mensaje original-----", "-----Messaggio originale-----", "-----Oorspronkelijk bericht-----",
    "-----Mensagem original-----", "-----الرسالة الأصلية-----",
    "---------- Forwarded message ---------", "________________________________",
]  # fmt: skip
SIGN_OFFS = [
    "-- ", "--", "Sent from my iPhone", "Get Outlook for iOS", "Von meinem iPhone gesendet", "Envoyé de mon iPhone",
    "Enviado desde mi iPhone", "Inviato da iPhone", "Verstuurd vanaf mijn iPhone", "Enviado do meu iPhone",
    "أرسلت من الـ iPhone",
]  # fmt: skip


@pytest.mark.parametrize("attribution", [line for lines in ATTRIBUTIONS.values() for line in lines])
def test_what_is_quoted_is_not_said(attribution: str) -> None:
    assert content_of(f"Yes!\n\n{attribution}\n\n> Answer and earn.\n> Reply now.\n") == "Yes!"
    assert content_of(f"Yes!\n\n{attribution}\n\nAnswer and earn.\nReply now.\n") == "Yes!"


@pytest.mark.parametrize("attribution", [line for lines in ATTRIBUTIONS.values() for line in lines])
def test_an_attribution_may_be_broken_over_lines(attribution: str) -> None:
    first, _, rest = attribution.rpartition(" Shop")
    assert content_of(f"Yes!\n{first}\nShop{rest}\n> Answer and earn.\n") == "Yes!"
    assert content_of(f"Yes!\n\n{first}\nShop{rest}\n> Answer and earn.\n") == "Yes!"


@pytest.mark.parametrize("end", [*HEADER_BLOCKS, *SEPARATORS, *SIGN_OFFS])
def test_a_reply_ends_at_a_forwarded_mail_or_a_signature(end: str) -> None:
    assert content_of(f"Yes, sweet.\r\n\r\n{end}\r\nAnswer and earn.\r\n") == "Yes, sweet."


@pytest.mark.parametrize("end", [*(line for lines in ATTRIBUTIONS.values() for line in lines), *HEADER_BLOCKS, *SEPARATORS])
@pytest.mark.parametrize("above", ["", "\n\n", " \t\n", "\u200b\ufeff\n", "\xa0\n"])
def test_an_empty_reply_above_a_quote_is_empty(above: str, end: str) -> None:
    assert content_of(f"{above}{end}\n> Answer and earn.\n") == ""


def test_an_answer_below_or_between_quotes_is_said() -> None:
    below = "On Monday, Shop <shop@shop.example> wrote:\n> Which one?\n\nThe sweet one.\n"
    between = "> Which one?\nThe sweet one.\n> And when?\nTomorrow.\n"
    assert content_of(below) == "The sweet one."
    assert content_of(between) == "The sweet one.\nTomorrow."


SAID = [
    "I wrote: never again",
    "On the whole I like it",
    "From Monday on it is open",
    "Yes: please",
    "- one\n- two",
    "I said -- no",
    "Note: it is late",
    "Sent from my iPhone was always a strange thing to put below a mail, and this sentence is longer than such a line is.",
]


@pytest.mark.parametrize("said", SAID)
def test_what_only_looks_like_a_quote_is_said(said: str) -> None:
    assert content_of(said) == said


def test_the_providers_stripped_text_comes_first() -> None:
    assert content_of("Yes!\n\nsomething quoted in a way of its own", "Yes!") == "Yes!"
    assert content_of("quoted", "") == ""
    assert content_of("Yes!", "Yes!\n\nSent from my iPhone") == "Yes!"
    assert content_of(None) == ""


def test_our_own_lines_are_not_said() -> None:
    ours = ["Answer and earn 50 points!", "", "  Which one do you like? "]
    assert content_of("Sweet\nANSWER AND EARN 50 POINTS\nWhich one do you   like?\n", ours=ours) == "Sweet"
    assert content_of("Answer and earn 50 points!", ours=ours) == ""


AUTOMATIC: list[tuple[dict[str, str], str | None]] = [
    ({"auto-submitted": "auto-replied"}, "auto-submitted"),
    ({"auto-submitted": "auto-generated; owner-email=x"}, "auto-submitted"),
    ({"auto-submitted": "No"}, None),
    ({"auto-submitted": "no; x"}, None),
    ({"precedence": "Bulk"}, "precedence"),
    ({"precedence": "auto_reply"}, "precedence"),
    ({"precedence": "first-class"}, None),
    ({"x-autoreply": "yes"}, "x-autoreply"),
    ({"x-autorespond": ""}, "x-autorespond"),
    ({"return-path": "<>"}, "return-path"),
    ({"return-path": "<anna@example.com>"}, None),
    ({"list-id": "<news.example>"}, "list-id"),
    ({"x-auto-response-suppress": "All"}, "x-auto-response-suppress"),
    ({"subject": "Automatic reply: Espresso"}, "subject"),
    ({"subject": "Automatische Antwort: Espresso"}, "subject"),
    ({"subject": "Réponse automatique : Espresso"}, "subject"),
    ({"subject": "Respuesta automática: Espresso"}, "subject"),
    ({"subject": "Risposta automatica: Espresso"}, "subject"),
    ({"subject": "Automatisch antwoord: Espresso"}, "subject"),
    ({"subject": "Resposta automática: Espresso"}, "subject"),
    ({"subject": "رد تلقائي: Espresso"}, "subject"),
    ({"subject": "Re: Out of office coffee"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "field"), AUTOMATIC)
def test_a_program_says_that_it_answered(headers: dict[str, str], field: str | None) -> None:
    assert auto_reply_in({"from": "anna@example.com", **headers}) == field


def test_there_are_stop_words_in_every_language_of_the_pages() -> None:
    languages = {file.stem for file in PAGES.glob("*.toml") if tomllib.loads(file.read_text())}
    assert set(STOP_WORDS) == languages


@pytest.mark.parametrize("word", sorted({word for words in STOP_WORDS.values() for word in words}))
def test_a_stop_word_stops_however_it_is_written(word: str) -> None:
    assert is_stop(word)
    assert is_stop(f" {word.upper()}!! ")


STOPS = [
    "STOP", "Stop.", "stop please", "Please STOP", "Stopp, bitte!", "ARRÊT", "arrêtez svp", "BAJA", "baja por favor",
    "Darme de baja.", "Sair", "UITSCHRIJVEN", "Opt-out", "opt out", "Unsubscribe, thanks", "إيقاف", "إلغاء الاشتراك",
    "توقف من فضلك",
]  # fmt: skip


@pytest.mark.parametrize("text", STOPS)
def test_stop_with_a_courtesy_or_an_accent_is_stop(text: str) -> None:
    assert is_stop(text)


NO_STOPS = [
    "", "please", "Do not stop!", "stop by tomorrow", "The end", "Non-stop", "quitting time", "stop " * 200, "👍",
    "parar o carro",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_STOPS)
def test_a_sentence_with_the_word_in_it_is_not_stop(text: str) -> None:
    assert not is_stop(text)


def test_a_fingerprint_is_of_the_words() -> None:
    assert fingerprint("Yes,  please!") == fingerprint("yes please") == fingerprint("YES\nPLEASE")
    assert fingerprint("café") == fingerprint("CAFÉ")
    assert fingerprint("yes") != fingerprint("yesplease")


HOSTILE = ["> " * 30_000, ":" * 60_000, "On " * 20_000 + "wrote:", ("on a wrote\n") * 5_000, "<a@" * 20_000, "\n" * 60_000,
           "From:\n" * 10_000, "x" * 60_000, "\u0301" * 60_000, "ﷺ" * 20_000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_takes_long(text: str) -> None:

    started = time.process_time()
    content_of(text)
    is_stop(text)
    fingerprint(text)
    assert time.process_time() - started < 1
