-- No transfer that credits a lot counts after the lot's last day.
--
-- Before there were accounting dates points could be paid to a lot that was dead: what expired of them counts on that day, too.

SELECT count(*), count(*) FILTER (WHERE paid.is_late), array_agg('seq ' || paid.seq) FILTER (WHERE paid.is_late)
FROM (
    SELECT
        dated.seq,
        CASE WHEN dated.counts_on > dated.last_day THEN NOT EXISTS (
            SELECT FROM ledger.transfer AS expiry
            WHERE expiry.book_id = $1 AND expiry.customer = dated.customer AND expiry.seq > dated.seq
                AND expiry.verb = 10 AND expiry.debit = dated.credit AND expiry.due_on >= dated.counts_on
        ) ELSE false END AS is_late
    FROM (
        SELECT
            transfer.seq, transfer.customer, transfer.credit, ledger.account_expires_on_v1(transfer.credit) AS last_day,
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
            ) AS counts_on
        FROM ledger.head
        JOIN ledger.transfer ON transfer.book_id = head.book_id
        WHERE head.book_id = $1 AND get_byte(transfer.credit, 0) = 1 AND get_byte(transfer.credit, 11) >> 4 = 1
        OFFSET 0
    ) AS dated
) AS paid
