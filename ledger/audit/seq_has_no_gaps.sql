-- Transfers are numbered 1, 2, 3 ... up to the head's seq, without a gap.

SELECT head.seq, abs(head.seq - log.transfers) + abs(head.seq - log.last), ARRAY[]::text[]
FROM ledger.head
CROSS JOIN LATERAL (
    SELECT count(*) AS transfers, coalesce(max(transfer.seq), 0) AS last
    FROM ledger.transfer WHERE transfer.book_id = $1
) AS log
WHERE head.book_id = $1
