"""What waits on the disks of machines, as they say."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, Table, Text

from service.storage.database import metadata

# One row a spool, which is a directory. waiting_since is of the first report since which each found something, or NULL.
spool_report = Table(
    "spool_report",
    metadata,
    Column("spool", Text, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("waiting_since", DateTime(timezone=True)),
    Column("reported_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("files >= 0", name="spool_report_files_are_an_amount"),
)
