"""Error responses: RFC 9457 problems, one code each.

CODES            the registry: status, whether a retry can help, title, meaning; ``docs/errors.md`` is held to it
Problem          what code raises, or returns for an item of a batch
problem_of       the one table from the ledger's, the framework's and the driver's errors to problems
exception_handlers  what the application mounts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Send
from sqlalchemy.exc import TimeoutError as EngineExhausted

from ledger import BookRefused, ClockSkew, DataRefused, LedgerUnavailable, Overloaded
from service.admission.in_flight import Refusal
from service.concurrency.batch_loader import TooManyWaiting
from service.http import validation_messages
from service.observability import log
from service.storage.database import is_away

Headers = list[tuple[bytes, bytes]]

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/docs/errors#"

_encode = msgspec.json.Encoder().encode

RETRY_AFTER_S = 1
"""What a client is told to wait when the database is away."""


class CodeSpec(msgspec.Struct, frozen=True):
    """What a code stands for. ``retryable``: the same request, sent again later, may succeed."""

    status: int
    title: str
    meaning: str
    retryable: bool = False


CODES: dict[str, CodeSpec] = {
    "malformed_body": CodeSpec(
        400,
        "Malformed body",
        "The body is not JSON (or NDJSON) in UTF-8, is truncated, repeats a key, or exceeds the limits of JSON.",
    ),
    "malformed_request": CodeSpec(400, "Malformed request", "The request line, the path or a header cannot be parsed."),
    "idempotency_key_required": CodeSpec(
        400, "Idempotency key required", "This operation has no natural key and needs the header Idempotency-Key."
    ),
    "idempotency_key_invalid": CodeSpec(
        400, "Idempotency key invalid", "Idempotency-Key must be 1 to 255 printable ASCII characters."
    ),
    "unauthorized": CodeSpec(401, "Unauthorized", "The API key is missing, unknown, expired or revoked."),
    "insufficient_balance": CodeSpec(402, "Insufficient balance", "The customer has fewer spendable points than requested."),
    "issue_limit_reached": CodeSpec(402, "Issue limit reached", "Funding would exceed what the brand may issue."),
    "receipt_refused": CodeSpec(401, "Receipt refused", "There is no such device, or it did not sign this."),
    "device_revoked": CodeSpec(403, "Device revoked", "The device was revoked: what it signed earns nothing any more."),
    "missing_scope": CodeSpec(403, "Missing scope", "The API key lacks the scope this call needs; `detail` names it."),
    "beyond_this_key": CodeSpec(403, "Beyond this key", "The request asks for more than the API key may do itself."),
    "origin_not_allowed": CodeSpec(
        403, "Origin not allowed", "Without an API key, only pages on the brand's destination hosts may call this."
    ),
    "needs_a_person": CodeSpec(403, "Needs a person", "A person approves; this API key belongs to a system."),
    "own_request": CodeSpec(
        403, "Own request", "You made the request yourself, with this key or another one of yours: another person approves it."
    ),
    "enrolled_later": CodeSpec(403, "Enrolled later", "You enrolled after the request was made: somebody else approves it."),
    "not_found": CodeSpec(404, "Not found", "It does not exist, or belongs to another brand."),
    "unknown_report": CodeSpec(404, "Unknown report", "There is no report of this name; `detail` lists those there are."),
    "method_not_allowed": CodeSpec(
        405, "Method not allowed", "The path exists, but not with this method; see the header Allow."
    ),
    "request_timeout": CodeSpec(
        408,
        "Request timeout",
        "The headers or the body arrived too slowly; nothing was recorded. Send it again.",
        retryable=True,
    ),
    "authorization_expired": CodeSpec(
        409, "Authorization expired", "The hold has timed out, and its points were released. It is too late to capture it."
    ),
    "released_points_gone": CodeSpec(
        409,
        "Released points gone",
        "The hold has timed out, and the customer does not have as many points as were to be captured any more.",
    ),
    "approval_decided": CodeSpec(409, "Approval decided", "The request was decided the other way before."),
    "approval_expired": CodeSpec(409, "Approval expired", "Nobody decided the request in time. Send a new one."),
    "maker_revoked": CodeSpec(
        409, "Maker revoked", "The API key that made the request was revoked or has expired. Decline it, and send a new one."
    ),
    "already_voided": CodeSpec(409, "Already voided", "The redemption was voided; nothing is left to capture."),
    "fully_captured": CodeSpec(409, "Fully captured", "The hold is already fully captured or released."),
    "capture_exceeds_authorized": CodeSpec(409, "Capture exceeds authorized", "The amount exceeds what is still held."),
    "refund_exceeds_captured": CodeSpec(
        409, "Refund exceeds captured", "The amount exceeds what was captured and not yet refunded."
    ),
    "not_attributed_yet": CodeSpec(
        409,
        "Not attributed yet",
        "Which grants were spent is not known yet up to the end of the period. Ask again in a minute.",
        retryable=True,
    ),
    "campaign_exists": CodeSpec(409, "Campaign exists", "The brand already has a different campaign with this id."),
    "message_exists": CodeSpec(409, "Message exists", "A different message with this id is registered for the customer."),
    "device_taken": CodeSpec(
        409,
        "Device taken",
        "The key is of another customer's device, or of one that was revoked. Have the app make a new pair.",
    ),
    "too_many_devices": CodeSpec(
        409, "Too many devices", "The customer has ten devices. Revoke those that they do not use any more."
    ),
    "nonce_taken": CodeSpec(409, "Nonce taken", "The device has signed another receipt with this nonce."),
    "code_batch_exists": CodeSpec(409, "Code batch exists", "The brand already has a different batch of codes with this id."),
    "code_taken": CodeSpec(409, "Code taken", "Each code pays one person, and somebody else has claimed it."),
    "point_value_changed": CodeSpec(
        409, "Point value changed", "The value of points has a newer version than the one you read."
    ),
    "limits_changed": CodeSpec(
        409, "Limits changed", "The brand's limits are not those that were to be replaced. Send a new request."
    ),
    "issue_limit_changed": CodeSpec(
        409, "Issue limit changed", "The limit of issue is not the one that was to be replaced. Send a new request."
    ),
    "link_host_taken": CodeSpec(
        409, "Link host taken", "Another brand has verified this host, and its DNS record is still there."
    ),
    "version_exists": CodeSpec(409, "Version exists", "The campaign already has a different version with this number."),
    "already_settled": CodeSpec(
        409, "Already settled", "The held-back points were already settled the other way: approved, or rejected."
    ),
    "not_held_back": CodeSpec(409, "Not held back", "The grant has no held-back points to approve or reject."),
    "budget_exhausted": CodeSpec(402, "Budget exhausted", "The campaign's budget has fewer points than requested."),
    "not_granted": CodeSpec(409, "Not granted", "The event was not paid, so there is nothing to take back."),
    "held_back": CodeSpec(409, "Held back", "The grant's points are held back: they can only be rejected as a whole."),
    "clawback_exceeds_grant": CodeSpec(
        409, "Claw-back exceeds grant", "Fewer points of the grant can be taken back than requested; `detail` says how many."
    ),
    "another_maker": CodeSpec(
        403, "Another maker", "A correction is started by the one who ordered it. Order one of your own."
    ),
    "correction_not_checked": CodeSpec(
        409,
        "Correction not checked",
        "The lines of the correction are still being checked. Ask for it until it is `checked`.",
        retryable=True,
    ),
    "correction_has_refusals": CodeSpec(
        409, "Correction has refusals", "Lines of the correction are wrong. Order it again without them."
    ),
    "correction_outdated": CodeSpec(
        409,
        "Correction outdated",
        "Another correction of the campaign was carried out since this one was ordered. Cancel it, and order it again.",
    ),
    "correction_changed": CodeSpec(409, "Correction changed", "The lines of the correction are not those that were checked."),
    "correction_ended": CodeSpec(409, "Correction ended", "The correction was cancelled, or has failed. Order a new one."),
    "replay_not_done": CodeSpec(
        409, "Replay not done", "The dry run has not come to its end. Ask for it until `done_at` is set.", retryable=True
    ),
    "replay_outdated": CodeSpec(
        409,
        "Replay outdated",
        "The source's mapping has changed since the dry run, or it was corrected by it already. Order another dry run.",
    ),
    "not_a_purchase": CodeSpec(
        409, "Not a purchase", "The grant is for something that was not bought, so nothing can be returned."
    ),
    "return_exists": CodeSpec(409, "Return exists", "Another return of this purchase has the same reference."),
    "return_exceeds_purchase": CodeSpec(
        409, "Return exceeds purchase", "Less is left of the purchase than is to be returned; `detail` says how much."
    ),
    "campaign_paused": CodeSpec(409, "Campaign paused", "The campaign is paused; resume it first."),
    "offer_exists": CodeSpec(
        409,
        "Offer exists",
        "The offer to this customer is of another campaign or lapses at another time, or the message makes another offer.",
    ),
    "period_not_over": CodeSpec(409, "Period not over", "The period is not over by the brand's clock."),
    "period_out_of_order": CodeSpec(
        409, "Period out of order", "Periods are closed one after the other; `detail` says where the next one begins."
    ),
    "position_beyond_end": CodeSpec(
        409,
        "Position beyond the end",
        "The feed ends before this position: the books were restored to an earlier time. Resume from a position before that.",
    ),
    "close_blocked": CodeSpec(409, "Close blocked", "The checklist has blockers; `errors` lists them. They cannot be skipped."),
    "close_has_warnings": CodeSpec(
        409, "Close has warnings", "The checklist has warnings; `errors` lists them. Skip each with a reason, or resolve it."
    ),
    "points_held": CodeSpec(
        409,
        "Points held",
        "Points of the customer are set aside for a purchase, or held back: capture, void, approve or reject them first.",
        retryable=True,
    ),
    "customer_not_confirmed": CodeSpec(
        409,
        "Customer not confirmed",
        "To redeem, the customer needs the brand's own id, or must be named by a verified name.",
    ),
    "identity_conflict": CodeSpec(
        409,
        "Identity conflict",
        "The email, phone or device belongs to another customer, who is not merged implicitly; `errors` names it.",
    ),
    "proof_withdrawn": CodeSpec(409, "Proof withdrawn", "This proof was withdrawn; verify the name with another one."),
    "merge_limit_reached": CodeSpec(409, "Merge limit reached", "At most eight customers can be merged into one."),
    "consent_refused": CodeSpec(409, "Consent refused", "The customer has refused to be contacted on this channel."),
    "nothing_to_split": CodeSpec(
        409, "Nothing to split", "The name does not belong to a customer who was merged into this one."
    ),
    "files_lost": CodeSpec(
        409, "Files lost", "The files of the export are gone, say since a restore. Have them made again: `POST .../remake`."
    ),
    "claim_expired": CodeSpec(410, "Claim expired", "The claim comes too long after the visit."),
    "link_expired": CodeSpec(410, "Link expired", "The reward link has expired."),
    "customer_erased": CodeSpec(410, "Customer erased", "The customer was erased; nothing is recorded about them."),
    "link_revoked": CodeSpec(410, "Link revoked", "The brand has withdrawn the reward link."),
    "invitation_refused": CodeSpec(410, "Invitation refused", "The invitation is unknown, was used, or has expired."),
    "too_large": CodeSpec(413, "Too large", "The body, as sent or decompressed, exceeds the limit of this call."),
    "url_too_long": CodeSpec(414, "URL too long", "The path and query exceed 8,192 bytes."),
    "unsupported_media_type": CodeSpec(
        415, "Unsupported media type", "This call does not accept the Content-Type, its charset or the Content-Encoding."
    ),
    "range_not_satisfiable": CodeSpec(
        416, "Range not satisfiable", "The file is shorter than where the requested range begins; see Content-Range."
    ),
    "unknown_field": CodeSpec(422, "Unknown field", "This call does not know a field of the body or a query parameter."),
    "invalid_field": CodeSpec(
        422,
        "Invalid field",
        "A field, a query parameter or a part of the path is missing, repeated, of the wrong type or out of bounds.",
    ),
    "instant_before_book": CodeSpec(422, "Instant before the book", "At that instant the book had no transfers yet."),
    "instant_in_future": CodeSpec(422, "Instant in the future", "The instant is later than the book's clock."),
    "period_before_book": CodeSpec(422, "Period before the book", "The period is over before the book's first transfer."),
    "filter_too_broad": CodeSpec(
        422, "Filter too broad", "To answer this would be to read the whole log. Add one of the filters that `errors` names."
    ),
    "receipt_stale": CodeSpec(
        422, "Receipt stale", "It happened more than seven days ago, or more than five minutes ahead: check the device's clock."
    ),
    "unknown_campaign": CodeSpec(422, "Unknown campaign", "The brand has no campaign with this id."),
    "occurred_at_out_of_range": CodeSpec(422, "Time out of range", "`occurred_at` is too far in the past or in the future."),
    "idempotency_key_reused": CodeSpec(422, "Idempotency key reused", "The key was used before with a different request."),
    "claim_too_early": CodeSpec(
        425,
        "Claim too early",
        "Too soon to tell whether the visit was a scanner's, or the database was down when it happened and it is not recorded "
        "yet. Wait for Retry-After.",
        retryable=True,
    ),
    "too_many_receipts": CodeSpec(
        429,
        "Too many receipts",
        "The device has reported 200 acts today. Send the rest tomorrow, while they are not older than a week.",
        retryable=True,
    ),
    "quota_exceeded": CodeSpec(
        429, "Quota exceeded", "The key has used up its quota for this minute. Wait for Retry-After.", retryable=True
    ),
    "share_exceeded": CodeSpec(
        429,
        "Share exceeded",
        "You hold your full share of the requests in flight while others wait; nothing was recorded. Wait for Retry-After.",
        retryable=True,
    ),
    "too_many_guesses": CodeSpec(
        429,
        "Too many guesses",
        "There is no such code or invitation, and this address has tried many. Wait for Retry-After.",
        retryable=True,
    ),
    "too_many_exports": CodeSpec(
        429, "Too many exports", "The brand has ten exports under way. Wait for one of them, or cancel it.", retryable=True
    ),
    "too_many_corrections": CodeSpec(
        429, "Too many corrections", "The brand has twenty corrections that are not done. Cancel one of them.", retryable=True
    ),
    "headers_too_large": CodeSpec(
        431, "Headers too large", "There are more than 100 headers, or headers and path exceed 32,768 bytes."
    ),
    "internal_error": CodeSpec(
        500, "Internal error", "An error on our side; it is logged under the request id.", retryable=True
    ),
    "report_does_not_tie": CodeSpec(
        500,
        "Report does not tie",
        "A figure of the report differs from the books; `detail` has both. No report is made of it: tell us.",
    ),
    "overloaded": CodeSpec(
        503, "Overloaded", "Too much is waiting; nothing was recorded. Wait for Retry-After.", retryable=True
    ),
    "file_unavailable": CodeSpec(
        503, "File unavailable", "The file of an export cannot be read at the moment. Try again later.", retryable=True
    ),
    "database_unavailable": CodeSpec(
        503,
        "Database unavailable",
        "The database is unavailable; whether the request took effect is unknown. Send it again.",
        retryable=True,
    ),
}


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field. ``pointer`` is a JSON pointer into the body; a query parameter's begins with ``?``."""

    pointer: str
    """Where it is: a JSON pointer into the body, `?` and a query parameter, or the name of a value in the path in braces."""
    code: str
    """What is wrong, as one of the codes of `/docs/errors`."""
    detail: str
    """What would be right, for people."""


