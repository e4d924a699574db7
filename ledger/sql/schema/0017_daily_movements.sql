-- What changed what is owed, added up by accounting date: of points that came in, the campaign and the event that paid them; of points
-- that left, those of the grants that had brought them. An agent derives it from the log and its layers, and can build it again at any
-- time. So a report reads days and not the log.
--
-- debit and credit are the kind and class of the accounts (the 12th byte of their ids). What there is none of is 0 or empty. Points
-- that left say in which month they had been issued (its first day) and not for which act.
CREATE TABLE ledger.daily_movement (
    book_id      integer  NOT NULL,
    day          date     NOT NULL,
    issued_in    date     NOT NULL,
    campaign_no  integer  NOT NULL,
    verb         smallint NOT NULL,
    debit        smallint NOT NULL,
    credit       smallint NOT NULL,
    channel      text     NOT NULL,
    action       text     NOT NULL,
    grade        text     NOT NULL,
    transfers    bigint   NOT NULL,
    points       bigint   NOT NULL,
    first_seq    bigint   NOT NULL,
    last_seq     bigint   NOT NULL,
    CONSTRAINT daily_movement_is_one_row_a_kind_and_day PRIMARY KEY (
        book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade
    )
) WITH (fillfactor = 70);

-- Up to which seq of the log that is so. It follows the reader of the layers.
ALTER TABLE ledger.layer_reader ADD COLUMN daily_seq bigint NOT NULL DEFAULT 0;

ALTER TABLE ledger.daily_movement OWNER TO ledger_owner;

GRANT SELECT ON ledger.daily_movement TO rewards_application, rewards_worker, rewards_reader;
