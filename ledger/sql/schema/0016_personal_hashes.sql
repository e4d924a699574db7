-- What an erasure leaves of details: the hash of what was personal, so that the log still proves the rest (see ledger/details.py).
-- NULL until then, which costs a row nothing. Salts of version 2 have 15 bytes, those of before 16.

ALTER TABLE ledger.event ADD COLUMN personal_hash bytea;

ALTER TABLE ledger.redemption
    ADD COLUMN personal_hash bytea,
    ALTER COLUMN order_ref DROP NOT NULL,
    ALTER COLUMN salt DROP NOT NULL;

ALTER TABLE ledger.redemption_step ADD COLUMN personal_hash bytea;
