-- Customers who turn out to be one; acts that prove a person; points held back by policy; caps over the last day; what a till says
-- about each step of a redemption; and the order in which the feed tells what moved no points.

-- A merged customer is frozen and names the one who survives, always the last of the line. The survivor counts whom she absorbed,
-- so that a report by somebody who knows fewer of her names is sent back, and not paid a second time under another.
ALTER TABLE ledger.customer_state ADD COLUMN absorbed smallint NOT NULL DEFAULT 0;

ALTER TABLE ledger.customer_state ADD CONSTRAINT customer_state_has_at_most_eight_ids CHECK (absorbed BETWEEN 0 AND 7);

ALTER TABLE ledger.customer_state ADD CONSTRAINT customer_state_is_frozen_when_moved CHECK (frozen OR moved_to IS NULL);

CREATE INDEX customer_state_by_survivor ON ledger.customer_state (book_id, moved_to) WHERE moved_to IS NOT NULL;

-- Outcomes: 1 granted, 2 cap reached, 3 budget exhausted, 4 waiting, 6 held back, 7 rejected (5, moved, is never recorded).
ALTER TABLE ledger.event DROP CONSTRAINT event_outcome_is_known;

ALTER TABLE ledger.event ADD CONSTRAINT event_outcome_is_known CHECK (outcome IN (1, 2, 3, 4, 6, 7));

-- What an event that waits is worth once a person is proved, as JSON (see ledger/posting.py). NULL for all others.
ALTER TABLE ledger.event ADD COLUMN terms text;

-- Which of the book's decisions that moved no points this is: 1, 2, 3 ... in order. NULL where the log tells of it.
ALTER TABLE ledger.event ADD COLUMN place bigint;

ALTER TABLE ledger.head ADD COLUMN places bigint NOT NULL DEFAULT 0;

UPDATE ledger.event SET place = numbered.place
FROM (
    SELECT
        event.book_id, event.campaign_no, event.key,
        row_number() OVER (PARTITION BY event.book_id ORDER BY event.seq, event.decided_at, event.campaign_no, event.key) AS place
    FROM ledger.event
    WHERE event.outcome <> 1
) AS numbered
WHERE event.book_id = numbered.book_id AND event.campaign_no = numbered.campaign_no AND event.key = numbered.key;

UPDATE ledger.head SET places = numbered.places
FROM (SELECT event.book_id, max(event.place) AS places FROM ledger.event GROUP BY event.book_id) AS numbered
WHERE head.book_id = numbered.book_id AND numbered.places IS NOT NULL;

DROP INDEX ledger.event_unpaid_by_seq;

DROP INDEX ledger.event_unpaid_by_customer;

CREATE INDEX event_by_place ON ledger.event (book_id, place) WHERE place IS NOT NULL;

CREATE INDEX event_by_customer_and_place ON ledger.event (book_id, customer, place) WHERE place IS NOT NULL;

-- That a person acted on a message: one row a message and customer, under a key made like an event's without an action.
CREATE TABLE ledger.proof (
    book_id      integer     NOT NULL,
    campaign_no  integer     NOT NULL,
    key          bytea       NOT NULL,
    grade        "char"      NOT NULL,
    proved_at    timestamptz NOT NULL,
    CONSTRAINT proof_is_one_row_a_message PRIMARY KEY (book_id, campaign_no, key),
    CONSTRAINT proof_key_is_16_bytes CHECK (octet_length(key) = 16),
    CONSTRAINT proof_is_strong CHECK (grade IN ('A', 'B'))
);

-- What counts against a cap of the last 24 hours: times (microseconds since 2000-01-01) and points of the grants that still can.
CREATE TABLE ledger.cap_recent (
    book_id      integer  NOT NULL,
    campaign_no  integer  NOT NULL,
    customer     bigint   NOT NULL,
    cap          smallint NOT NULL,
    counted_at   bigint[] NOT NULL,
    points       bigint[] NOT NULL,
    CONSTRAINT cap_recent_is_one_row_a_cap PRIMARY KEY (book_id, campaign_no, customer, cap),
    CONSTRAINT cap_recent_has_points_for_each_time CHECK (cardinality(counted_at) = cardinality(points))
) WITH (fillfactor = 70);

-- Which caps a grant that is held back counts against, as JSON: a rejection frees them.
ALTER TABLE ledger.pending ADD COLUMN charges text NOT NULL DEFAULT '[]';

-- What the till said about one capture or refund; seq is the step's first transfer. To erase it, all columns of words and the salt
-- are made NULL.
CREATE TABLE ledger.redemption_step (
    book_id      integer NOT NULL,
    seq          bigint  NOT NULL,
    redemption   bigint  NOT NULL,
    ref          text,
    store_id     text,
    terminal_id  text,
    salt         bytea,
    CONSTRAINT redemption_step_is_one_row_a_step PRIMARY KEY (book_id, seq)
);

CREATE INDEX redemption_step_by_redemption ON ledger.redemption_step (book_id, redemption, seq);

-- What a campaign was funded with: its budget is credited with rejections too. A campaign has few of these.
CREATE INDEX transfer_funding_by_campaign ON ledger.transfer (book_id, campaign_no) WHERE verb = 1;

ALTER TABLE ledger.proof OWNER TO ledger_owner;
ALTER TABLE ledger.cap_recent OWNER TO ledger_owner;
ALTER TABLE ledger.redemption_step OWNER TO ledger_owner;

GRANT SELECT ON ledger.proof, ledger.cap_recent, ledger.redemption_step TO rewards_application, rewards_worker, rewards_reader;
