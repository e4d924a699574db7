"""What a provider sends: checked on its raw bytes, kept, and answered in the provider's own codes. Read later, by the agent.

    1. whose        the source of the address; there is none, or it is disabled: 404, whatever was sent
    2. handshake    what a provider asks before it sends events
    3. check        the signature, with any of the source's secrets
    4. keep         in the database, or on the local disk while that is away; but nothing that says where exactly somebody
                    is, nor what is attached to a mail
    5. answer       `taken` only for what is kept

What is refused earns nothing. It is kept, as far as it is small and not too often, so that it can be replayed once a secret
that was pasted wrongly is put right.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from litestar.types import Receive, Send

from service.admission.failed_attempts import FailedAttemptLimiter
from service.admission.limits import MAIL_BYTES_MAX, PROVIDER_BYTES_MAX, UNPROVED_BYTES_MAX
from service.egress.fetching import FetchFailed
from service.http.bodies import read_body
from service.http.problems import Problem, invalid_field, not_found, send_problem
from service.ingest.actions import ingest_url
from service.ingest.certificates import Certificates, NotFetchedYet
from service.ingest.envelopes import REFUSED_BYTES_MAX, Envelope, EnvelopeStore, content_of, new_id
from service.ingest.sources import Source
from service.ingest.spooled_envelopes import SpooledEnvelopes
from service.observability import log, metrics
from service.providers import forms
from service.providers.adapter import Adapter, parse, verify
from service.providers.reading import Unreadable
from service.providers.types import Fault, ProviderRequest, Reply, Trust, Verdict, Verification
from service.storage.database import is_away

if TYPE_CHECKING:
    from service.services import Services

STORED_WITHIN_S = 2.0
"""Longer the database does not keep a provider waiting; what it has not said by then goes to the local disk as well."""

READ_AT_ONCE_BYTES = 65_536
"""What is longer is read beside the event loop, where it has to be read before it is kept, or is checked there."""


class Intake:
    """Keeps what comes, and says whether it is kept."""

    def __init__(self, store: EnvelopeStore, spooled: SpooledEnvelopes, certificates: Certificates) -> None:
        self.store = store
        self.spooled = spooled
        self.certificates = certificates
        self._refused = FailedAttemptLimiter()
        # Only sources that there are, so no sender can make it grow.
        self._unproved: dict[int, tuple[int, int]] = {}

    async def keep(self, envelope: Envelope) -> bool:
        """Keep a request that was accepted."""
        if envelope.verdict is Verdict.UNVERIFIED and self._is_too_much(envelope):
            return False
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                await self.store.store(envelope)
        except Exception as error:
            if not is_away(error):
                raise
            return await self.spooled.keep(envelope)
        return True

    def _is_too_much(self, envelope: Envelope) -> bool:
        """Whether its source had as much of what nobody proved as is kept in a minute."""
        minute = int(time.monotonic() // 60)
        began, size = self._unproved.get(envelope.source_no, (minute, 0))
        size = size if began == minute else 0
        self._unproved[envelope.source_no] = (minute, size + envelope.size)
        return size + envelope.size > UNPROVED_BYTES_MAX

    async def note_refused(self, envelope: Envelope) -> None:
        """List a request that was refused, unless many were recently, or the database is away."""
        name = str(envelope.source_no)
        if self._refused.exceeded(name):
            return
        self._refused.note(name)
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                await self.store.store(envelope)
        except Exception as error:
            if not is_away(error):
                raise


async def checked(certificates: Certificates, source: Source, request: ProviderRequest, now: datetime) -> Verification:
    """Whether a source's provider sent a request. Raises `FetchFailed` if the certificate it names cannot be had now."""
    look = functools.partial(verify, source.adapter, request, source.secrets or {}, now, certificates.at)
    if len(request.body) > PROVIDER_BYTES_MAX:
        return await asyncio.to_thread(look)
    try:
        return look()
    except NotFetchedYet as missing:
        await certificates.learn(missing.url)
        return look()


def take(services: Services, scope: Any, receive: Receive, send: Send, address: str) -> Awaitable[None]:
    """Answer a request of a provider: a handler of ``service.dispatch``."""
    return _take(services, scope, receive, send, address)


async def _take(services: Services, scope: Any, receive: Receive, send: Send, address: str) -> None:
    try:
        source = await services.sources.at(address)
        if source is None:
            raise not_found("source")
        reply = await _reply(services, source, scope, receive)
    except Exception as error:
        await send_problem(scope, send, error)
        return
    await _send(send, reply, is_head=scope["method"] == "HEAD")


