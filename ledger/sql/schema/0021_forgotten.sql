-- How far the details of a book have been forgotten: those of transfers up to seq, of decisions without transfers up to place, and of
-- corrections from before a time.

CREATE TABLE ledger.forgotten (
    book_id  integer     NOT NULL,
    seq      bigint      NOT NULL,
    place    bigint      NOT NULL,
    before   timestamptz NOT NULL,
    CONSTRAINT forgotten_is_one_row_a_book PRIMARY KEY (book_id)
);

ALTER TABLE ledger.forgotten OWNER TO ledger_owner;

GRANT SELECT ON ledger.forgotten TO rewards_application, rewards_worker, rewards_reader;
