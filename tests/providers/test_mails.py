"""What people write back by mail: the text of HTML, and whether it is from who it says."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from service.providers.adapter import parse
from service.providers.email.html_text import HTML_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, text_of
from service.providers.email.mails import is_proved, read_mime
from service.providers.registry import ADAPTERS
from service.providers.replies import content_of, is_stop
from service.providers.samples.occasion import Occasion, form_request, multipart_request
from service.providers.samples.simulate import SAMPLES
from service.providers.types import ProviderEvent, ProviderRequest

GMAIL = """<html><head><style>p {color: red}</style><title>Re: Espresso</title></head><body>
<div dir="ltr">Yes, <b>please</b> &amp;
thank you!<br><br>Anna</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Mon, 30 Nov 2026 at 12:00, Shop
&lt;<a href="mailto:shop@shop.example">shop@shop.example</a>&gt; wrote:<br></div><blockquote class="gmail_quote">
<p>Answer and earn.</p><blockquote>STOP</blockquote></blockquote></div></body></html>"""
OUTLOOK = """<p class=MsoNormal>Gern, danke.<o:p></o:p></p><div style='border-top:solid #E1E1E1'><p><b>Von:</b> Shop<br>
<b>Gesendet:</b> Montag<br><b>An:</b> Anna<br><b>Betreff:</b> Espresso</p></div><p>Antworten und sammeln.</p>"""


def test_the_text_of_html_is_what_the_person_wrote() -> None:
    assert content_of(text_of(GMAIL)) == "Yes, please & thank you!\n\nAnna"
    assert content_of(text_of(OUTLOOK)) == "Gern, danke."
    assert is_stop(content_of(text_of("<div>STOP</div><blockquote>Yes</blockquote>")))


def test_nothing_above_a_quote_is_nothing() -> None:
    assert content_of(text_of("<blockquote>Answer and <i>earn</i>.<p>Today</blockquote>")) == ""
    assert text_of("<script>alert('yes')</script><style>yes</style>") == ""


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<div>",
        "<blockquote>",
        "</p>",
        "<!--",
        "<![CDATA[",
        "&",
        "&#9",
        "<a b='",
        "<svg><p>",
        "\x00",
        "\ud800",
        "<p>ä",
    ],
)
def test_hostile_html_costs_little_and_says_what_it_says(piece: str) -> None:
    begun = time.process_time()
    text = text_of(piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 5
    assert len(text) <= TEXT_CHARACTERS_MAX
    assert len(text_of("x" * 200_000)) == HTML_CHARACTERS_MAX


def test_a_whole_mail_has_its_plain_text_or_that_of_its_html() -> None:
    html = b"--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>Sch\xf6n</p>\r\n"
    head = b"From: a@b.example\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    plain = b"--b\r\nContent-Type: text/plain\r\n\r\n%b\r\n"
    assert read_mime(head + html + b"--b--")[1] == "Schön"
    assert read_mime(head + plain % b"Fine" + html + b"--b--")[1] == "Fine"
    assert read_mime(head + plain % b"  " + html + b"--b--")[1] == "Schön"


def of_html(provider: str) -> ProviderRequest:
    """The reply of a provider's sample, without its plain text."""
    request = SAMPLES[provider]["replied"](Occasion())
    html = "<p>Yes, please!</p><blockquote>Answer and earn.</blockquote>"
    match provider:
        case "sendgrid":
            fields = {"from": "Anna <anna@example.com>", "html": html, "headers": "Message-ID: <m@customer.example>"}
            return multipart_request(Occasion(), fields)
        case "mailgun":
            fields = {"sender": "anna@example.com", "body-html": html, "body-plain": "", "stripped-text": "", "token": "t"}
            headers = json.dumps([["Message-ID", "<m@customer.example>"]])
            return form_request(Occasion(), {**fields, "message-headers": headers})
        case "postmark":
            body = {**json.loads(request.body), "TextBody": "", "StrippedTextReply": "", "HtmlBody": html}
            return msgspec.structs.replace(request, body=json.dumps(body).encode())
        case "brevo":
            body = json.loads(request.body)
            body["items"][0] |= {"RawTextBody": None, "ExtractedMarkdownMessage": "", "RawHtmlBody": html}
            return msgspec.structs.replace(request, body=json.dumps(body).encode())
        case _:
            body = json.loads(request.body)
            body[0]["msys"]["relay_message"]["content"] |= {"text": None, "html": html}
            return msgspec.structs.replace(request, body=json.dumps(body).encode())


