-- What a single column may hold is said by its type, and what columns say of each other by a CHECK of the table. A table's CHECKs
-- are read from the catalog, planned and evaluated again by each statement that writes to it, whatever columns it writes: a tenth
-- of a grant alone. A type's are kept by the session, and evaluated where a value of that type is written.
--
-- No row is rewritten. NOT VALID, because the CHECKs that go have held the rows to the same.

CREATE DOMAIN ledger.epoch        AS integer;
CREATE DOMAIN ledger.grace_days   AS smallint;
CREATE DOMAIN ledger.issue_limit  AS bigint;
CREATE DOMAIN ledger.clock_offset AS interval;
CREATE DOMAIN ledger.mode         AS text;
CREATE DOMAIN ledger.total        AS bigint;
CREATE DOMAIN ledger.amount       AS bigint;
CREATE DOMAIN ledger.absorbed     AS smallint;
CREATE DOMAIN ledger.outcome      AS smallint;
CREATE DOMAIN ledger.grade        AS "char";

ALTER TABLE ledger.head
    DROP CONSTRAINT head_epoch_counts_up_from_one,
    DROP CONSTRAINT head_grace_is_at_most_a_year,
    DROP CONSTRAINT head_issue_limit_is_an_amount,
    DROP CONSTRAINT head_clock_never_runs_behind,
    DROP CONSTRAINT head_mode_is_live_or_test,
    ALTER COLUMN epoch TYPE ledger.epoch,
    ALTER COLUMN grace_days TYPE ledger.grace_days,
    ALTER COLUMN issue_limit TYPE ledger.issue_limit,
    ALTER COLUMN clock_offset TYPE ledger.clock_offset,
    ALTER COLUMN mode TYPE ledger.mode;

ALTER TABLE ledger.account
    DROP CONSTRAINT account_sums_are_amounts,
    ALTER COLUMN debits TYPE ledger.total,
    ALTER COLUMN credits TYPE ledger.total;

ALTER TABLE ledger.customer_state
    DROP CONSTRAINT customer_state_points_are_never_owed,
    DROP CONSTRAINT customer_state_has_at_most_eight_ids,
    ALTER COLUMN points TYPE ledger.total,
    ALTER COLUMN absorbed TYPE ledger.absorbed;

ALTER TABLE ledger.event
    DROP CONSTRAINT event_outcome_is_known,
    DROP CONSTRAINT event_grade_is_known,
    ALTER COLUMN outcome TYPE ledger.outcome,
    ALTER COLUMN grade TYPE ledger.grade;

ALTER TABLE ledger.transfer
    DROP CONSTRAINT transfer_amount_is_positive,
    ALTER COLUMN amount TYPE ledger.amount;

ALTER DOMAIN ledger.epoch ADD CONSTRAINT epoch_counts_up_from_one CHECK (VALUE >= 1) NOT VALID;
ALTER DOMAIN ledger.grace_days ADD CONSTRAINT grace_is_at_most_a_year CHECK (VALUE BETWEEN 0 AND 366) NOT VALID;
ALTER DOMAIN ledger.issue_limit
    ADD CONSTRAINT issue_limit_is_an_amount CHECK (VALUE BETWEEN 0 AND 1000000000000000000) NOT VALID;
ALTER DOMAIN ledger.clock_offset ADD CONSTRAINT clock_never_runs_behind CHECK (VALUE >= interval '0') NOT VALID;
ALTER DOMAIN ledger.mode ADD CONSTRAINT mode_is_live_or_test CHECK (VALUE IN ('live', 'test')) NOT VALID;
ALTER DOMAIN ledger.total ADD CONSTRAINT total_is_never_owed CHECK (VALUE >= 0) NOT VALID;
ALTER DOMAIN ledger.amount ADD CONSTRAINT amount_is_positive CHECK (VALUE > 0) NOT VALID;
ALTER DOMAIN ledger.absorbed ADD CONSTRAINT customer_has_at_most_eight_ids CHECK (VALUE BETWEEN 0 AND 7) NOT VALID;
ALTER DOMAIN ledger.outcome ADD CONSTRAINT outcome_is_known CHECK (VALUE IN (1, 2, 3, 4, 6, 7)) NOT VALID;
ALTER DOMAIN ledger.grade ADD CONSTRAINT grade_is_known CHECK (VALUE IN ('A', 'B', 'C', 'D')) NOT VALID;
