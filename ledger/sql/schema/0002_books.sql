-- The book tables. Every key begins with book_id; nothing refers across books; there are no triggers and
-- nothing is deferred, so that a cluster can place whole books on any node.
--
-- Units: points are whole numbers; times are timestamptz with microseconds; an account id is 16 bytes
-- (11 owner, 1 kind and class, 4 expires_on: see ledger/chart.py).

CREATE TABLE ledger.head (
    book_id        integer     NOT NULL,
    brand_id       integer     NOT NULL,
    unit           text        NOT NULL,
    time_zone      text        NOT NULL,
    grace_days     smallint    NOT NULL DEFAULT 30,
    issue_limit    bigint      NOT NULL,
    clock_offset   interval    NOT NULL DEFAULT interval '0',
    epoch          integer     NOT NULL DEFAULT 1,
    seq            bigint      NOT NULL DEFAULT 0,
    posted_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    swept_through  date        NOT NULL DEFAULT date '2000-01-01',
    CONSTRAINT head_is_one_row_a_book PRIMARY KEY (book_id),
    CONSTRAINT head_seq_counts_up_from_zero CHECK (seq >= 0),
    CONSTRAINT head_epoch_counts_up_from_one CHECK (epoch >= 1),
    CONSTRAINT head_grace_is_at_most_a_year CHECK (grace_days BETWEEN 0 AND 366),
    CONSTRAINT head_issue_limit_is_an_amount CHECK (issue_limit BETWEEN 0 AND 1000000000000000000),
    CONSTRAINT head_clock_never_runs_behind CHECK (clock_offset >= interval '0')
) WITH (fillfactor = 50);

CREATE TABLE ledger.account (
    book_id     integer  NOT NULL,
    id          bytea    NOT NULL,
    kind        smallint NOT NULL,
    expires_on  date     NOT NULL DEFAULT 'infinity',
    debits      bigint   NOT NULL DEFAULT 0,
    credits     bigint   NOT NULL DEFAULT 0,
    CONSTRAINT account_is_one_row_an_id PRIMARY KEY (book_id, id),
    CONSTRAINT account_id_is_16_bytes CHECK (octet_length(id) = 16),
    CONSTRAINT account_kind_is_in_its_id CHECK (kind = get_byte(id, 11) >> 4),
    CONSTRAINT account_sums_are_amounts CHECK (debits >= 0 AND credits >= 0),
    -- Kinds 1 to 5 are lot, pending, held, spent and budget: what is not there cannot be taken.
    CONSTRAINT account_stays_above_its_floor CHECK (kind > 5 OR credits >= debits)
) WITH (fillfactor = 70);

-- For the sweeper: lots by their last day. Both columns are immutable, so balance updates stay HOT.
CREATE INDEX account_by_expiry ON ledger.account (book_id, expires_on)
    WHERE kind = 1 AND expires_on < 'infinity';

CREATE TABLE ledger.transfer (
    book_id         integer     NOT NULL,
    seq             bigint      NOT NULL,
    posted_at       timestamptz NOT NULL,
    occurred_at     timestamptz NOT NULL,
    amount          bigint      NOT NULL,
    customer        bigint,
    transaction_id  bigint      NOT NULL,
    due_at          timestamptz,
    campaign_no     integer,
    verb            smallint    NOT NULL,
    leaf_version    smallint    NOT NULL DEFAULT 1,
    debit           bytea       NOT NULL,
    credit          bytea       NOT NULL,
    event_key       bytea,
    details_hash    bytea,
    CONSTRAINT transfer_has_one_place_in_the_book PRIMARY KEY (book_id, seq),
    CONSTRAINT transfer_amount_is_positive CHECK (amount > 0),
    CONSTRAINT transfer_has_two_accounts CHECK (debit <> credit)
);

CREATE INDEX transfer_by_customer ON ledger.transfer (book_id, customer, seq) WHERE customer IS NOT NULL;

CREATE TABLE ledger.event (
    book_id           integer     NOT NULL,
    campaign_no       integer     NOT NULL,
    key               bytea       NOT NULL,
    customer          bigint      NOT NULL,
    seq               bigint      NOT NULL,
    points            bigint      NOT NULL,
    window_at         timestamptz NOT NULL,
    decided_at        timestamptz NOT NULL,
    due_at            timestamptz,
    campaign_version  integer     NOT NULL,
    principal         integer     NOT NULL,
    outcome           smallint    NOT NULL,
    rule              smallint    NOT NULL,
    grade             "char"      NOT NULL,
    action            text        NOT NULL,
    channel           text        NOT NULL,
    message_id        text,
    qualifier         text        NOT NULL,
    source            text        NOT NULL,
    metadata          text,
    salt              bytea,
    CONSTRAINT event_is_decided_once PRIMARY KEY (book_id, campaign_no, key),
    CONSTRAINT event_key_is_16_bytes CHECK (octet_length(key) = 16),
    CONSTRAINT event_outcome_is_known CHECK (outcome BETWEEN 1 AND 4),
    CONSTRAINT event_grade_is_known CHECK (grade IN ('A', 'B', 'C', 'D'))
);

