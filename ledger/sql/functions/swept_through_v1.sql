-- Says that no lot whose last day is p_through or before has points any more, as was found by whoever began to look when the book was
-- at p_seq. None has got any since: points are never paid to a dead lot.
-- Returns whether that is news. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.swept_through_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_seq       bigint,
    p_through   date
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_head  ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
BEGIN
    UPDATE ledger.head
    SET swept_through = p_through
    WHERE head.book_id = p_book_id
        AND head.swept_through < p_through
        AND p_through < (v_head.posted_at AT TIME ZONE v_head.time_zone)::date;
    RETURN FOUND;
END
$function$;