async def _reply(services: Services, source: Source, scope: Any, receive: Receive) -> Reply:
    adapter, secrets = source.adapter, source.secrets
    if secrets is None:
        # It is our fault, or the operator's: the provider is to send it again.
        return Reply(adapter.answers.away, adapter.answers.body, adapter.answers.content_type)
    request = ProviderRequest(
        method=scope["method"],
        url=_url(services, source, scope),
        headers=(headers := _headers(scope)),
        body=await read_body(receive, bytes_max=_bytes_max(adapter, headers)),
    )
    if adapter.handshake is not None and (reply := adapter.handshake(request, secrets)) is not None:
        metrics.provider_requests.labels(source.provider, "handshake").inc()
        return reply
    if request.method != "POST":
        raise Problem("method_not_allowed", "Providers send events with POST.", headers={"Allow": "POST"})
    try:
        found = await checked(services.intake.certificates, source, request, datetime.now(UTC))
    except FetchFailed:
        return Reply(adapter.answers.away, adapter.answers.body, adapter.answers.content_type)
    if found.verdict is Verdict.UNVERIFIED and source.trust is not Trust.NONE:
        found = Verification(Verdict.UNSIGNED, "the source takes nothing that is not proved")
    metrics.provider_requests.labels(source.provider, found.verdict.value).inc()
    withheld = await _withheld(adapter, request) if _is_kept(found, request) else None
    if withheld is not None and found.accepted:
        at = "" if withheld.index is None else f"event {withheld.index}: "
        raise invalid_field(f"/{withheld.field.replace('.', '/')}", f"{at}{withheld.problem}. Nothing of the request is kept")
    code = await _kept(services, source, scope, request, found, has_content=withheld is None)
    return Reply(code, adapter.answers.body, adapter.answers.content_type)


def _is_kept(found: Verification, request: ProviderRequest) -> bool:
    """Whether the content of a request is kept: all that is accepted, and of the rest what is small."""
    return found.accepted or len(request.body) <= REFUSED_BYTES_MAX


async def _withheld(adapter: Adapter, request: ProviderRequest) -> Fault | None:
    """What of a request is not to be kept: where exactly somebody is."""
    if adapter.may_tell_place is None or not adapter.may_tell_place(request):
        return None
    is_large = len(request.body) > READ_AT_ONCE_BYTES
    parsed = await asyncio.to_thread(parse, adapter, request) if is_large else parse(adapter, request)
    return next((fault for fault in parsed.faults if fault.withheld), None)


async def _kept(
    services: Services, source: Source, scope: Any, request: ProviderRequest, found: Verification, *, has_content: bool
) -> int:
    """Keep a request, and say which code tells its provider what became of it."""
    answers = source.adapter.answers
    kept = await _without_attachments(source.adapter, request) if found.accepted else request
    envelope = Envelope(
        id=new_id(),
        source_no=source.source_no,
        received_at=datetime.now(UTC),
        verdict=found.verdict,
        reason=found.reason,
        size=len(request.body),
        content=content_of(kept) if has_content and _is_kept(found, request) else b"",
    )
    if not found.accepted:
        await services.intake.note_refused(envelope)
        return answers.unsigned if found.verdict is Verdict.UNSIGNED else answers.forged
    # Only who was recognised counts as the source: nobody else is to use up its share.
    held = scope.get("held")
    if held is not None and held.assign_to(-source.source_no, source.brand.brand_id) is not None:
        return answers.away
    try:
        is_stored = await services.intake.keep(envelope)
    except Exception as error:
        log.error_with_frames("envelope_not_kept", error)
        is_stored = False
    if not is_stored:
        structlog.get_logger().warning("envelope_not_kept", source=source.id)
    return answers.taken if is_stored else answers.away


def _bytes_max(adapter: Adapter, headers: Mapping[str, str]) -> int:
    is_form = headers.get("content-type", "").lower().startswith(forms.MULTIPART)
    return MAIL_BYTES_MAX if adapter.attaches_files and is_form else PROVIDER_BYTES_MAX


async def _without_attachments(adapter: Adapter, request: ProviderRequest) -> ProviderRequest:
    """A mail as it is kept. Nobody reads what is attached to it."""
    if not adapter.attaches_files or len(request.body) <= READ_AT_ONCE_BYTES:
        return request
    with contextlib.suppress(Unreadable):
        request = await asyncio.to_thread(forms.without_files, request)
    if len(request.body) > PROVIDER_BYTES_MAX:
        raise Problem("too_large", f"Without attachments, the body is larger than {PROVIDER_BYTES_MAX} bytes.")
    return request


def _url(services: Services, source: Source, scope: Any) -> str:
    query: str = scope["query_string"].decode("latin-1")
    url = ingest_url(services.settings.base_url, source)
    return f"{url}?{query}" if query else url


def _headers(scope: Any) -> dict[str, str]:
    """Headers by their lower-case names; several of one name are one, as HTTP has it."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        key = name.decode("latin-1").lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def _send(send: Send, reply: Reply, *, is_head: bool) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    headers += [(b"content-type", reply.content_type.encode()), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else reply.body, "more_body": False})
