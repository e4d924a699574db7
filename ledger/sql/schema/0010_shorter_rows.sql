-- Nothing twice: what the log or the row itself says already is left NULL, and an event's points take four bytes.
--
-- transaction_id is NULL where a transfer is the first of its transaction: it is the seq then. An event's decided_at is NULL where
-- its place is: it was decided when the transfer of its seq was posted. A qualifier is NULL where there is none. Rows of before
-- keep what they say.

ALTER TABLE ledger.transfer ALTER COLUMN transaction_id DROP NOT NULL;

-- A book's seqs only go up, so that nothing is ever put in between.
ALTER INDEX ledger.transfer_has_one_place_in_the_book SET (fillfactor = 100);

ALTER TABLE ledger.event RENAME TO event_as_it_was;

CREATE TABLE ledger.event (
    book_id           integer     NOT NULL,
    campaign_no       integer     NOT NULL,
    customer          bigint      NOT NULL,
    seq               bigint      NOT NULL,
    window_at         timestamptz NOT NULL,
    decided_at        timestamptz,
    due_at            timestamptz,
    place             bigint,
    points            integer     NOT NULL,
    campaign_version  integer     NOT NULL,
    principal         integer     NOT NULL,
    outcome           smallint    NOT NULL,
    rule              smallint    NOT NULL,
    grade             "char"      NOT NULL,
    key               bytea       NOT NULL,
    action            text        NOT NULL,
    channel           text        NOT NULL,
    message_id        text,
    qualifier         text,
    source            text        NOT NULL,
    metadata          text,
    salt              bytea,
    terms             text,
    CONSTRAINT event_key_is_16_bytes CHECK (octet_length(key) = 16),
    CONSTRAINT event_outcome_is_known CHECK (outcome IN (1, 2, 3, 4, 6, 7)),
    CONSTRAINT event_grade_is_known CHECK (grade IN ('A', 'B', 'C', 'D'))
);

INSERT INTO ledger.event (
    book_id, campaign_no, customer, seq, window_at, decided_at, due_at, place, points, campaign_version, principal, outcome, rule,
    grade, key, action, channel, message_id, qualifier, source, metadata, salt, terms
)
SELECT
    book_id, campaign_no, customer, seq, window_at, decided_at, due_at, place, points, campaign_version, principal, outcome, rule,
    grade, key, action, channel, message_id, qualifier, source, metadata, salt, terms
FROM ledger.event_as_it_was
ORDER BY book_id, seq;

-- They take a row of the old table. All functions are made anew after the tables.
DROP FUNCTION IF EXISTS
    ledger.settle_event_v1, ledger.budget_of_v1, ledger.leave_shortfall_v1, ledger.take_from_lots_v1;

DROP TABLE ledger.event_as_it_was;

ALTER TABLE ledger.event ADD CONSTRAINT event_is_decided_once PRIMARY KEY (book_id, campaign_no, key);

CREATE INDEX event_by_place ON ledger.event (book_id, place) WHERE place IS NOT NULL;

CREATE INDEX event_by_customer_and_place ON ledger.event (book_id, customer, place) WHERE place IS NOT NULL;

ALTER TABLE ledger.event OWNER TO ledger_owner;

GRANT SELECT ON ledger.event TO rewards_application, rewards_worker, rewards_reader;
