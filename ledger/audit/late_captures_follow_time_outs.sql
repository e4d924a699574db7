-- A capture of what is in a lot is of a redemption that timed out before and says that it was captured since; and who says so was.

SELECT count(*), count(*) FILTER (WHERE compared.wrong), array_agg('redemption ' || compared.id) FILTER (WHERE compared.wrong)
FROM (
    SELECT coalesce(redemption.id, late.id) AS id,
        (late.id IS NOT NULL) <> coalesce(redemption.since_time_out IN (1, 2), false)
            OR coalesce(redemption.closed_at < redemption.deadline, true)
            OR coalesce(late.posted_at < redemption.deadline, false) AS wrong
    FROM (
        SELECT redemption.* FROM ledger.redemption
        WHERE redemption.book_id = $1 AND redemption.since_time_out IS NOT NULL
    ) AS redemption
    FULL JOIN (
        SELECT ledger.account_number_v1(transfer.credit) AS id, min(transfer.posted_at) AS posted_at
        FROM ledger.transfer
        WHERE transfer.book_id = $1 AND transfer.verb = 7 AND get_byte(transfer.debit, 11) >> 4 = 1
        GROUP BY 1
    ) AS late ON late.id = redemption.id
) AS compared
