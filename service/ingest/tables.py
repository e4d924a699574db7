"""The tables of sources: what they are set up with, what their providers sent, and what became of it.

A source's envelopes are numbered from 1 without gaps, in the order in which they are committed: the head's row is locked for
it. So a number is all that an agent has to remember of how far it has read.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.storage.database import metadata

source = Table(
    "source",
    metadata,
    Column("source_no", Integer, Identity(always=True), primary_key=True),
    Column("brand_id", Integer, nullable=False),
    # The secret part of its address.
    Column("address", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("public_url", Text, nullable=False),
    Column("trust", Text, nullable=False),
    Column("campaign", Text),
    Column("daily_points_max", BigInteger),
    Column("silent_after_hours", Integer),
    Column("secrets", LargeBinary, nullable=False),
    # It reports in this key's name, and no more once the key is revoked or has expired.
    Column("api_key_id", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("disabled_at", DateTime(timezone=True)),
    # What the brand says of its own JSON; NULL: the provider's is known.
    Column("shape", JSONB(none_as_null=True)),
    # Counts what decides which act an event is: the shape and the campaign. And since when events of a request are numbered so.
    Column("mapping", Integer, nullable=False, server_default="1"),
    Column("numbered_since", Integer, nullable=False, server_default="1"),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="source_belongs_to_brand"),
    ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="source_reports_in_the_name_of_a_key"),
    CheckConstraint("octet_length(address) = 12", name="source_address_is_12_bytes"),
    CheckConstraint("daily_points_max > 0", name="source_daily_points_are_an_amount"),
    CheckConstraint("silent_after_hours > 0", name="source_is_silent_after_a_while"),
    Index("source_by_brand", "brand_id", "source_no"),
    Index("source_by_key", "api_key_id"),
)

# What changes with every request is apart from what somebody set up.
source_head = Table(
    "source_head",
    metadata,
    Column("source_no", Integer, primary_key=True, autoincrement=False),
    Column("last_no", BigInteger, nullable=False, server_default="0"),
    Column("verified_at", DateTime(timezone=True)),
    Column("refused_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_head_belongs_to_source"),
    postgresql_with={"fillfactor": "50"},
)

# How far the agent has come, and what the source has paid on a day of the brand's. ``began_at`` is set while a batch is posted:
# what was decided since then is the batch's own, also for the next agent.
source_reader = Table(
    "source_reader",
    metadata,
    Column("source_no", Integer, primary_key=True, autoincrement=False),
    Column("read_no", BigInteger, nullable=False, server_default="0"),
    Column("began_at", DateTime(timezone=True)),
    Column("day", Date),
    Column("points", BigInteger, nullable=False, server_default="0"),
    ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_reader_belongs_to_source"),
    CheckConstraint("points >= 0", name="source_points_are_an_amount"),
    postgresql_with={"fillfactor": "50"},
)

# Envelopes of a day are sealed with its key, which is sealed with one that follows from the secrets: without this row nobody
# reads them, wherever a copy of them may be.
envelope_key = Table(
    "envelope_key",
    metadata,
    Column("day", Date, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

# One partition a day, forty in turn, as of touches: of the day on which it is stored.
envelope = Table(
    "envelope",
    metadata,
    Column("slot", SmallInteger, nullable=False),
    Column("source_no", Integer, nullable=False),
    Column("envelope_no", BigInteger, nullable=False),
    # Made when it came, so that what waited on the local disk is stored once.
    Column("id", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("key_day", Date, nullable=False),
    # NULL: it was refused, and too large to be kept.
    Column("sealed", LargeBinary),
    PrimaryKeyConstraint("source_no", "envelope_no", "slot", name="envelope_pkey"),
    UniqueConstraint("id", "slot", name="envelope_is_stored_once"),
    CheckConstraint("verdict IN ('verified', 'unverified', 'stale', 'forged', 'unsigned')", name="envelope_verdict_is_known"),
    CheckConstraint("octet_length(id) = 16", name="envelope_id_is_16_bytes"),
    postgresql_partition_by="LIST (slot)",
)

# What became of an envelope's events, each time it was read: they are packed (outcomes.py), as nobody asks for one of them.
envelope_outcome = Table(
    "envelope_outcome",
    metadata,
    Column("slot", SmallInteger, nullable=False),
    Column("source_no", Integer, nullable=False),
    Column("envelope_no", BigInteger, nullable=False),
    # 0: read when it came. Above: the replay that read it again.
    Column("replay_no", Integer, nullable=False, server_default="0"),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("events", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("outcomes", LargeBinary, nullable=False),
    # The mapping of the source that decided it.
    Column("mapping", Integer, nullable=False, server_default="1"),
    PrimaryKeyConstraint("source_no", "envelope_no", "replay_no", "slot", name="envelope_outcome_pkey"),
    postgresql_partition_by="LIST (slot)",
)

# What a customer has replied with, and by which reply first: a keyed hash of the words, the customer and what it answers.
reply_text = Table(
    "reply_text",
    metadata,
    Column("text", LargeBinary, nullable=False),
    Column("customer", BigInteger, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("text", name="reply_text_pkey"),
    CheckConstraint("octet_length(text) = 16", name="reply_text_is_a_hash"),
    CheckConstraint("octet_length(reply) = 16", name="reply_text_reply_is_a_hash"),
    Index("reply_text_by_customer", "customer"),
    Index("reply_text_to_forget", "said_at"),
)

# Envelopes that are to be read again. ``read_no`` is how far that has come.
source_replay = Table(
    "source_replay",
    metadata,
    Column("replay_no", Integer, Identity(always=True), primary_key=True),
    Column("source_no", Integer, nullable=False),
    Column("first_no", BigInteger, nullable=False),
    Column("last_no", BigInteger, nullable=False),
    Column("read_no", BigInteger, nullable=False),
    Column("asked_by", Integer, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("done_at", DateTime(timezone=True)),
    Column("mode", Text, nullable=False, server_default="replay"),
    # The source's mapping when it was asked for.
    Column("mapping", Integer, nullable=False, server_default="1"),
    # Of a dry run that is done: what it found, and the hash of what a correction would do. Or why it was given up.
    Column("totals", JSONB(none_as_null=True)),
    Column("lines_hash", LargeBinary),
    Column("error", Text),
    # Of a correction: the dry run whose lines are carried out, and why.
    Column("corrects", Integer),
    Column("reason", Text),
    ForeignKeyConstraint(["source_no"], ["rewards.source.source_no"], name="source_replay_belongs_to_source"),
    ForeignKeyConstraint(["corrects"], ["rewards.source_replay.replay_no"], name="source_replay_corrects_by_a_dry_run"),
    UniqueConstraint("corrects", name="source_replay_corrects_once"),
    CheckConstraint("mode IN ('replay', 'dry_run', 'correction')", name="source_replay_mode_is_known"),
    CheckConstraint("(mode = 'correction') = (corrects IS NOT NULL)", name="source_replay_corrects_if_it_is_a_correction"),
    CheckConstraint("first_no BETWEEN 1 AND last_no", name="source_replay_is_of_a_range"),
    Index("source_replay_by_source", "source_no", "replay_no"),
    Index("source_replay_that_is_open", "source_no", "replay_no", postgresql_where="done_at IS NULL"),
)
