-- What became of offers (see ledger/engine/offers.py). That one lapsed is decided under its event key, as outcome 11, so that it is
-- claimed or lapses and never both.

ALTER DOMAIN ledger.outcome DROP CONSTRAINT outcome_is_known;

ALTER DOMAIN ledger.outcome ADD CONSTRAINT outcome_is_known CHECK (VALUE IN (1, 2, 3, 4, 6, 7, 10, 11)) NOT VALID;

-- What the feed says of offers, in the places of decisions that moved no points. An erasure removes group and message.
CREATE TABLE ledger.offer_notice (
    book_id      integer     NOT NULL,
    place        bigint      NOT NULL,
    customer     bigint      NOT NULL,
    seq          bigint      NOT NULL,
    noted_at     timestamptz NOT NULL,
    campaign_no  integer     NOT NULL,
    kind         smallint    NOT NULL,
    key          bytea       NOT NULL,
    channel      text,
    offer_group  text,
    message_id   text,
    CONSTRAINT offer_notice_is_given_once PRIMARY KEY (book_id, campaign_no, key),
    CONSTRAINT offer_notice_is_of_a_known_kind CHECK (kind IN (1, 2))
);

CREATE INDEX offer_notice_by_place ON ledger.offer_notice (book_id, place);

CREATE INDEX offer_notice_by_customer ON ledger.offer_notice (book_id, customer, place);

ALTER TABLE ledger.offer_notice OWNER TO ledger_owner;

GRANT SELECT ON ledger.offer_notice TO rewards_application, rewards_worker, rewards_reader;
