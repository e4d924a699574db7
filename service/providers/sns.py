"""Amazon SNS: messages that carry their own signature, and the URL of the certificate that it was made with.

Both are only worth something if the certificate comes from Amazon, so its host is matched exactly; and anybody can have Amazon
sign a message on a topic of their own, so a source names its topics. What is signed ends in a newline.
"""

from __future__ import annotations

import base64
import functools
import re
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from service.providers.reading import Fields, Unreadable, json_of, object_of
from service.providers.schemes import Context
from service.providers.types import ProviderRequest, Trust, Verdict, Verification

NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"

_HOST = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?"
CERTIFICATE_URL = re.compile(_HOST + r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
CONFIRM_URL = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[A-Za-z0-9&=:%_.~-]{1,2000}")
TOPIC = r"arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]{3,32}:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?"

_OF_A_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_A_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# SHA-1 is what a topic signs with until its owner asks for version 2.
_HASHES = {"1": SHA1, "2": SHA256}


class SnsSignature(msgspec.Struct, frozen=True):
    """The signature of an SNS message, of version 1 or 2."""

    secret: str = "topic_arn"
    trust: Trust = Trust.SIGNED_BODY

    def check(self, request: ProviderRequest, context: Context) -> Verification:
        """Whether Amazon signed the message, for one of the source's topics."""
        try:
            message = object_of(json_of(request.body))
            signed, signature = string_to_sign(message), message.required("Signature")
            url, version = message.required("SigningCertURL"), message.required("SignatureVersion")
        except Unreadable:
            return Verification(Verdict.UNSIGNED, "this is no signed SNS message; raw message delivery has no signature")
        if message.values.get("TopicArn") not in context.secrets.get(self.secret, ()):
            return Verification(Verdict.FORGED, "the message is of another topic")
        if not CERTIFICATE_URL.fullmatch(url) or version not in _HASHES:
            return Verification(Verdict.FORGED, "the certificate is not at Amazon, or the signature's version is unknown")
        if not _verifies(context.certificates(url), context.now, version, signature, signed):
            return Verification(Verdict.FORGED, "the certificate did not make this signature")
        return Verification(Verdict.VERIFIED)

    def problem_of(self, secret: str) -> str | None:
        """The pattern of the secret says it all."""
        return None


def string_to_sign(message: Fields) -> bytes:
    """Each name and value on a line of its own."""
    names = _OF_A_NOTIFICATION if message.required("Type") == NOTIFICATION else _OF_A_SUBSCRIPTION
    values = {name: message.values.get(name) for name in names}
    if any(not isinstance(value, str) for name, value in values.items() if name != "Subject"):
        raise Unreadable("", "lacks a field that is signed")
    present = {name: value for name, value in values.items() if isinstance(value, str)}
    return "".join(f"{name}\n{value}\n" for name, value in present.items()).encode(errors="replace")


def _verifies(pem: bytes, now: datetime, version: str, signature: str, signed: bytes) -> bool:
    certificate = _certificate(pem)
    if certificate is None or not certificate.not_valid_before_utc <= now.astimezone(UTC) <= certificate.not_valid_after_utc:
        return False
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), signed, padding.PKCS1v15(), _HASHES[version]())
    except (InvalidSignature, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=64)
def _certificate(pem: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