@pytest.mark.parametrize("provider", ["sendgrid", "mailgun", "postmark", "brevo", "sparkpost"])
def test_a_reply_that_is_html_alone_says_something(provider: str) -> None:
    (event,) = parse(ADAPTERS[provider], of_html(provider)).events
    assert content_of(event.text, event.stripped_text) == "Yes, please!"


ANNA = "Anna <anna@mail.example>"
PROOFS: list[tuple[tuple[Any, ...], bool]] = [
    ((ANNA, "pass", "anna@mail.example"), True),
    ((ANNA, "Pass", "bounces@lists.mail.example"), True),
    ((ANNA, "pass", "forger@elsewhere.example"), False),
    ((ANNA, "softfail", "anna@mail.example"), False),
    ((ANNA, "none", "anna@mail.example"), False),
    ((ANNA, None, None), False),
    ((ANNA, "fail", None, [("mail.example", "pass")]), True),
    ((ANNA, "fail", None, [("elsewhere.example", "pass"), ("mail.example", "fail")]), False),
    ((ANNA, "fail", None, [("example", "pass")]), False),
    ((ANNA, "fail", None, [("notmail.example", "pass")]), False),
    (("no address", "pass", "anna@mail.example"), False),
    ((None, "pass", None, [("", "pass")]), False),
]


@pytest.mark.parametrize(("found", "proved"), PROOFS)
def test_only_a_pass_for_the_senders_domain_proves_them(found: tuple[Any, ...], proved: bool) -> None:
    assert is_proved(*found) is proved


def reply_of(provider: str, **changed: str) -> ProviderEvent:
    """A reply with what the provider found of its sender."""
    request = SAMPLES[provider]["replied"](Occasion())
    if provider == "ses":
        body = json.loads(request.body)
        message = json.loads(body["Message"])
        message["receipt"] |= {name: {"status": status} for name, status in changed.items()}
        body["Message"] = json.dumps(message)
        request = msgspec.structs.replace(request, body=json.dumps(body).encode())
    elif provider == "mailgun":
        fields = {"sender": "anna@example.com", "body-plain": "Yes", "token": "t", **changed}
        request = form_request(Occasion(), {**fields, "message-headers": json.dumps([["Message-ID", "<m@customer.example>"]])})
    else:
        fields = {"from": "Anna <anna@example.com>", "text": "Yes", "headers": "Message-ID: <m@customer.example>", **changed}
        request = multipart_request(Occasion(), fields)
    (event,) = parse(ADAPTERS[provider], request).events
    return event


def test_what_a_provider_found_of_the_sender_is_read() -> None:
    envelope = json.dumps({"from": "anna@example.com", "to": ["x@in.shop.example"]})
    assert reply_of("sendgrid").is_sender_proved is None
    assert reply_of("sendgrid", SPF="pass", dkim="none", envelope=envelope).is_sender_proved is True
    assert reply_of("sendgrid", SPF="pass", dkim="none", envelope="{").is_sender_proved is False
    assert reply_of("sendgrid", SPF="fail", dkim="{@example.com : pass}").is_sender_proved is True
    assert reply_of("sendgrid", SPF="fail", dkim="{@forger.example : pass}", envelope=envelope).is_sender_proved is False
    assert reply_of("mailgun").is_sender_proved is None
    assert reply_of("mailgun", **{"X-Mailgun-Spf": "Pass"}).is_sender_proved is True
    assert reply_of("mailgun", **{"X-Mailgun-Spf": "Neutral"}).is_sender_proved is False
    assert reply_of("ses").is_sender_proved is None
    assert reply_of("ses", spfVerdict="PASS", dmarcVerdict="FAIL").is_sender_proved is True
    assert reply_of("ses", spfVerdict="GRAY", dmarcVerdict="PASS").is_sender_proved is True
    assert reply_of("ses", spfVerdict="FAIL", dmarcVerdict="FAIL", dkimVerdict="PASS").is_sender_proved is False
