-- Returns of purchases: how much of what a grant paid for was given back, in minor units of money, and how many points that took. Each
-- is a correction of its grant; what is left of a point is settled once, for all returns of a purchase together.
--
-- bought, per_points and per_minor_units (NULL: the points were fixed) are what the points follow from. What was withheld from a
-- refund in money pays for points that could not be taken. return_key is a hash of the reference: an erasure puts the correction's
-- number in its place, and removes request and answer.
CREATE TABLE ledger.purchase_return (
    book_id          integer       NOT NULL,
    campaign_no      integer       NOT NULL,
    correction_no    bigint        NOT NULL,
    bought           ledger.amount NOT NULL,
    amount           ledger.amount NOT NULL,
    points           ledger.total  NOT NULL,
    withheld_points  ledger.total  NOT NULL,
    withheld_minor   ledger.total  NOT NULL,
    per_points       bigint,
    per_minor_units  bigint,
    event_key        bytea         NOT NULL,
    return_key       bytea         NOT NULL,
    request_hash     bytea,
    answer           jsonb,
    CONSTRAINT purchase_return_is_one_row_a_reference PRIMARY KEY (book_id, campaign_no, event_key, return_key),
    CONSTRAINT purchase_return_is_no_more_than_was_bought CHECK (amount <= bought)
);

CREATE INDEX purchase_return_by_correction ON ledger.purchase_return (book_id, correction_no);

-- What is still to be taken back of one grant; those of a campaign too.
CREATE INDEX shortfall_by_event ON ledger.shortfall (book_id, campaign_no, event_key);

DROP INDEX ledger.shortfall_by_campaign;

ALTER TABLE ledger.purchase_return OWNER TO ledger_owner;

GRANT SELECT ON ledger.purchase_return TO rewards_application, rewards_worker, rewards_reader;
