-- What a book's accounts of a range of ids, p_after < id <= p_until, had been debited and credited when its last transfer was
-- p_cut, by line of the trial balance: the accounts now, less the log since, read at one instant.
-- Returns a row for each line, in no order. Locks nothing. It reads all of the log since the cut: ask soon after it.

CREATE OR REPLACE FUNCTION ledger.account_lines_v1(
    p_book_id  integer,
    p_cut      bigint,
    p_after    bytea,
    p_until    bytea
) RETURNS TABLE (line bytea, debits bigint, credits bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT movement.line, sum(movement.debits)::bigint, sum(movement.credits)::bigint
    FROM (
        SELECT ledger.account_line_v1(account.id) AS line, account.debits, account.credits
        FROM ledger.account
        WHERE account.book_id = p_book_id AND account.id > p_after AND account.id <= p_until
        UNION ALL
        SELECT ledger.account_line_v1(transfer.debit), -transfer.amount, 0
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > p_cut
            AND transfer.debit > p_after AND transfer.debit <= p_until
        UNION ALL
        SELECT ledger.account_line_v1(transfer.credit), 0, -transfer.amount
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > p_cut
            AND transfer.credit > p_after AND transfer.credit <= p_until
    ) AS movement
    GROUP BY movement.line;
END
$function$;
