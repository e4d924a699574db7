"""A provider: all that is particular to it, as data and as pure functions; and what the service asks of it.

    verify              whether the provider sent a request, by the secrets of the source it came to
    parse               the events of a request, once that is settled
    missing_secret      what a source lacks, when it is set up
    problem_of_secret   why a value cannot be what it is given for
    trust_of            how far the source can be trusted with what it holds

Whether a request is accepted is decided before it is parsed, and by its bytes alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from service.providers.reading import Unreadable, fault_of
from service.providers.schemes import Certificates, Context, Scheme, no_certificate
from service.providers.types import Parsed, ProviderRequest, Reply, Secrets, Trust, Verdict, Verification


class AnswerCodes(msgspec.Struct, frozen=True):
    """The status codes that a provider understands."""

    taken: int = 200
    unsigned: int = 401
    forged: int = 401
    """Also for what is stale. Most providers retry, so that a secret that was pasted wrongly loses no event."""
    unreadable: int = 400
    away: int = 503
    """We cannot keep it now: send it again."""
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


BASIC_AUTH_PATTERN = r"[\x21-\x39\x3b-\x7e]{1,100}:[\x21-\x7e]{8,200}"
"""A user name and a password that nobody guesses."""
PASSWORD_PATTERN = r"[A-Za-z0-9_-]{16,200}"
"""A password that may stand in a URL or header as it is."""


_VISIBLE_PATTERN = r"[\x21-\x7e]{1,512}"
_FORMS = {
    BASIC_AUTH_PATTERN: "user:password with a password of 8 to 200 characters, all visible ASCII",
    PASSWORD_PATTERN: "16 to 200 letters, digits, - and _",
    _VISIBLE_PATTERN: "1 to 512 visible ASCII characters without a space",
}


class SecretShape(msgspec.Struct, frozen=True):
    """A value that a source holds to recognise its provider."""

    name: str
    title: str
    """What the provider's console calls it."""
    required: bool = True
    pattern: str = _VISIBLE_PATTERN
    """Of the whole value."""
    form: str = ""
    """The same in words; empty for a pattern that several have."""

    @property
    def must_be(self) -> str:
        """What a value must be."""
        return self.form or _FORMS[self.pattern]


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """A provider. ``parse`` and ``handshake`` may raise nothing for any bytes."""

    name: str
    title: str
    channels: tuple[str, ...]
    schemes: tuple[Scheme, ...]
    """Any of them may verify a request. None: the provider signs nothing and presents nothing."""
    trust: Trust
    """The most that a verified request of this provider proves."""
    verified_by: str
    """What our signatures were checked with: ``vendor vector``, ``computed`` from the published formula, or ``unverified``."""
    token_field: str
    """Where a brand puts our token, in the provider's words."""
    secrets: tuple[SecretShape, ...] = ()
    parse: Callable[[ProviderRequest], Parsed]
    handshake: Callable[[ProviderRequest, Secrets], Reply | None] | None = None
    """Answers what is asked before events are sent; None for any other request. It is asked before verification."""
    answers: AnswerCodes = AnswerCodes()
    attaches_files: bool = False
    """Whether it hands on mails as forms with their attachments."""
    may_tell_place: Callable[[ProviderRequest], bool] | None = None
    """Whether a request could say where somebody is, so that it has to be read before it is kept; None: none of them does."""

    @property
    def needs_secret(self) -> bool:
        """Whether a request without any signature or password is refused."""
        return self.trust > Trust.SHARED_SECRET or any(shape.required for shape in self.secrets)


def verify(
    adapter: Adapter, request: ProviderRequest, secrets: Secrets, now: datetime, certificates: Certificates = no_certificate
) -> Verification:
    """Whether the provider sent a request. Fails closed; ``OSError`` says that a certificate cannot be had now."""
    schemes = [scheme for scheme in adapter.schemes if any(secrets.get(scheme.secret, ()))]
    if not schemes:
        return _without_secret(adapter)
    context = Context(secrets, now, certificates)
    found = [(scheme.check(request, context), min(scheme.trust, adapter.trust)) for scheme in schemes]
    best, trust = max(found, key=lambda each: (_MERIT[each[0].verdict], each[1]))
    return msgspec.structs.replace(best, trust=trust) if best.verdict is Verdict.VERIFIED else best


def parse(adapter: Adapter, request: ProviderRequest) -> Parsed:
    """The events of a request. Raises nothing, whatever the bytes."""
    try:
        return adapter.parse(request)
    except Unreadable as unreadable:
        return Parsed(faults=[fault_of(unreadable)])


def missing_secret(adapter: Adapter, secrets: Secrets) -> str | None:
    """Why a source cannot do with the secrets that it has, or None if it can."""
    for shape in adapter.secrets:
        if shape.required and not any(secrets.get(shape.name, ())):
            return f"{adapter.title} needs {shape.name}: {shape.title}"
    if adapter.needs_secret and not any(any(secrets.get(scheme.secret, ())) for scheme in adapter.schemes):
        return f"{adapter.title} needs one of {', '.join(shape.name for shape in adapter.secrets)}"
    return None


def trust_of(adapter: Adapter, secrets: Secrets) -> Trust:
    """How far a source with these secrets can be trusted: as far as the weakest of the ways in."""
    ways = [scheme.trust for scheme in adapter.schemes if any(secrets.get(scheme.secret, ()))]
    return min(adapter.trust, *ways) if ways else Trust.NONE


def problem_of_secret(adapter: Adapter, name: str, value: str) -> str | None:
    """Why a source cannot hold a value under a name, or None if it can."""
    shape = next((shape for shape in adapter.secrets if shape.name == name), None)
    if shape is None:
        return f"{adapter.title} has no secret of this name"
    if not re.fullmatch(shape.pattern, value):
        return f"is no {shape.title} of {adapter.title}: it must be {shape.must_be}"
    problems = [scheme.problem_of(value) for scheme in adapter.schemes if scheme.secret == name]
    return None if not problems or None in problems else problems[0]


# The verdict of a request is the best that any scheme finds; a scheme that finds no signature of its kind says least.
_MERIT = {Verdict.VERIFIED: 3, Verdict.STALE: 2, Verdict.FORGED: 1, Verdict.UNSIGNED: 0}


def _without_secret(adapter: Adapter) -> Verification:
    if adapter.needs_secret:
        return Verification(Verdict.UNSIGNED, "the source holds no secret to check the request with")
    return Verification(Verdict.UNVERIFIED, f"{adapter.title} signs nothing, and the source holds no password for it")
