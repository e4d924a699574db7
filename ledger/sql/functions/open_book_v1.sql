-- Opens a brand's book: its head, with nothing posted yet.
-- Returns the book's number. Not for the application: an operator opens books.

CREATE OR REPLACE FUNCTION ledger.open_book_v1(
    p_brand_id     integer,
    p_unit         text,
    p_time_zone    text,
    p_issue_limit  bigint,
    p_grace_days   integer,
    p_mode         text DEFAULT 'live'  -- only a test book's clock can be moved
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_book_id integer;
BEGIN
    -- Books are opened seldom and by hand; the lock keeps two operators from taking one number.
    LOCK TABLE ledger.head IN SHARE ROW EXCLUSIVE MODE;
    PERFORM now() AT TIME ZONE p_time_zone;
    SELECT coalesce(max(head.book_id), 0) + 1 INTO v_book_id FROM ledger.head;
    INSERT INTO ledger.head (book_id, brand_id, unit, time_zone, grace_days, issue_limit, mode)
    VALUES (v_book_id, p_brand_id, p_unit, p_time_zone, p_grace_days, p_issue_limit, p_mode);
    RETURN v_book_id;
END
$function$;
