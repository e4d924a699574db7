"""The table of dry runs: what became of each event, and what would."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from service.storage.database import metadata

# A row is an event, or one more grant that was posted for it. It goes with the envelopes.
replayed_event = Table(
    "replayed_event",
    metadata,
    Column("replay_no", Integer, nullable=False),
    Column("envelope_no", BigInteger, nullable=False),
    Column("line", Integer, nullable=False),
    # Its place in the envelope; NULL: it is not known which of the events the grant was posted for.
    Column("index", Integer),
    Column("change", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("then_outcome", Text),
    Column("then_reason", Text),
    Column("then_grant", Text),
    Column("then_points", BigInteger, nullable=False),
    # What could be taken back of it, as of the dry run; NULL: it was not this source that reported it first.
    Column("left_points", BigInteger),
    # Whether it is to be taken back: once for each grant, and if no event of the range is keyed so any more.
    Column("takes", Boolean, nullable=False, server_default="false"),
    Column("now_outcome", Text),
    Column("now_reason", Text),
    Column("now_grant", Text),
    Column("now_points", BigInteger, nullable=False),
    # A keyed hash of campaign, message, person and action: the act that it would be.
    Column("act", LargeBinary),
    Column("campaign", Text),
    Column("customer", BigInteger),
    # Of a correction: begun, or left out because something has changed since.
    Column("state", Text),
    PrimaryKeyConstraint("replay_no", "envelope_no", "line", name="replayed_event_pkey"),
    ForeignKeyConstraint(["replay_no"], ["rewards.source_replay.replay_no"], name="replayed_event_belongs_to_replay"),
    CheckConstraint("change IN ('same', 'new', 'changed', 'rekeyed', 'no_longer')", name="replayed_event_change_is_known"),
    CheckConstraint("state IN ('begun', 'outdated')", name="replayed_event_state_is_known"),
    Index("replayed_event_by_grant", "replay_no", "now_grant", postgresql_where="now_grant IS NOT NULL"),
)
