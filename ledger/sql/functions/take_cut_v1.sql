-- Makes an instant exact and gives it a name: all that is posted up to now, and nothing that is not.
-- Returns the cut; the same name again returns the same cut. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.take_cut_v1(p_brand_id integer, p_book_id integer, p_now timestamptz, p_name text)
RETURNS TABLE (name text, seq bigint, posted_at timestamptz, made boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head   ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_made   integer;
BEGIN
    -- Whatever is posted later has a later or the same instant and a higher seq.
    INSERT INTO ledger.cut (book_id, name, brand_id, seq, posted_at)
    VALUES (p_book_id, p_name, p_brand_id, v_head.seq, v_head.posted_at)
    ON CONFLICT (book_id, name) DO NOTHING;
    GET DIAGNOSTICS v_made = ROW_COUNT;
    UPDATE ledger.head SET posted_at = v_head.posted_at WHERE head.book_id = p_book_id;
    RETURN QUERY
    SELECT cut.name, cut.seq, cut.posted_at, v_made = 1
    FROM ledger.cut
    WHERE cut.book_id = p_book_id AND cut.name = p_name;
END
$function$;
