"""What an erasure does in each table, and in each place on the disk. `docs/privacy.md` says the same; tests hold both to it.

Our numbers are what stays: without the names they are nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping

KEPT = "Kept: it names no customer."
NUMBERS = "Kept: our numbers and points."
SEALED = (
    "Kept sealed until its time, as one request names many; then it is removed, with its key. Read again, it earns an erased"
    " customer nothing."
)
EXPORTED = "Kept until the files of the export are removed, so that the bundle can be verified; later exports have none of it."

TABLES: Mapping[str, str] = {
    "ledger.account": NUMBERS,
    "ledger.balance_import": KEPT,
    "ledger.brought": NUMBERS,
    "ledger.cap_recent": NUMBERS,
    "ledger.cap_use": NUMBERS,
    "ledger.close": KEPT,
    "ledger.close_balance": NUMBERS,
    "ledger.correction": "The reference, the note and the salt are removed. Reason and points stay, with a hash of what was"
    " removed.",
    "ledger.customer_state": "Kept: our number, that it was erased, and no points.",
    "ledger.cut": KEPT,
    "ledger.cut_balance": NUMBERS,
    "ledger.daily_movement": KEPT,
    "ledger.event": "Message, label, metadata and salt are removed. Action, channel, grade, source, key, version and rule stay,"
    " with a hash of what was removed.",
    "ledger.forgotten": KEPT,
    "ledger.head": KEPT,
    "ledger.idempotency_key": "Answers about the customer's redemptions and corrections are deleted. Refused authorizations"
    " stay, as a balance and two hashes.",
    "ledger.layer_reader": KEPT,
    "ledger.lot_layers": NUMBERS,
    "ledger.offer_notice": "Group and message are removed. That an offer lapsed, or fell back from which channel, stays.",
    "ledger.pending": "There is none: nobody is erased while points are held back.",
    "ledger.proof": "Kept: a hash of message and number, and a grade.",
    "ledger.purchase_return": "The hashes of the reference and of the request, and the answer, are removed. Amounts and"
    " points stay.",
    "ledger.redemption": "The order reference and the salt are removed. Value, store and terminal stay, with a hash of what was"
    " removed.",
    "ledger.redemption_step": "Reference and salt are removed. Store and terminal stay, with a hash of what was removed.",
    "ledger.redemption_layer": NUMBERS,
    "ledger.shortfall": NUMBERS,
    "ledger.spell": NUMBERS,
    "ledger.transfer": NUMBERS,
    "ledger.transfer_layer": NUMBERS,
    "rewards.alembic_version": KEPT,
    "rewards.answered_message": "The message is removed. That a reply was looked at stays, as a hash.",
    "rewards.api_key": KEPT,
    "rewards.adjustment_reason": KEPT,
    "rewards.app_device": "Deleted.",
    "rewards.approval": "What was asked for the customer, the note and the answer are removed.",
    "rewards.approval_policy": KEPT,
    "rewards.approval_use": NUMBERS,
    "rewards.audit_trail": "Kept: acts of the brand's people, with our numbers.",
    "rewards.batch_code": NUMBERS,
    "rewards.brand": KEPT,
    "rewards.brand_logo": KEPT,
    "rewards.brand_point_value": KEPT,
    "rewards.campaign": KEPT,
    "rewards.campaign_version": KEPT,
    "rewards.close_version": KEPT,
    "rewards.code_batch": KEPT,
    "rewards.console_login": "Kept: people who work for the brand.",
    "rewards.console_passkey": "Kept: people who work for the brand.",
    "rewards.console_session": KEPT,
    "rewards.consent": "Where it was said is removed. Channel, decision, reason and time stay, as the brand's evidence.",
    "rewards.correction_job": KEPT,
    "rewards.correction_line": NUMBERS,
    "rewards.customer": "Kept: our number, that it was erased and when, and who was merged into whom.",
    "rewards.destination": KEPT,
    "rewards.envelope": SEALED,
    "rewards.envelope_key": KEPT,
    "rewards.envelope_outcome": KEPT,
    "rewards.erasure": "Kept: our numbers, who asked, when, and how many points were forfeited.",
    "rewards.estimate": KEPT,
    "rewards.export_job": KEPT,
    "rewards.identity_provider": KEPT,
    "rewards.identity": "Deleted. The keyed hash of each name becomes a tombstone, which does not say whose it was.",
    "rewards.key_quota": KEPT,
    "rewards.link": "Message and label are removed, and the link is revoked. Campaign, channel and times stay.",
    "rewards.link_code": "Kept: the hash of a code and of its link.",
    "rewards.link_host": KEPT,
    "rewards.link_revocation": "Kept: messages that were revoked, for all who got them.",
    "rewards.message": "Deleted.",
    "rewards.minting_key": KEPT,
    "rewards.offer": "Deleted.",
    "rewards.offer_message": "Deleted.",
    "rewards.parted": NUMBERS,
    "rewards.person": "Kept: people who work for the brand.",
    "rewards.preference": "Deleted.",
    "rewards.replayed_event": NUMBERS,
    "rewards.reply_text": "Deleted.",
    "rewards.restatement": KEPT,
    "rewards.retention": KEPT,
    "rewards.source": KEPT,
    "rewards.source_head": KEPT,
    "rewards.source_reader": KEPT,
    "rewards.source_replay": KEPT,
    "rewards.spool_report": KEPT,
    "rewards.tombstone": "The keyed hashes of the customer's names, and when they were erased.",
    "rewards.touch": "Deleted.",
    "rewards.touch_count": KEPT,
    "rewards.touch_reader": KEPT,
    "rewards.verification": "Proofs and reasons are removed. That a name was verified, how and when, stays.",
}

PLACES: Mapping[str, str] = {
    "spool: *.spool": "Acts that wait earn nothing once they are settled, which takes seconds while the database is there.",
    "spool: aside": "Dead letters of the customer are removed within a minute by each API process.",
    "spool: refused": "As `aside`, where it can be read whose they are.",
    "spool: envelopes": "Kept sealed for the seconds or hours that the database is away.",
    "spool: known": KEPT,
    "secrets": KEPT,
    "erasures": "Our numbers and the time, so that a restored backup is erased again.",
    "backup": "Kept as long as you keep backups. Once one is restored, the list of erasures is applied before it is served.",
    "log": "Kept: it names no customer.",
    **{
        f"export: {name}": EXPORTED
        for name in (
            "accounts.csv",
            "accounts.jsonl",
            "accounts.parquet",
            "customers.csv",
            "dim_campaign.parquet",
            "dim_customer.parquet",
            "fact_event.parquet",
            "fact_link.parquet",
            "fact_transfer.parquet",
            "journal.beancount",
            "journal.hledger",
            "summary.csv",
            "transfer_details.csv",
            "transfer_details.parquet",
            "transfers.csv",
            "transfers.jsonl",
            "transfers.parquet",
        )
    },
}
