-- Every transfer has an accounting date: of what fell due, the business date on which it did; of all else, the day it was posted
-- (see accounting_date_v1). due_on is the former, and NULL elsewhere: it costs a grant nothing.

ALTER TABLE ledger.transfer ADD COLUMN due_on date;

-- What fell due before says so too, and nothing else in its row changes. A hold that timed out was released by a transfer with the
-- verb void, as one that its till gave up; but never before its deadline, and the other always.
UPDATE ledger.transfer
SET due_on = (redemption.deadline AT TIME ZONE head.time_zone)::date
FROM ledger.head
JOIN ledger.redemption ON redemption.book_id = head.book_id
WHERE transfer.book_id = head.book_id
    AND transfer.verb = 8
    AND redemption.id = ('x' || encode(substring(transfer.debit FROM 4 FOR 8), 'hex'))::bit(64)::bigint
    AND transfer.posted_at >= redemption.deadline;

-- An expiry's date is in the id of the lot. But points that were paid to a lot after its last day could not expire before they were
-- there: those expired when they were paid.
UPDATE ledger.transfer
SET due_on = paid.late_on
FROM (
    SELECT late.book_id, late.credit AS lot, max(late.paid_on) AS late_on
    FROM (
        SELECT
            granted.book_id, granted.credit, (granted.posted_at AT TIME ZONE head.time_zone)::date AS paid_on,
            granted.posted_at, lot.expires_on
        FROM ledger.transfer AS granted
        JOIN ledger.head ON head.book_id = granted.book_id
        JOIN ledger.account AS lot ON lot.book_id = granted.book_id AND lot.id = granted.credit AND lot.kind = 1
        WHERE granted.verb IN (2, 4)
    ) AS late
    WHERE late.paid_on > late.expires_on
    GROUP BY late.book_id, late.credit
) AS paid
WHERE transfer.verb = 10 AND transfer.book_id = paid.book_id AND transfer.debit = paid.lot;
