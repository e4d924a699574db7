"""A request is its provider's only if one of the source's secrets made the signature over exactly its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from service.providers.adapter import Adapter, missing_secret, problem_of_secret, verify
from service.providers.registry import ADAPTERS
from service.providers.types import ProviderRequest, Trust, Verdict

SENDGRID, STANDARD, SVIX = ADAPTERS["sendgrid"], ADAPTERS["standard_webhooks"], ADAPTERS["svix"]

# sendgrid-python, test/unit/test_eventwebhook.py
_P256 = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
SENDGRID_KEY = _P256 + "83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
OTHER_SENDGRID_KEY = _P256 + "qTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA=="
SENDGRID_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
SENDGRID_REQUEST = ProviderRequest(
    "POST",
    "https://rewards.example/v1/ingest/src_1",
    {
        "x-twilio-email-event-webhook-signature": (
            "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
        ),
        "x-twilio-email-event-webhook-timestamp": "1600112502",
    },
    SENDGRID_BODY,
)

# The example of the standard's reference libraries; for v1a the public key is that of their test's private key.
SHARED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SHARED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PUBLIC_KEY = "whpk_ZlN4eg7dSSqi0moX9hQUk3orrOouK3QVQSlJa248c/g="
ASYMMETRIC = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
SIGNED_AT = datetime.fromtimestamp(1614265330, UTC)


def standard(
    signature: str, *, names: str = "webhook", body: bytes = b'{"test": 2432232314}', **headers: str
) -> ProviderRequest:
    """The request of the standard's example."""
    signed = {
        f"{names}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        f"{names}-timestamp": "1614265330",
        f"{names}-signature": signature,
    }
    return ProviderRequest("POST", "https://rewards.example/in", {**signed, **headers}, body)


def verdict(
    adapter: Adapter, request: ProviderRequest, secrets: Mapping[str, list[str]], now: datetime = SIGNED_AT
) -> tuple[Verdict, Trust]:
    """What is found, and how far it is trusted."""
    found = verify(adapter, request, secrets, now)
    return found.verdict, found.trust


VECTORS = [
    (SENDGRID, SENDGRID_REQUEST, {"verification_key": [SENDGRID_KEY]}),
    (STANDARD, standard(SHARED), {"signing_secret": [SHARED_SECRET]}),
    (STANDARD, standard(ASYMMETRIC), {"public_key": [PUBLIC_KEY]}),
    (SVIX, standard(SHARED, names="svix"), {"signing_secret": [SHARED_SECRET]}),
]


@pytest.mark.parametrize(("adapter", "request_", "secrets"), VECTORS)
def test_a_vendors_vector_verifies(adapter: Adapter, request_: ProviderRequest, secrets: dict[str, list[str]]) -> None:
    assert verdict(adapter, request_, secrets) == (Verdict.VERIFIED, Trust.SIGNED_BODY)
    assert missing_secret(adapter, secrets) is None
    assert [problem_of_secret(adapter, name, value) for name, values in secrets.items() for value in values] == [None]


@pytest.mark.parametrize(("adapter", "request_", "secrets"), VECTORS)
def test_no_byte_of_the_body_can_be_changed(adapter: Adapter, request_: ProviderRequest, secrets: dict[str, list[str]]) -> None:
    body = request_.body
    changed = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(0, len(body), 7)]
    for other in (*changed, body[:-1], body + b"\n", b""):
        assert verdict(adapter, msgspec.structs.replace(request_, body=other), secrets) == (Verdict.FORGED, Trust.NONE)


@pytest.mark.parametrize(("adapter", "request_", "secrets"), VECTORS)
def test_no_header_that_is_signed_can_be_changed_or_left_out(
    adapter: Adapter, request_: ProviderRequest, secrets: dict[str, list[str]]
) -> None:
    for name, value in request_.headers.items():
        others = {other: text for other, text in request_.headers.items() if other != name}
        without = msgspec.structs.replace(request_, headers=others)
        changed = msgspec.structs.replace(
            request_, headers={**others, name: value[:-3] + ("0" if value[-3] != "0" else "1") + value[-2:]}
        )
        assert verdict(adapter, without, secrets)[0] is Verdict.UNSIGNED
        assert verdict(adapter, changed, secrets)[0] is Verdict.FORGED


