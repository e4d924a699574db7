-- What a piece of a book's log, p_after < seq <= p_until, debited and credited, by line of the trial balance.
-- Returns a row for each line that it moved, in no order. Locks nothing. The log never changes, so neither does the answer.

CREATE OR REPLACE FUNCTION ledger.log_lines_v1(
    p_book_id  integer,
    p_after    bigint,
    p_until    bigint
) RETURNS TABLE (line bytea, debits bigint, credits bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT side.line, sum(side.debits)::bigint, sum(side.credits)::bigint
    FROM (
        SELECT ledger.account_line_v1(transfer.debit) AS line, transfer.amount AS debits, 0 AS credits
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > p_after AND transfer.seq <= p_until
        UNION ALL
        SELECT ledger.account_line_v1(transfer.credit), 0, transfer.amount
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > p_after AND transfer.seq <= p_until
    ) AS side
    GROUP BY side.line;
END
$function$;