-- How much of a cap a customer has used in one period: a cache of the log, recomputed by the audit.
CREATE TABLE ledger.cap_use (
    book_id      integer  NOT NULL,
    campaign_no  integer  NOT NULL,
    period       date     NOT NULL,
    customer     bigint   NOT NULL,
    cap          smallint NOT NULL,
    grants       integer  NOT NULL,
    points       bigint   NOT NULL,
    CONSTRAINT cap_use_is_one_row_a_period PRIMARY KEY (book_id, campaign_no, period, customer, cap)
) WITH (fillfactor = 70);

CREATE TABLE ledger.pending (
    book_id      integer     NOT NULL,
    customer     bigint      NOT NULL,
    key          bytea       NOT NULL,
    campaign_no  integer     NOT NULL,
    amount       bigint      NOT NULL,
    due_at       timestamptz NOT NULL,
    CONSTRAINT pending_is_settled_once PRIMARY KEY (book_id, customer, key),
    CONSTRAINT pending_amount_is_positive CHECK (amount > 0)
);

CREATE INDEX pending_by_due ON ledger.pending (book_id, due_at);

-- A redemption's id is the seq of its first transfer. Sums live in its accounts, its history in the log.
CREATE TABLE ledger.redemption (
    book_id      integer     NOT NULL,
    id           bigint      NOT NULL,
    customer     bigint      NOT NULL,
    deadline     timestamptz NOT NULL,
    closed_at    timestamptz,
    order_ref    text        NOT NULL,
    value        bigint,
    store_id     text,
    terminal_id  text,
    salt         bytea       NOT NULL,
    CONSTRAINT redemption_is_one_row_an_id PRIMARY KEY (book_id, id)
);

-- Open means that points are still held; nearly all redemptions are closed.
CREATE INDEX redemption_open_by_deadline ON ledger.redemption (book_id, deadline) WHERE closed_at IS NULL;
CREATE INDEX redemption_open_by_customer ON ledger.redemption (book_id, customer) WHERE closed_at IS NULL;
CREATE INDEX redemption_by_customer ON ledger.redemption (book_id, customer, id);
CREATE INDEX redemption_by_order ON ledger.redemption (book_id, order_ref, id);

-- Answers of operations that have no natural key. The claim and the posting are one transaction.
CREATE TABLE ledger.idempotency_key (
    book_id       integer     NOT NULL,
    operation     smallint    NOT NULL,
    key           bytea       NOT NULL,
    request_hash  bytea       NOT NULL,
    outcome       smallint    NOT NULL,
    answer        jsonb       NOT NULL,
    kept_at       timestamptz NOT NULL,
    CONSTRAINT idempotency_key_is_used_once PRIMARY KEY (book_id, operation, key)
);

-- What a posting needs to know of a customer at one probe. The sums are a cache of the log, recomputed by the audit: points in
-- all lots, and when that next changes by itself (a lot's last day, a hold's deadline).
CREATE TABLE ledger.customer_state (
    book_id        integer     NOT NULL,
    customer       bigint      NOT NULL,
    points         bigint      NOT NULL DEFAULT 0,
    lot_until      date        NOT NULL DEFAULT 'infinity',
    hold_until     timestamptz NOT NULL DEFAULT 'infinity',
    moved_to       bigint,
    frozen         boolean     NOT NULL DEFAULT false,
    erased         boolean     NOT NULL DEFAULT false,
    CONSTRAINT customer_state_is_one_row_a_customer PRIMARY KEY (book_id, customer),
    CONSTRAINT customer_state_points_are_never_owed CHECK (points >= 0)
) WITH (fillfactor = 70);

CREATE TABLE ledger.cut (
    book_id    integer     NOT NULL,
    name       text        NOT NULL,
    brand_id   integer     NOT NULL,
    seq        bigint      NOT NULL,
    posted_at  timestamptz NOT NULL,
    CONSTRAINT cut_is_one_row_a_name PRIMARY KEY (book_id, name)
);

CREATE TABLE ledger.cut_balance (
    book_id  integer NOT NULL,
    name     text    NOT NULL,
    account  bytea   NOT NULL,
    balance  bigint  NOT NULL,
    CONSTRAINT cut_balance_is_one_row_an_account PRIMARY KEY (book_id, name, account)
);
