"""The table of app devices: an app's installation on a customer's phone, and the key that it signs with."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, Identity, Index, Integer, LargeBinary, Table, func

from service.storage.database import metadata

# A look-up table: so no foreign keys.
app_device = Table(
    "app_device",
    metadata,
    Column("device_no", BigInteger, Identity(always=True), primary_key=True),
    # Random: it is all that an app names itself by.
    Column("device_id", LargeBinary, nullable=False),
    Column("brand_id", Integer, nullable=False),
    Column("customer", BigInteger, nullable=False),
    # Its SubjectPublicKeyInfo, in DER.
    Column("public_key", LargeBinary, nullable=False),
    Column("daily_points_max", BigInteger),
    Column("enrolled_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("enrolled_by", Integer, nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    # What it has reported and earned on a business day, and the nonces that it used recently.
    Column("day", Date),
    Column("receipts", Integer, nullable=False, server_default="0"),
    Column("points", BigInteger, nullable=False, server_default="0"),
    Column("nonces", LargeBinary, nullable=False, server_default=""),
    CheckConstraint("octet_length(device_id) = 12", name="app_device_id_is_12_bytes"),
    CheckConstraint("daily_points_max > 0", name="app_device_daily_points_are_an_amount"),
    Index("app_device_by_id", "device_id", unique=True),
    Index("app_device_by_key", "brand_id", "public_key", unique=True),
    Index("app_device_by_customer", "customer", "device_no"),
)
