"""What a device signs, and with which keys.

    signed_bytes   the bytes of a receipt that its signature covers: lines, so that no app has to agree with us about JSON
    public_key_of  a public key as phones export it, as a SubjectPublicKeyInfo in DER
    is_signed      whether a device signed these bytes

Two kinds of keys: ECDSA on P-256 with SHA-256, which is what phones keep in hardware, and Ed25519.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

VERSION = "atomic-rewards-receipt-v1"
_POINT_BYTES = 65
_ED25519_BYTES = 32


def signed_bytes(device: str, nonce: str, at_ms: int, action: str, token: str | None, message_id: str | None) -> bytes:
    """What a device signs. Only the last line could hold a line break, so no two receipts have the same bytes."""
    return "\n".join((VERSION, device, nonce, str(at_ms), action, token or "", message_id or "")).encode()


def public_key_of(written: str) -> bytes | None:
    """The key of a Base64 text: a SubjectPublicKeyInfo, a point of P-256 (X9.63), or the 32 bytes of Ed25519; or ``None``."""
    raw = decoded(written)
    try:
        if raw is None:
            return None
        if len(raw) == _POINT_BYTES:
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
        elif len(raw) == _ED25519_BYTES:
            key = Ed25519PublicKey.from_public_bytes(raw)
        else:
            key = load_der_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        return None
    is_p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if not is_p256 and not isinstance(key, Ed25519PublicKey):
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def algorithm_of(public_key: bytes) -> str:
    """The name of what a key signs with."""
    return "ed25519" if isinstance(load_der_public_key(public_key), Ed25519PublicKey) else "es256"


def is_signed(public_key: bytes, signature: str, signed: bytes) -> bool:
    """Whether the owner of a key made a signature, in Base64: DER of ECDSA, or the 64 bytes of Ed25519."""
    raw = decoded(signature)
    key = load_der_public_key(public_key)
    try:
        if raw is None:
            return False
        if isinstance(key, Ed25519PublicKey):
            key.verify(raw, signed)
        else:
            assert isinstance(key, EllipticCurvePublicKey)
            key.verify(raw, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def decoded(written: str) -> bytes | None:
    """The bytes of a Base64 text, with padding or without."""
    try:
        return base64.b64decode(written + "=" * (-len(written) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
