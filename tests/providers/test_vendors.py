"""What is particular to one vendor: vectors that they publish or that follow from their formula, and what they document."""

from __future__ import annotations

import base64
import hmac
import json
import zlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from service.providers.adapter import parse, verify
from service.providers.reading import Fields, key_of, ours_in_text
from service.providers.registry import ADAPTERS
from service.providers.samples.occasion import Occasion
from service.providers.samples.simulate import CERTIFICATES, SAMPLES, secrets_for, simulate
from service.providers.signing import CERTIFICATE_URL
from service.providers.sns import string_to_sign
from service.providers.types import (
    Answer,
    EventKind,
    Fault,
    Identity,
    IdentityKind,
    Machine,
    ProviderEvent,
    ProviderRequest,
    Reply,
    Verdict,
)

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
URL = "https://rewards.example/v1/ingest/src_1"


def found(provider: str, request: ProviderRequest, **secrets: str) -> Verdict:
    """The verdict with one value of each secret."""
    return verify(ADAPTERS[provider], request, {name: [value] for name, value in secrets.items()}, NOW).verdict


def form(url: str, fields: list[tuple[str, str]], signature: str) -> ProviderRequest:
    """A form as Twilio posts it."""
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
    return ProviderRequest("POST", url, headers, urlencode(fields).encode())


def one(provider: str, event: str, occasion: Occasion = Occasion()) -> ProviderEvent:  # noqa: B008 - it is frozen
    """The event that a sample is read as."""
    parsed = parse(ADAPTERS[provider], simulate(provider, event, occasion, NOW))
    assert not parsed.faults
    return parsed.events[0]


def read(provider: str, body: Any, **headers: str) -> list[ProviderEvent]:
    """What a JSON body is read as."""
    request = ProviderRequest("POST", URL, {"content-type": "application/json", **headers}, json.dumps(body).encode())
    parsed = parse(ADAPTERS[provider], request)
    assert not parsed.faults
    return list(parsed.events)


# twilio-python, tests/unit/test_request_validator.py
TWILIO_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
TWILIO_FORM = [
    ("CallSid", "CA1234567890ABCDE"), ("Digits", "1234"), ("From", "+14158675309"), ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]  # fmt: skip
