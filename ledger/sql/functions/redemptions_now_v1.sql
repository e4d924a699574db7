-- A brand's redemptions as they stand now, by the book's clock: see redemptions_v1. A row for each of p_ids that there is, in their
-- order; no row at all if the book is not the brand's. All are of the book's last transfer and one instant. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.redemptions_now_v1(p_book_id integer, p_brand_id integer, p_ids bigint[])
RETURNS TABLE (place integer, answer jsonb)
LANGUAGE plpgsql STABLE
AS $function$
#variable_conflict use_column
DECLARE
    v_head  ledger.head;
BEGIN
    SELECT head.* INTO v_head FROM ledger.head WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT shown.place, shown.answer
    FROM ledger.redemptions_v1(
        p_book_id, p_ids, greatest(v_head.posted_at, clock_timestamp() + v_head.clock_offset), v_head.time_zone,
        v_head.grace_days::integer, '{}', array_fill(v_head.seq, ARRAY[cardinality(p_ids)])
    ) AS shown
    ORDER BY shown.place;
END
$function$;
