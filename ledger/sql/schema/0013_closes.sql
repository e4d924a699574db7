-- Closed periods: what the books were at the midnight after a day or a month, for ever.
--
-- seq is the last transfer posted before that midnight. What had fallen due by then and was not posted is reckoned; the log has it by
-- settled_seq. Lines are those of the trial balance. A version above 1 is a restatement.

CREATE TABLE ledger.close (
    book_id         integer         NOT NULL,
    ends_on         date            NOT NULL,
    version         smallint        NOT NULL,
    state           smallint        NOT NULL,
    begins_on       date            NOT NULL,
    ends_at         timestamptz     NOT NULL,
    closed_at       timestamptz     NOT NULL,
    seq             bigint          NOT NULL,
    posted_at       timestamptz     NOT NULL,
    settled_seq     bigint,
    stored_through  bytea           NOT NULL DEFAULT '',
    lines           bytea[],
    debits          bigint[],
    credits         bigint[],
    accounts        bigint,
    customers       bigint,
    lines_digest    bytea,
    balances_digest bytea,
    CONSTRAINT close_is_one_row_a_version PRIMARY KEY (book_id, ends_on, version),
    CONSTRAINT close_is_of_a_day_or_a_month CHECK (
        begins_on = ends_on
        OR (
            extract(day FROM begins_on) = 1 AND extract(day FROM ends_on + 1) = 1
            AND ends_on - begins_on BETWEEN 27 AND 30
        )
    ),
    CONSTRAINT close_is_storing_closed_or_settled CHECK (state BETWEEN 1 AND 3),
    CONSTRAINT close_has_totals_once_stored CHECK (
        state = 1 OR num_nulls(lines, debits, credits, accounts, customers, lines_digest, balances_digest) = 0
    ),
    CONSTRAINT close_is_settled_where_its_postings_end CHECK ((state = 3) = (settled_seq IS NOT NULL) AND settled_seq >= seq)
);

-- Balances that are not zero.
CREATE TABLE ledger.close_balance (
    book_id  integer  NOT NULL,
    ends_on  date     NOT NULL,
    version  smallint NOT NULL,
    account  bytea    NOT NULL,
    balance  bigint   NOT NULL,
    CONSTRAINT close_balance_is_one_row_an_account PRIMARY KEY (book_id, ends_on, version, account)
);

ALTER TABLE ledger.close OWNER TO ledger_owner;
ALTER TABLE ledger.close_balance OWNER TO ledger_owner;

GRANT SELECT ON ledger.close, ledger.close_balance TO rewards_application, rewards_worker, rewards_reader;