TWILIO_TWICE = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
TWILIO_VECTORS = [
    (TWILIO_URL, TWILIO_FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (TWILIO_URL, TWILIO_TWICE, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
    # Signed without the port that the source was given, with the standard one that it was not, and with its own.
    (TWILIO_URL.replace(".com", ".com:1234"), TWILIO_FORM, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    (TWILIO_URL, TWILIO_FORM, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    (TWILIO_URL.replace("https", "http"), TWILIO_FORM, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    (TWILIO_URL.replace("https", "http").replace(".com", ".com:1234"), TWILIO_FORM, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
]


@pytest.mark.parametrize(("url", "fields", "signature"), TWILIO_VECTORS)
def test_twilios_own_vectors(url: str, fields: list[tuple[str, str]], signature: str) -> None:
    request = form(url, fields, signature)
    assert found("twilio", request, auth_token="12345") is Verdict.VERIFIED
    assert found("twilio", request, auth_token="12346") is Verdict.FORGED
    assert found("twilio", msgspec.structs.replace(request, url=url + "&x=1"), auth_token="12345") is Verdict.FORGED
    assert found("twilio", form(url, [*fields, ("Extra", "1")], signature), auth_token="12345") is Verdict.FORGED


def test_a_port_of_its_own_is_left_out_or_kept_but_is_no_other() -> None:
    url = TWILIO_URL.replace(".com", ".com:1234")
    assert found("twilio", form(url, TWILIO_FORM, "kvajT1Ptam85bY51eRf/AJRuM3w="), auth_token="12345") is Verdict.FORGED


def test_twilio_signs_the_hash_of_json() -> None:
    body = b'{"property": "value", "boolean": true}'
    url = TWILIO_URL + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    request = ProviderRequest("POST", url, {"x-twilio-signature": "a9nBmqA0ju/hNViExpshrM61xv4="}, body)
    assert found("twilio", request, auth_token="12345") is Verdict.VERIFIED
    assert found("twilio", msgspec.structs.replace(request, body=body + b" "), auth_token="12345") is Verdict.FORGED


def test_a_signed_url_without_a_hash_says_nothing_of_json() -> None:
    # The signature of the URL alone, as of a form without fields.
    made = base64.b64encode(hmac.digest(b"12345", TWILIO_URL.encode(), "sha1")).decode()
    request = ProviderRequest("POST", TWILIO_URL, {"x-twilio-signature": made}, b"")
    assert found("twilio", request, auth_token="12345") is Verdict.VERIFIED
    assert found("twilio", msgspec.structs.replace(request, body=b"[]"), auth_token="12345") is Verdict.FORGED


# Computed from the published formula.
def test_computed_vectors() -> None:
    nonce = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    made = "5b56a52158dfd1a9c06c0d01ca528d098f1888fc128c29813fe628ed9d94a3ca"
    signature = {"timestamp": "1529006854", "token": nonce, "signature": made}
    mailgun = ProviderRequest("POST", URL, {}, json.dumps({"signature": signature, "event-data": {}}).encode())
    assert found("mailgun", mailgun, signing_key="key-123") is Verdict.VERIFIED
    routed = form(URL, list(signature.items()), "")
    assert found("mailgun", routed, signing_key="key-123") is Verdict.VERIFIED
    meta = ProviderRequest(
        "POST",
        URL,
        {"x-hub-signature-256": "sha256=d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f"},
        b'{"object":"whatsapp_business_account","entry":[]}',
    )
    assert found("meta", meta, app_secret="app-secret") is Verdict.VERIFIED
    customer_io = ProviderRequest(
        "POST",
        URL,
        {
            "x-cio-timestamp": "1613063089",
            "x-cio-signature": "3c3b6dd806324a0df879aa2c0e1446d7e8e32ae8207f2094dbdf171e868132d6",
        },
        b'{"metric":"clicked","event_id":"01E4C4CT6YDC7Y5M7FE1GWWPQJ","object_type":"email","timestamp":1613063089,"data":{}}',
    )
    assert found("customer_io", customer_io, signing_key="key-123") is Verdict.VERIFIED
    mandrill = form("https://r.example.com/in/mandrill", [("mandrill_events", "[]")], "")
    mandrill = msgspec.structs.replace(mandrill, headers={"x-mandrill-signature": "6qZwVETBpsdg1q9LXaQM9zuD7w4="})
    assert found("mandrill", mandrill, webhook_key="test-key") is Verdict.VERIFIED


def test_meta_signs_bytes_not_json() -> None:
    """It escapes what is not ASCII in its own way."""
    written = rb'{"object":"page","entry":[{"messaging":[{"message":{"mid":"m","text":"caf\u00e9"},"sender":{"id":"1"}}]}]}'
    made = hmac.digest(b"app-secret", written, "sha256").hex()
    request = ProviderRequest("POST", URL, {"x-hub-signature-256": f"sha256={made}"}, written)
    assert found("meta", request, app_secret="app-secret") is Verdict.VERIFIED
    again = msgspec.json.encode(msgspec.json.decode(written))
    assert found("meta", msgspec.structs.replace(request, body=again), app_secret="app-secret") is Verdict.FORGED
    assert parse(ADAPTERS["meta"], request).events[0].text == "café"


HANDSHAKES = [
    ("hub.mode=subscribe&hub.verify_token=ours&hub.challenge=1158201444", Reply(200, b"1158201444")),
    ("hub.mode=subscribe&hub.verify_token=theirs&hub.challenge=1158201444", Reply(403)),
    ("hub.mode=subscribe&hub.challenge=1158201444", Reply(403)),
    ("hub.mode=subscribe&hub.verify_token=ours&hub.challenge=" + "1" * 513, Reply(403)),
    ("hub.mode=unsubscribe&hub.verify_token=ours", None),
    ("", None),
]


@pytest.mark.parametrize(("query", "answer"), HANDSHAKES)
def test_meta_gets_its_challenge_back_if_it_knows_the_token(query: str, answer: Reply | None) -> None:
    handshake = ADAPTERS["meta"].handshake
    assert handshake is not None
    assert handshake(ProviderRequest("GET", f"{URL}?{query}", {}), {"verify_token": ["older", "ours"]}) == answer
    assert handshake(ProviderRequest("POST", f"{URL}?{query}", {}), {"verify_token": ["ours"]}) is None
    assert handshake(ProviderRequest("GET", f"{URL}?{query}", {}), {"verify_token": [""]}) in [None, Reply(403)]


def sns(**fields: Any) -> Verdict:
    """The verdict on a notification of SNS with some fields changed after it was signed."""
    request = simulate("ses", "clicked", Occasion(), NOW)
    body = json.dumps({**json.loads(request.body), **fields}).encode()
    adapter = ADAPTERS["ses"]
    return verify(adapter, msgspec.structs.replace(request, body=body), secrets_for(adapter), NOW, CERTIFICATES).verdict


def test_the_string_that_sns_signs_ends_in_a_newline() -> None:
    message = {"Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": "a\nb", "Timestamp": "now", "Subject": "s"}
    signed = b"Message\na\nb\nMessageId\nm\nSubject\ns\nTimestamp\nnow\nTopicArn\nt\nType\nNotification\n"
    assert string_to_sign(Fields(message)) == signed
    without = {name: value for name, value in message.items() if name != "Subject"}
    assert string_to_sign(Fields(without)) == signed.replace(b"Subject\ns\n", b"")
    confirmation = {**without, "Type": "SubscriptionConfirmation", "Token": "k", "SubscribeURL": "u"}
    assert string_to_sign(Fields(confirmation)) == (
        b"Message\na\nb\nMessageId\nm\nSubscribeURL\nu\nTimestamp\nnow\nToken\nk\nTopicArn\nt\nType\nSubscriptionConfirmation\n"
    )


def test_an_unknown_field_is_not_signed_and_every_other_is() -> None:
    assert sns() is Verdict.VERIFIED
    assert sns(UnsubscribeURL="https://sns.eu-west-1.amazonaws.com/?x") is Verdict.VERIFIED
    for name in ("Message", "MessageId", "Timestamp", "Signature", "Subject"):
        assert sns(**{name: "x"}) is Verdict.FORGED
    assert sns(Message=None) is Verdict.UNSIGNED
    assert sns(Signature=None) is Verdict.UNSIGNED
    assert sns(SignatureVersion="3") is Verdict.FORGED
    assert sns(SignatureVersion="1") is Verdict.FORGED


def test_another_topic_is_another_brands_even_if_amazon_signed_it() -> None:
    request = simulate("ses", "clicked", Occasion(), NOW)
    held = {"topic_arn": ["arn:aws:sns:eu-west-1:123456789012:other"]}
    assert verify(ADAPTERS["ses"], request, held, NOW, CERTIFICATES).verdict is Verdict.FORGED


NOT_AMAZON = [
    "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu-west-1.amazonaws.com:444/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu.west.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns-eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://bucket.s3.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem\n",
    "https://sns.eu-west-1.amazonaws.com/../SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem?x=1",
    "",
]


@pytest.mark.parametrize("url", NOT_AMAZON)
def test_a_certificate_from_anywhere_else_is_not_even_fetched(url: str) -> None:
    assert sns(SigningCertURL=url) in {Verdict.FORGED, Verdict.UNSIGNED}


def test_a_certificate_that_cannot_be_had_is_not_a_forgery() -> None:
    with pytest.raises(FileNotFoundError):
        sns(SigningCertURL=CERTIFICATE_URL.replace("0123", "ffff"))


def test_a_certificate_that_has_expired_or_is_none_verifies_nothing() -> None:
    adapter, request = ADAPTERS["ses"], simulate("ses", "clicked", Occasion(), NOW)
    held = secrets_for(adapter)
    assert verify(adapter, request, held, datetime(2101, 1, 1, tzinfo=UTC), CERTIFICATES).verdict is Verdict.FORGED
    assert verify(adapter, request, held, NOW, lambda url: b"not a certificate").verdict is Verdict.FORGED


def test_sns_asks_to_be_confirmed() -> None:
    parsed = parse(ADAPTERS["ses"], simulate("ses", "confirmation", Occasion(), NOW))
    assert parsed.confirm_url is not None
    assert parsed.confirm_url.startswith(
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:"
    )
    assert parsed.events == ()
    for url in (
        "https://evil.example/?Action=ConfirmSubscription&x",
        "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=1",
        7,
    ):
        body = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": url}).encode()
        refused = parse(ADAPTERS["ses"], ProviderRequest("POST", URL, {}, body))
        assert (refused.confirm_url, [fault.field for fault in refused.faults]) == (None, ["SubscribeURL"])


@pytest.mark.parametrize("provider", ["ses", "resend"])
def test_an_opener_among_several_recipients_is_not_known(provider: str) -> None:
    several = one(provider, "opened", Occasion(count=3))
    assert [person.value for person in several.recipients] == [f"{number}.anna@example.com" for number in range(3)]
    assert [person.value for person in one(provider, "opened").recipients] == ["anna@example.com"]


def test_ses_says_who_of_several_bounced() -> None:
    parsed = parse(ADAPTERS["ses"], simulate("ses", "bounced", Occasion(count=3), NOW))
    assert [[person.value for person in event.recipients] for event in parsed.events] == [
        [f"{number}.anna@example.com"] for number in range(3)
    ]
    assert len({event.natural_key for event in parsed.events}) == 3


TOKENS = [
    ("sendgrid", "clicked"), ("mailgun", "opened"), ("postmark", "clicked"), ("postmark", "replied"), ("ses", "clicked"),
    ("resend", "clicked"), ("twilio", "delivered"), ("twilio", "answered"), ("twilio", "clicked"), ("meta", "read"),
    ("meta", "answered"), ("meta", "answered-button"), ("meta", "answered-flow"), ("meta", "answered-messenger"),
    ("standard_webhooks", "clicked"), ("sparkpost", "clicked"), ("brevo", "opened"), ("mandrill", "opened"),
    ("netcore", "opened"),
    ("vonage", "delivered"), ("vonage", "answered"), ("bird", "delivered"), ("bird", "clicked"), ("bird", "answered"),
    ("infobip", "delivered"), ("infobip", "clicked"), ("rcs", "answered"), ("x", "answered"), ("onesignal", "clicked"),
    ("klaviyo", "clicked"), ("signed_json", "clicked"), ("cloudevents", "clicked"), ("cloudevents", "clicked-binary"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "event"), TOKENS)
def test_our_token_comes_back(provider: str, event: str) -> None:
    assert one(provider, event).token == "token.of.a-link"


REPLIES = [(provider, "replied") for provider in ("sendgrid", "mailgun", "postmark", "ses", "sparkpost", "brevo", "mandrill")]


@pytest.mark.parametrize(("provider", "event"), REPLIES)
def test_a_reply_says_what_it_answers(provider: str, event: str) -> None:
    reply = one(provider, event)
    assert reply.recipients == (Identity(IdentityKind.EMAIL, "anna@example.com"),)
    assert reply.in_reply_to == "sent-0001@mail.example"
    assert (reply.stripped_text or reply.text or "").startswith("Yes, please!")
    assert (reply.auto_reply, reply.channel) == (None, "email")


def test_a_vacation_notice_is_no_persons() -> None:
    request = simulate("postmark", "replied", Occasion(), NOW)
    body = json.loads(request.body)
    body["Headers"].append({"Name": "Auto-Submitted", "Value": "auto-replied"})
    (reply,) = read("postmark", body)
    assert reply.auto_reply == "auto-submitted"


ANSWERS = [("twilio", "answered"), ("meta", "answered"), ("meta", "answered-button"), ("meta", "answered-messenger"),
           ("vonage", "answered"), ("bird", "answered"), ("rcs", "answered"), ("x", "answered")]  # fmt: skip


@pytest.mark.parametrize(("provider", "event"), ANSWERS)
def test_a_button_is_an_answer_to_a_question_in_a_version(provider: str, event: str) -> None:
    assert one(provider, event).answer == Answer("taste", "sweet", "2")


def test_a_button_that_names_no_question_answers_the_message_it_was_in() -> None:
    body = json.loads(simulate("meta", "answered", Occasion(), NOW).body)
    body["entry"][0]["changes"][0]["value"]["messages"][0]["interactive"]["button_reply"]["id"] = "plain-id"
    (event,) = read("meta", body)
    assert (event.answer, event.token) == (Answer("msg-0001", "Sweet", None), None)


def test_a_status_of_whatsapp_may_come_again_and_in_any_order() -> None:
    read_, delivered = one("meta", "read"), one("meta", "delivered")
    assert read_.natural_key != delivered.natural_key
    assert (read_.provider_message_id, read_.kind, read_.recipients[0].value) == ("msg-0001", EventKind.READ, "+4930901820")


def test_what_a_page_wrote_itself_is_no_event() -> None:
    echo = {"sender": {"id": "9001"}, "message": {"mid": "m", "text": "Hello", "is_echo": True}}
    assert read("meta", {"object": "page", "entry": [{"messaging": [echo]}]}) == []


def test_one_broken_entry_of_meta_costs_no_other() -> None:
    body = json.loads(simulate("meta", "read", Occasion(), NOW).body)
    good = body["entry"][0]
    body["entry"] = [
        7,
        good,
        {"changes": "x"},
        {"changes": [{"value": {"statuses": [{"id": "m"}, good]}}]},
        {"messaging": [{}]},
    ]
    parsed = parse(ADAPTERS["meta"], ProviderRequest("POST", URL, {}, json.dumps(body).encode()))
    assert [event.kind for event in parsed.events] == [EventKind.READ]
    assert parsed.faults[0] == Fault(0, "", "must be an object")
    assert len(parsed.faults) == 4


@pytest.mark.parametrize(("bot", "machine"), [("apple", Machine.DECLARED), ("", Machine.NONE), (None, Machine.NONE)])
def test_mailgun_says_which_opens_are_a_machines(bot: str | None, machine: Machine) -> None:
    body = json.loads(simulate("mailgun", "opened", Occasion(), NOW).body)
    body["event-data"]["client-info"]["bot"] = bot
    assert read("mailgun", body)[0].machine is machine


def test_one_signature_of_mailgun_makes_one_event() -> None:
    """It does not cover the body, so whoever has one could write another event below it."""
    body = json.loads(simulate("mailgun", "opened", Occasion(), NOW).body)
    other = {**body, "event-data": {**body["event-data"], "event": "clicked", "id": "other", "recipient": "eve@example.com"}}
    assert read("mailgun", body)[0].natural_key == read("mailgun", other)[0].natural_key
    routed = simulate("mailgun", "replied", Occasion(), NOW)
    mail = msgspec.structs.replace(routed, body=routed.body.replace(b"anna", b"eve").replace(b"evt-0001", b"evt-0002"))
    assert (
        found("mailgun", mail, **{name: values[0] for name, values in secrets_for(ADAPTERS["mailgun"]).items()})
        is Verdict.VERIFIED
    )
    keys = {event.natural_key for request in (routed, mail) for event in parse(ADAPTERS["mailgun"], request).events}
    assert len(keys) == 1


@pytest.mark.parametrize(("severity", "kind"), [("permanent", "bounced"), ("temporary", "deferred"), (None, "deferred")])
def test_a_failure_of_mailgun_is_for_good_or_not(severity: str | None, kind: str) -> None:
    body = json.loads(simulate("mailgun", "opened", Occasion(), NOW).body)
    body["event-data"] |= {"event": "failed", "severity": severity}
    assert read("mailgun", body)[0].kind == kind


def test_an_automatic_answer_is_no_bounce_to_us() -> None:
    body = json.loads(simulate("postmark", "bounced", Occasion(), NOW).body)
    assert read("postmark", {**body, "Type": "AutoResponder"})[0].kind is EventKind.OTHER
    assert read("postmark", body)[0].permanent is True


def test_postmark_presents_a_password_in_any_of_two_places() -> None:
    request = ProviderRequest("POST", URL, {"authorization": "Basic dTpwOnA="}, b"{}")
    assert found("postmark", request, basic_auth="u:p:p") is Verdict.VERIFIED
    assert found("postmark", request, basic_auth="u:p") is Verdict.FORGED
    assert found("postmark", request, secret_header="u:p:p") is Verdict.UNSIGNED
    assert found("postmark", request) is Verdict.UNVERIFIED
    lower = msgspec.structs.replace(request, headers={"authorization": "basic dTpwOnA="})
    assert found("postmark", lower, basic_auth="u:p:p") is Verdict.VERIFIED
    empty = msgspec.structs.replace(request, headers={"authorization": "Basic "})
    assert verify(ADAPTERS["postmark"], empty, {"basic_auth": ["", "u:p:p"]}, NOW).verdict is Verdict.FORGED
    header = msgspec.structs.replace(request, headers={"x-reward-secret": "s"})
    assert found("postmark", header, secret_header="s") is Verdict.VERIFIED


def test_resend_shows_tags_in_two_ways() -> None:
    body = json.loads(simulate("resend", "clicked", Occasion(), NOW).body)
    body["data"]["tags"] = [{"name": name, "value": value} for name, value in body["data"]["tags"].items()]
    (event,) = read("resend", body, **{"svix-id": "evt-0001"})
    assert event == one("resend", "clicked")


def test_the_channel_is_in_the_address() -> None:
    channels = {event: one("twilio", event).channel for event in ("delivered", "read", "read-rcs", "replied-whatsapp")}
    assert channels == {"delivered": "sms", "read": "whatsapp", "read-rcs": "rcs", "replied-whatsapp": "whatsapp"}
    assert one("twilio", "replied-whatsapp").in_reply_to == "msg-0001"


def test_ids_beyond_a_double_stay_exact() -> None:
    assert one("netcore", "opened").provider_message_id == str(2**62 + zlib.crc32(b"msg-0001"))
    assert read("netcore", {"EVENT": "opened", "EMAIL": "a@example.com", "TRANSID": 2**63 - 1})[0].provider_message_id == str(
        2**63 - 1
    )


MACHINES = [
    ("sendgrid", "sg_machine_open"), ("mailgun", "client-info.bot"), ("sparkpost", "is_prefetched"), ("brevo", "event"),
    ("braze", "machine_open"),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "source"), MACHINES)
def test_a_machine_that_the_provider_names_is_declared(provider: str, source: str) -> None:
    opened, machine = one(provider, "opened"), one(provider, "opened-by-machine")
    assert (opened.machine, machine.machine, machine.machine_source) == (Machine.NONE, Machine.DECLARED, source)


def test_a_ping_of_sparkpost_is_no_event() -> None:
    assert read("sparkpost", [{"msys": {}}]) == []


def test_an_automatic_answer_that_sparkpost_saw_bounce_is_none() -> None:
    body = json.loads(simulate("sparkpost", "bounced", Occasion(), NOW).body)
    body[1]["msys"]["message_event"]["bounce_class"] = "60"
    assert read("sparkpost", body)[0].kind is EventKind.OTHER


def test_bird_signs_the_url_that_it_was_given() -> None:
    request = simulate("bird", "delivered", Occasion(), NOW)
    held = secrets_for(ADAPTERS["bird"])
    elsewhere = msgspec.structs.replace(request, url=request.url + "/")
    assert verify(ADAPTERS["bird"], elsewhere, held, NOW).verdict is Verdict.FORGED


def test_rcs_is_read_only_where_it_is_signed() -> None:
    request = simulate("rcs", "read", Occasion(), NOW)
    body = json.loads(request.body)
    body["message"]["messageId"], body["senderPhoneNumber"] = "other", "+1"
    assert read("rcs", body) == [one("rcs", "read")]


def test_a_tap_on_a_push_is_a_click() -> None:
    assert [one("braze", name).kind for name in ("clicked-push", "opened")] == [EventKind.CLICKED, EventKind.OPENED]
    assert one("onesignal", "clicked").channel == "push"


def test_what_an_account_says_itself_is_no_event() -> None:
    body = json.loads(simulate("x", "replied", Occasion(), NOW).body)
    assert read("x", {**body, "for_user_id": "7001"}) == []


PEOPLE = [("customer_io", IdentityKind.CUSTOMER), ("braze", IdentityKind.CUSTOMER), ("onesignal", IdentityKind.CUSTOMER),
          ("klaviyo", IdentityKind.EMAIL), ("vonage", IdentityKind.PHONE), ("x", IdentityKind.ACCOUNT)]  # fmt: skip


@pytest.mark.parametrize(("provider", "kind"), PEOPLE)
def test_a_person_is_named_by_the_strongest_name(provider: str, kind: IdentityKind) -> None:
    event = next(iter(SAMPLES[provider]))
    assert one(provider, event).recipients[0].kind is kind


# What each provider understands: one code that stops it from trying again, or one that makes it try.
CODES = {
    "mailgun": (200, 401, 401, 406), "postmark": (200, 401, 401, 403), "vonage": (200, 503, 401, 400),
    "rcs": (200, 200, 200, 200),
}  # fmt: skip


@pytest.mark.parametrize("provider", ADAPTERS)
def test_the_codes_that_a_provider_understands(provider: str) -> None:
    answers = ADAPTERS[provider].answers
    found = (answers.taken, answers.unsigned, answers.forged, answers.unreadable)
    assert found == CODES.get(provider, (200, 401, 401, 400))
    assert answers.away == 503


def test_a_natural_key_is_of_its_parts_apart() -> None:
    parts: list[tuple[str | None, ...]] = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc",),
        ("a", "b", "c"),
        ("abc", ""),
        ("abc", None),
        ("2:ab",),
    ]
    assert len({key_of(*each) for each in parts}) == len(parts)


OPAQUE: list[tuple[str | None, str | None, dict[str, str]]] = [
    ("aaaa.bbbb.cccc", "aaaa.bbbb.cccc", {}),
    ("ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP", {}),
    ("https://r.example/r/aaaa.bbbb.cccc?x=1", "https://r.example/r/aaaa.bbbb.cccc?x=1", {}),
    ("reward_token=a.b.c&reward_campaign=x&other=1", "a.b.c", {"campaign": "x"}),
    ('{"reward_token": "a.b.c", "reward_message": 7, "other": {}}', "a.b.c", {"message": "7"}),
    ("order-4711", None, {}),
    ("a=b", None, {}),
    ("{broken", None, {}),
    ("", None, {}),
    (None, None, {}),
]


@pytest.mark.parametrize(("written", "token", "tags"), OPAQUE)
def test_what_is_ours_in_an_opaque_field(written: str | None, token: str | None, tags: dict[str, str]) -> None:
    assert ours_in_text(written) == (token, tags)
