"""What the document has of each table that says whose its rows are, or why it has nothing. A test holds it to the catalog."""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS: Mapping[str, str] = {
    "ledger.correction": "corrections",
    "ledger.event": "acts",
    "ledger.offer_notice": "offer_notices",
    "ledger.redemption": "redemptions",
    "ledger.shortfall": "shortfalls",
    "ledger.transfer": "transfers",
    "rewards.app_device": "devices",
    "rewards.approval": "approvals",
    "rewards.audit_trail": "recorded_acts",
    "rewards.batch_code": "codes",
    "rewards.consent": "consents",
    "rewards.customer": "customer",
    "rewards.erasure": "erasures",
    "rewards.identity": "identities",
    "rewards.link": "links",
    "rewards.message": "messages",
    "rewards.offer": "offers",
    "rewards.offer_message": "offers",
    "rewards.preference": "preferences",
    "rewards.touch": "clicks",
    "rewards.verification": "verifications",
}
"""Tables, by the section that has their rows."""

LEFT_OUT: Mapping[str, str] = {
    "ledger.brought": "says again what transfers say: what each customer brought into a merge",
    "ledger.cap_recent": "counts grants, which are among the transfers",
    "ledger.cap_use": "counts grants, which are among the transfers",
    "ledger.customer_state": "sums of the transfers, and into whom they were merged, as in `customer`",
    "ledger.pending": "is what `customer` has as pending, grant by grant: each is among the transfers",
    "ledger.spell": "who was merged with whom and until when, in our numbers alone: the transfers say it",
    "rewards.answered_message": "which message a reply was taken to answer: what it earned is among the transfers",
    "rewards.approval_use": "sums of the amounts of approvals and corrections",
    "rewards.console_login": "is of a person who works for the brand: `subject` is whom their identity provider means",
    "rewards.correction_line": "a line of a job: what it did is among the corrections",
    "rewards.link_code": "a hash of a link's short code",
    "rewards.replayed_event": "a line of a dry run: what was posted is among the transfers",
    "rewards.reply_text": "keyed hashes of what they replied with, which nobody can read",
    "rewards.parted": "our numbers of customers who were one: their names are not held",
}
"""Tables with nothing in the document, and why."""
