-- How many spendable points a merge has moved away from a customer: her last transaction, for nothing is posted on her afterwards.
-- Returns 0 when she had nothing. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.merged_points_v1(p_book_id integer, p_loser bigint) RETURNS bigint
LANGUAGE sql STABLE
AS $function$
    SELECT coalesce(sum(moved.amount) FILTER (WHERE get_byte(moved.debit, 11) >> 4 = 1), 0)::bigint
    FROM (
        SELECT transfer.transaction_id
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.customer = p_loser
        ORDER BY transfer.seq DESC
        LIMIT 1
    ) AS last
    JOIN ledger.transfer AS moved
        ON moved.book_id = p_book_id AND moved.customer = p_loser AND moved.seq >= last.transaction_id
        AND moved.transaction_id = last.transaction_id AND moved.verb = 13
        AND substring(moved.debit FROM 1 FOR 11) = ledger.account_owner_v1(1, p_loser)
$function$;
