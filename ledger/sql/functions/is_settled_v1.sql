-- Whether all that fell due in a book on the day p_day or before, which ends at p_ends_at, is in the log: no lot with that last day
-- has points, no hold is open and nothing is held back past a deadline before then. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.is_settled_v1(p_book_id integer, p_day date, p_ends_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT
        (SELECT head.swept_through >= p_day FROM ledger.head WHERE head.book_id = p_book_id)
        AND NOT EXISTS (
            SELECT
            FROM (
                SELECT redemption.deadline
                FROM ledger.redemption
                WHERE redemption.book_id = p_book_id AND redemption.closed_at IS NULL AND redemption.deadline < p_ends_at
                ORDER BY redemption.deadline  -- see redeem_v2
                LIMIT 1
            ) AS due
        )
        AND NOT EXISTS (
            SELECT FROM ledger.pending WHERE pending.book_id = p_book_id AND pending.due_at < p_ends_at
        )
$function$;
