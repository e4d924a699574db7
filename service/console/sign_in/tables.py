"""How persons sign in to the console, and where they are signed in. The application reaches both through functions alone."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from service.storage.database import metadata

console_login = Table(
    "console_login",
    metadata,
    Column("person_id", Integer, primary_key=True, autoincrement=False),
    Column("brand_id", Integer, nullable=False),
    # What they call themselves when they sign in, in lower case.
    Column("login", Text, nullable=False),
    # What they do is done with this key, of which nobody has the text.
    Column("api_key_id", Integer, nullable=False),
    # Argon2id, with its salt and parameters. NULL: they sign in by other means.
    Column("password_hash", Text),
    # Sealed with a key that the database does not have.
    Column("totp_secret", LargeBinary),
    # Who they are to the brand's identity provider, if they sign in there.
    Column("subject", Text),
    # Of the last one-time code that was used: none of then or before is good again.
    Column("totp_step", BigInteger, nullable=False, server_default="0"),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["person_id"], ["rewards.person.person_id"], name="console_login_belongs_to_person"),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="console_login_belongs_to_brand"),
    ForeignKeyConstraint(["api_key_id"], ["rewards.api_key.api_key_id"], name="console_login_acts_with_a_key"),
    UniqueConstraint("brand_id", "login", name="console_login_is_unique"),
    UniqueConstraint("brand_id", "subject", name="console_login_subject_is_unique"),
    CheckConstraint("octet_length(login) BETWEEN 1 AND 256", name="console_login_is_a_name"),
    CheckConstraint("(password_hash IS NULL) = (totp_secret IS NULL)", name="console_login_has_both_factors"),
)

console_session = Table(
    "console_session",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("person_id", Integer, nullable=False),
    Column("signed_in_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["person_id"], ["rewards.console_login.person_id"], name="console_session_belongs_to_login"),
    CheckConstraint("octet_length(session_hash) = 32", name="console_session_hash_is_a_sha256"),
    Index("console_session_by_person", "person_id"),
)

console_passkey = Table(
    "console_passkey",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("person_id", Integer, nullable=False),
    # What they call it.
    Column("name", Text, nullable=False),
    # The public key, and what else the authenticator attested (WebAuthn, 6.5.1).
    Column("credential", LargeBinary, nullable=False),
    # When the last challenge was made that it signed: none of then or before is good again.
    Column("challenged_at", DateTime(timezone=True), nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_used_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["person_id"], ["rewards.console_login.person_id"], name="console_passkey_belongs_to_login"),
    CheckConstraint("octet_length(credential_id) BETWEEN 1 AND 1023", name="console_passkey_id_is_of_its_length"),
    CheckConstraint("octet_length(credential) <= 4096", name="console_passkey_is_of_its_length"),
    CheckConstraint("octet_length(name) BETWEEN 1 AND 256", name="console_passkey_has_a_name"),
    Index("console_passkey_by_person", "person_id"),
)

identity_provider = Table(
    "identity_provider",
    metadata,
    Column("brand_id", Integer, primary_key=True, autoincrement=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    # Sealed with a key that the database does not have.
    Column("client_secret", LargeBinary, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["brand_id"], ["rewards.brand.brand_id"], name="identity_provider_belongs_to_brand"),
    CheckConstraint("issuer LIKE 'https://%'", name="identity_provider_speaks_tls"),
)
