-- Claw-backs: what was taken back of a grant, and what could not be because it was set aside or spent. Such a shortfall stays on its
-- grant: what a void, a time-out or a refund returns of the same points pays it first.

-- Whether any shortfall was ever left in the book: posting asks no further where there was none.
ALTER TABLE ledger.head ADD COLUMN owing boolean NOT NULL DEFAULT false;

-- What somebody corrected, and why. seq is its first transfer; NULL if it moved nothing. An erasure removes reference and salt, and
-- leaves personal_hash (see ledger/details.py).
CREATE TABLE ledger.correction (
    book_id        integer     NOT NULL,
    campaign_no    integer,
    correction_no  bigint      NOT NULL,
    customer       bigint      NOT NULL,
    seq            bigint,
    posted_at      timestamptz NOT NULL,
    asked          bigint      NOT NULL,
    moved          bigint      NOT NULL,
    shortfall      bigint      NOT NULL,
    principal      integer     NOT NULL,
    verb           smallint    NOT NULL,
    event_key      bytea,
    reason         text        NOT NULL,
    reference      text,
    salt           bytea,
    personal_hash  bytea,
    CONSTRAINT correction_is_one_row_a_number PRIMARY KEY (book_id, correction_no),
    CONSTRAINT correction_has_a_place_if_it_moved_points CHECK ((seq IS NULL) = (moved = 0)),
    CONSTRAINT correction_is_moved_or_a_shortfall CHECK (asked = moved + shortfall AND moved >= 0 AND shortfall >= 0)
);

CREATE INDEX correction_by_event ON ledger.correction (book_id, campaign_no, event_key) WHERE event_key IS NOT NULL;

CREATE INDEX correction_by_customer ON ledger.correction (book_id, customer, correction_no);

CREATE INDEX correction_by_seq ON ledger.correction (book_id, seq) WHERE seq IS NOT NULL;

-- How many points of a layer (see 0014_layers.sql) are to be taken back as soon as they return to the customer who has its
-- redemptions. budget is where they go.
CREATE TABLE ledger.shortfall (
    book_id      integer      NOT NULL,
    campaign_no  integer      NOT NULL,
    customer     bigint       NOT NULL,
    layer        bigint       NOT NULL,
    points       ledger.total NOT NULL,
    event_key    bytea        NOT NULL,
    budget       bytea        NOT NULL,
    CONSTRAINT shortfall_is_one_row_a_layer PRIMARY KEY (book_id, customer, layer)
);

CREATE INDEX shortfall_by_campaign ON ledger.shortfall (book_id, campaign_no);

-- Of the redemptions that have points of such a layer, and of no others: the points of each layer in each of their accounts. Posting
-- keeps it, as it cannot wait until somebody has read the log.
CREATE TABLE ledger.redemption_layer (
    book_id  integer      NOT NULL,
    layer    bigint       NOT NULL,
    amount   ledger.total NOT NULL,
    account  bytea        NOT NULL,
    CONSTRAINT redemption_layer_is_one_row_an_account_and_layer PRIMARY KEY (book_id, account, layer)
) WITH (fillfactor = 70);

CREATE INDEX redemption_layer_by_layer ON ledger.redemption_layer (book_id, layer);

ALTER TABLE ledger.correction OWNER TO ledger_owner;
ALTER TABLE ledger.shortfall OWNER TO ledger_owner;
ALTER TABLE ledger.redemption_layer OWNER TO ledger_owner;

GRANT SELECT ON ledger.correction, ledger.shortfall, ledger.redemption_layer
TO rewards_application, rewards_worker, rewards_reader;
