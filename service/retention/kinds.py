"""The kinds of data that are kept for a time, and which of them each table and each place on the disk has.

What is not named here has no personal data, or our numbers alone (see `service/erasure/scope.py`); a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.settings import DAYS_MIN, Settings

UNTIL_ERASED = "until the customer is erased"
FOR_EVER = "for ever"


class Kind(msgspec.Struct, frozen=True):
    """A kind of data: what goes when its time is over, and who sees to it. ``setting`` is that of its days."""

    setting: str
    goes: str
    kept_by: str
    without: str = UNTIL_ERASED
    shortest: int = 1

    @property
    def days(self) -> int:
        """The default."""
        default = next(each.default for each in msgspec.structs.fields(Settings) if each.name == self.setting)
        assert isinstance(default, int)
        return default

    def row(self, name: str) -> str:
        """Its row on the page about privacy."""
        default = f"{self.days:,}" if self.days else f"0: {self.without}"
        least = DAYS_MIN.get(self.setting, self.shortest)
        return f"| {name} | {self.goes} | `REWARDS_{self.setting.upper()}` | {default} | {least} | {self.kept_by} |"


_KEEPER = "the retention keeper"

KINDS: Mapping[str, Kind] = {
    "clicks": Kind(
        "clicks_days", "the request for a link: when, from which network, by which browser's hash", "the click pruner"
    ),
    "links": Kind(
        "links_days",
        "links that expired longer ago than that. Their addresses are unknown from then on",
        _KEEPER,
    ),
    "messages": Kind(
        "messages_days",
        "messages that were registered, and which of them a reply answers; offers, once their campaign is over for as long",
        _KEEPER,
    ),
    "reply_texts": Kind("reply_texts_days", "what customers have replied with, as keyed hashes", _KEEPER),
    "details": Kind(
        "details_days",
        "message, label and metadata of events; group and message of what the feed says of offers; order references;"
        " references and notes of captures, refunds, returns and corrections. The hash of them stays, except of offers, which"
        " have none. What still waits for evidence or approval keeps them",
        _KEEPER,
    ),
    "answers": Kind(
        "answers_days",
        "the answer under an idempotency key. A request that is sent again later is a new one",
        _KEEPER,
        without=FOR_EVER,
    ),
    "looks": Kind(
        "looks_days", "which person looked at which customer. Acts stay in the audit trail", _KEEPER, without=FOR_EVER
    ),
    "consent_texts": Kind("consent_texts_days", "where a customer said what they consent to. What and when stays", _KEEPER),
    "approvals": Kind("approvals_days", "what was asked for a customer, the note and the answer. Who and when stays", _KEEPER),
    "dead_letters": Kind("dead_letters_days", "acts that could not be settled", "each API process"),
    "envelopes": Kind("envelopes_days", "requests of messaging providers, as they came", "the envelope pruner"),
    "exports": Kind("exports_days", "the files of an export", "the export pruner"),
}

TABLES: Mapping[str, str] = {
    "ledger.correction": "details",
    "ledger.customer_state": FOR_EVER,
    "ledger.event": "details",
    "ledger.idempotency_key": "answers",
    "ledger.offer_notice": "details",
    "ledger.pending": "it is decided, or falls due",
    "ledger.proof": FOR_EVER,
    "ledger.purchase_return": "details",
    "ledger.redemption": "details",
    "ledger.redemption_step": "details",
    "rewards.answered_message": "messages",
    "rewards.app_device": UNTIL_ERASED,
    "rewards.approval": "approvals",
    "rewards.audit_trail": "looks",
    "rewards.consent": "consent_texts",
    "rewards.console_login": FOR_EVER,
    "rewards.console_passkey": FOR_EVER,
    "rewards.customer": FOR_EVER,
    "rewards.envelope": "envelopes",
    "rewards.erasure": FOR_EVER,
    "rewards.identity": UNTIL_ERASED,
    "rewards.link": "links",
    "rewards.link_code": FOR_EVER,
    "rewards.link_revocation": FOR_EVER,
    "rewards.message": "messages",
    "rewards.offer": "messages",
    "rewards.offer_message": "messages",
    "rewards.person": FOR_EVER,
    "rewards.preference": UNTIL_ERASED,
    "rewards.reply_text": "reply_texts",
    "rewards.tombstone": FOR_EVER,
    "rewards.touch": "clicks",
    "rewards.verification": UNTIL_ERASED,
}
"""Tables that have more than our numbers: a kind, or how long they are kept."""