class ProblemDocument(msgspec.Struct, frozen=True):
    """The body of every refusal (RFC 9457). Tell problems apart by ``code``; ``detail`` is for people and may change."""

    type: str
    """Where the code is explained: a path of this service."""
    title: str
    """The code in a few words, for people."""
    status: int
    """The HTTP status of the answer; in a batch, of the item."""
    code: str
    """What is wrong, for programs: one of the codes of `/docs/errors`."""
    detail: str
    """What is wrong with this request, for people. It may change."""
    retryable: bool
    """Whether the same request may succeed when it is sent again later."""
    request_id: str
    """The answer's `X-Request-Id`, to find the request in both logs."""
    errors: Sequence[FieldError] = ()
    """The fields that are wrong; empty where no single field is."""


class Problem(Exception):
    """A refusal. Its status, title and whether it is retryable come from ``CODES``."""

    def __init__(
        self, code: str, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.spec = CODES[code]
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.spec.status

    def document(self, request_id: str) -> ProblemDocument:
        """Return the body to send."""
        return ProblemDocument(
            type=TYPE_PREFIX + self.code,
            title=self.spec.title,
            status=self.spec.status,
            code=self.code,
            detail=self.detail,
            retryable=self.spec.retryable,
            request_id=request_id,
            errors=self.errors,
        )


def invalid_field(pointer: str, detail: str, *, code: str = "invalid_field") -> Problem:
    """Return the problem with one field: ``invalid_field("/rules/0/points", "must be at least 1")``."""
    where = pointer or "the body"
    return Problem(code, f"{where}: {detail}", errors=[FieldError(pointer=pointer, code=code, detail=detail)])


def invalid_fields(errors: Sequence[FieldError]) -> Problem:
    """Return the problem with several fields, all of them named. The first says which code it is."""
    detail = "; ".join(f"{error.pointer or 'the body'}: {error.detail}" for error in errors)
    return Problem(errors[0].code, detail, errors=errors)


def not_found(what: str) -> Problem:
    """Return the problem for a thing that does not exist, or that another brand owns: ``not_found("redemption")``."""
    return Problem("not_found", f"There is no such {what}.")


def problem_of(error: Exception) -> Problem:
    """Turn any error into the problem that the caller is told."""
    match error:
        case Problem():
            return error
        case Overloaded():
            return Problem("overloaded", CODES["overloaded"].meaning, headers={"Retry-After": str(error.retry_after_s)})
        case TooManyWaiting():
            return Problem("overloaded", str(error), headers={"Retry-After": str(RETRY_AFTER_S)})
        case EngineExhausted():
            return Problem("overloaded", CODES["overloaded"].meaning, headers={"Retry-After": str(RETRY_AFTER_S)})
        case LedgerUnavailable() | ClockSkew():
            return _database_unavailable()
        case BookRefused():
            return not_found("book")
        case DataRefused():
            return Problem("invalid_field", "The database refused this item's data.")
        case ValidationException():
            return _invalid_parameters(error)
        case HTTPException():
            return _problem_of_http(error)
        case _ if is_away(error):
            return _database_unavailable()
        case _:
            return Problem("internal_error", CODES["internal_error"].meaning)


REFUSALS: Mapping[Refusal, Problem] = {
    Refusal.OVERLOADED: problem_of(Overloaded(RETRY_AFTER_S)),
    Refusal.OVER_SHARE: Problem(
        "share_exceeded",
        "You hold your full share of the requests in flight while others wait.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    ),
}
"""What a client is told of whom nothing more is taken on: always the same objects, so they are sent and never raised."""


def _database_unavailable() -> Problem:
    spec = CODES["database_unavailable"]
    return Problem("database_unavailable", spec.meaning, headers={"Retry-After": str(RETRY_AFTER_S)})


def _invalid_parameters(error: ValidationException) -> Problem:
    # One entry a parameter; a parameter that is missing is only in the message.
    found = cast("list[dict[str, Any]]", error.extra or [])
    if any(item.get("source") == "path" for item in found):
        # A path with a part of the wrong form names nothing that exists.
        return not_found("thing")
    errors = [
        FieldError(
            f"?{item.get('key', '')}", "invalid_field", validation_messages.describe(str(item.get("message", "is not valid")))
        )
        for item in found
    ]
    if not errors:
        name = error.detail.partition("parameter ")[2].partition(" ")[0].strip("'")
        errors = [FieldError(f"?{name}", "invalid_field", "is required")]
    return invalid_fields(errors)


def _problem_of_http(error: HTTPException) -> Problem:
    headers = error.headers or {}
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return Problem("not_found", "There is nothing at this path.")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get("allow", "")
            return Problem("method_not_allowed", f"This path takes {allowed}.", headers={"Allow": allowed})
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Problem("too_large", CODES["too_large"].meaning)
        case HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Problem("unsupported_media_type", CODES["unsupported_media_type"].meaning)
        case HTTPStatus.UNAUTHORIZED:
            return Problem("unauthorized", CODES["unauthorized"].meaning, headers={"WWW-Authenticate": "Bearer"})
        case HTTPStatus.BAD_REQUEST:
            return Problem("malformed_request", "The request line, the path or a header cannot be read.")
        case _:
            return Problem("internal_error", CODES["internal_error"].meaning)


def describe(scope: Any, error: Exception) -> tuple[Problem, ProblemDocument]:
    """The problem that ``error`` is, and the body that says so; what is our fault goes to the log without its message."""
    problem = problem_of(error)
    state: dict[str, Any] = scope["state"]
    request_id = str(state.get("request_id", ""))
    state["problem_code"] = problem.code
    if problem.code == "internal_error":
        log.error_with_frames("request_failed", error, request_id=request_id)
    return problem, problem.document(request_id)


def wire(problem: Problem, document: ProblemDocument) -> tuple[Headers, bytes]:
    """The headers and the body of the answer that says so."""
    body = _encode(document)
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return [*headers, (b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))], body


async def send_problem(scope: Any, send: Send, error: Exception) -> None:
    """Answer with the problem that ``error`` is, outside the framework."""
    problem, document = describe(scope, error)
    headers, body = wire(problem, document)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDocument]:
    """Answer with the problem that ``error`` is."""
    problem, document = describe(request.scope, error)
    return Response(content=document, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


exception_handlers: dict[int | type[Exception], Any] = {HTTPException: answer, Exception: answer}
