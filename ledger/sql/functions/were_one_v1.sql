-- Whether an event, by its seq and place, was decided while a customer, or one merged into them now, was merged with another
-- number. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.were_one_v1(
    p_book_id   integer,
    p_customer  bigint,
    p_other     bigint,
    p_seq       bigint,
    p_place     bigint  -- NULL: it moved points
) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT ledger.survivor_at_v1(p_book_id, p_other, p_seq, p_place) IN (
        SELECT ledger.survivor_at_v1(p_book_id, mine.customer, p_seq, p_place)
        FROM (
            SELECT p_customer AS customer
            UNION ALL
            SELECT merged.customer FROM ledger.merged_into_v1(p_book_id, p_customer) AS merged
        ) AS mine
    )
$function$;
