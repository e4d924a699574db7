-- The number of a book's next correction. The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.next_correction_v1(p_book_id integer) RETURNS bigint
LANGUAGE sql STABLE
AS $function$
    SELECT 1 + coalesce((
        SELECT correction.correction_no
        FROM ledger.correction
        WHERE correction.book_id = p_book_id
        ORDER BY correction.correction_no DESC
        LIMIT 1
    ), 0)
$function$;
