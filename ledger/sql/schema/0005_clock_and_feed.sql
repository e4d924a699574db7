-- What a book of a test brand may do and a live one never: move its clock. And, for feeds and lists, the events that moved no
-- points: those that did are found through the log.

ALTER TABLE ledger.head ADD COLUMN mode text NOT NULL DEFAULT 'live';

ALTER TABLE ledger.head ADD CONSTRAINT head_mode_is_live_or_test CHECK (mode IN ('live', 'test'));

CREATE INDEX event_unpaid_by_seq ON ledger.event (book_id, seq, campaign_no, key) WHERE outcome <> 1;

CREATE INDEX event_unpaid_by_customer ON ledger.event (book_id, customer, seq, campaign_no, key) WHERE outcome <> 1;