@pytest.mark.parametrize(("adapter", "request_", "secrets"), VECTORS)
def test_one_of_several_secrets_is_enough(adapter: Adapter, request_: ProviderRequest, secrets: dict[str, list[str]]) -> None:
    other = {
        "verification_key": OTHER_SENDGRID_KEY,
        "signing_secret": "whsec_" + "A" * 32,
        "public_key": "whpk_" + "A" * 43 + "=",
    }
    ((name, held),) = secrets.items()
    assert verdict(adapter, request_, {name: [other[name], *held]})[0] is Verdict.VERIFIED
    assert verdict(adapter, request_, {name: [other[name]]})[0] is Verdict.FORGED


@pytest.mark.parametrize(("adapter", "request_", "secrets"), VECTORS)
def test_a_source_without_a_usable_secret_verifies_nothing(
    adapter: Adapter, request_: ProviderRequest, secrets: dict[str, list[str]]
) -> None:
    without: list[dict[str, list[str]]] = [
        {},
        {name: [] for name in secrets},
        {name: [""] for name in secrets},
        {"other": ["x"]},
    ]
    for held in without:
        assert missing_secret(adapter, held) is not None
        assert not verify(adapter, request_, held, SIGNED_AT).accepted
    assert verdict(adapter, request_, {name: ["é!"] for name in secrets})[0] is Verdict.FORGED


def test_one_of_several_signatures_is_enough() -> None:
    forged = "v1," + "A" * 43 + "="
    held = {"signing_secret": [SHARED_SECRET], "public_key": [PUBLIC_KEY]}
    assert verdict(STANDARD, standard(f"{forged} v2,x v1 {SHARED}"), held)[0] is Verdict.VERIFIED
    assert verdict(STANDARD, standard(f"{forged} {ASYMMETRIC}"), held)[0] is Verdict.VERIFIED
    assert verdict(STANDARD, standard(" ".join([forged] * 20 + [SHARED])), held)[0] is Verdict.FORGED


MALFORMED = [
    "", " ", "v1", "v1,", ",", "v1,é", "v1," + "=" * 44, SHARED[:-1], SHARED.replace("v1,", "v1a,"), SHARED.removeprefix("v1,"),
    "v1a,AAAA",
]  # fmt: skip


@pytest.mark.parametrize("signature", MALFORMED)
def test_a_malformed_signature_is_forged(signature: str) -> None:
    held = {"signing_secret": [SHARED_SECRET], "public_key": [PUBLIC_KEY]}
    assert verdict(STANDARD, standard(signature), held)[0] is Verdict.FORGED
    headers = {**SENDGRID_REQUEST.headers, "x-twilio-email-event-webhook-signature": signature}
    request = msgspec.structs.replace(SENDGRID_REQUEST, headers=headers)
    assert verdict(SENDGRID, request, {"verification_key": [SENDGRID_KEY]})[0] is Verdict.FORGED


def test_a_public_key_is_no_shared_secret() -> None:
    """Else anybody could sign: the public key is public."""
    assert verdict(STANDARD, standard(SHARED), {"public_key": [SHARED_SECRET]})[0] is Verdict.FORGED
    assert problem_of_secret(STANDARD, "signing_secret", PUBLIC_KEY) is not None


@pytest.mark.parametrize(("seconds", "found"), [(-301, "stale"), (-300, "verified"), (300, "verified"), (301, "stale")])
def test_a_retry_is_signed_again_so_an_old_signature_is_stale(seconds: int, found: str) -> None:
    now = SIGNED_AT + timedelta(seconds=seconds)
    assert verdict(STANDARD, standard(SHARED), {"signing_secret": [SHARED_SECRET]}, now)[0] == found


def test_what_is_forged_is_never_called_stale() -> None:
    request = standard(SHARED, body=b"{}")
    assert verdict(STANDARD, request, {"signing_secret": [SHARED_SECRET]}, SIGNED_AT + timedelta(days=1))[0] is Verdict.FORGED


def test_sendgrid_may_be_hours_late() -> None:
    later = SIGNED_AT + timedelta(days=2_000)
    assert verdict(SENDGRID, SENDGRID_REQUEST, {"verification_key": [SENDGRID_KEY]}, later)[0] is Verdict.VERIFIED


NO_KEYS = [
    (SENDGRID, "verification_key", "A" * 80),  # base64, and no key
    (SENDGRID, "verification_key", "not a key"),
    (STANDARD, "public_key", "whpk_short"),
    (STANDARD, "signing_secret", "whsec_" + "A" * 33),  # 33 characters are no base64
    (STANDARD, "other", "x"),
]


@pytest.mark.parametrize(("adapter", "name", "value"), NO_KEYS)
def test_what_cannot_be_a_key_is_refused_when_it_is_pasted(adapter: Adapter, name: str, value: str) -> None:
    assert problem_of_secret(adapter, name, value) is not None
