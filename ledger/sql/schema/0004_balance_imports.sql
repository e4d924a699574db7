-- Files of opening balances that were posted: each once in a book.

CREATE TABLE ledger.balance_import (
    book_id    integer     NOT NULL,
    file_hash  bytea       NOT NULL,
    first_seq  bigint      NOT NULL,
    lots       integer     NOT NULL,
    points     bigint      NOT NULL,
    posted_at  timestamptz NOT NULL,
    CONSTRAINT balance_import_is_one_row_a_file PRIMARY KEY (book_id, file_hash),
    CONSTRAINT balance_import_hash_is_32_bytes CHECK (octet_length(file_hash) = 32)
);

ALTER TABLE ledger.balance_import OWNER TO ledger_owner;

GRANT SELECT ON ledger.balance_import TO rewards_application, rewards_worker, rewards_reader;
