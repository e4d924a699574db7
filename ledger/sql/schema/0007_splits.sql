-- Undoing a merge: when each customer was part of which other, what she brought along, and how often who is one with whom has
-- changed.

-- Grows with every merge and split that a customer takes part in; NULL, for nearly all, is 0. Who reports for her says which one
-- is known: another is sent back, so that nobody acts on a group of before, however alike it is to the one of now.
ALTER TABLE ledger.customer_state ADD COLUMN generation bigint;

-- A spell: while a customer was part of another, from after one place in the book up to another (NULL: still). Places are of both
-- of the book's streams, transfers by seq and decisions that moved no points by place, so that each event lies before, in or after.
-- One ends when she is split off, or when her survivor is merged away: then the next begins at once.
CREATE TABLE ledger.spell (
    book_id          integer NOT NULL,
    customer         bigint  NOT NULL,
    spell_no         integer NOT NULL,
    survivor         bigint  NOT NULL,
    from_seq         bigint  NOT NULL,
    from_place       bigint  NOT NULL,
    until_seq        bigint,
    until_place      bigint,
    points_brought   bigint  NOT NULL,
    points_returned  bigint,
    CONSTRAINT spell_is_one_row_a_number PRIMARY KEY (book_id, customer, spell_no),
    CONSTRAINT spell_is_with_another CHECK (customer <> survivor),
    CONSTRAINT spell_end_is_in_both_streams CHECK ((until_seq IS NULL) = (until_place IS NULL)),
    CONSTRAINT spell_end_is_not_before_its_beginning CHECK (until_seq >= from_seq AND until_place >= from_place),
    CONSTRAINT spell_end_is_when_points_return CHECK (points_returned IS NULL OR until_seq IS NOT NULL)
);

-- What of a survivor's lots a customer has brought who is part of her: at most so much goes back with a split. The lot is the end of
-- its id, class and last day.
CREATE TABLE ledger.brought (
    book_id   integer NOT NULL,
    customer  bigint  NOT NULL,
    lot       bytea   NOT NULL,
    amount    bigint  NOT NULL,
    CONSTRAINT brought_is_one_row_a_lot PRIMARY KEY (book_id, customer, lot),
    CONSTRAINT brought_lot_is_5_bytes CHECK (octet_length(lot) = 5),
    CONSTRAINT brought_amount_is_not_negative CHECK (amount >= 0)
);

ALTER TABLE ledger.spell OWNER TO ledger_owner;
ALTER TABLE ledger.brought OWNER TO ledger_owner;

GRANT SELECT ON ledger.spell, ledger.brought TO rewards_application, rewards_worker, rewards_reader;

-- Who is merged already: as if she had been part of her survivor of now since her merge, as far as the log tells when that was. Who
-- brought no points is taken to have been there from the beginning: then nothing is paid twice after a split.
UPDATE ledger.customer_state SET generation = CASE WHEN moved_to IS NULL THEN absorbed ELSE 1 END
WHERE moved_to IS NOT NULL OR absorbed > 0;

INSERT INTO ledger.brought (book_id, customer, lot, amount)
SELECT merged.book_id, merged.customer, substring(moved.debit FROM 12), moved.amount
FROM ledger.customer_state AS merged
JOIN ledger.transfer AS moved
    ON moved.book_id = merged.book_id AND moved.customer = merged.customer AND moved.verb = 13
    AND get_byte(moved.debit, 0) = 1 AND get_byte(moved.debit, 11) >> 4 = 1
WHERE merged.moved_to IS NOT NULL;

INSERT INTO ledger.spell (book_id, customer, spell_no, survivor, from_seq, from_place, points_brought)
SELECT
    merged.book_id, merged.customer, 1, merged.moved_to, coalesce(moved.first_seq - 1, 0),
    coalesce((
        SELECT max(event.place) FROM ledger.event WHERE event.book_id = merged.book_id AND event.seq < moved.first_seq
    ), 0),
    coalesce(moved.points, 0)
FROM ledger.customer_state AS merged
LEFT JOIN LATERAL (
    SELECT min(transfer.seq) AS first_seq,
        sum(transfer.amount) FILTER (WHERE get_byte(transfer.debit, 11) >> 4 = 1) AS points
    FROM ledger.transfer
    WHERE transfer.book_id = merged.book_id AND transfer.customer = merged.customer AND transfer.verb = 13
        AND get_byte(transfer.debit, 0) = 1
) AS moved ON true
WHERE merged.moved_to IS NOT NULL;
