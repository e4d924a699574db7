-- Says that what a close reckoned is in the log, up to the transfer p_settled_seq.
-- Returns whether it is so: not while anything that fell due in the period is still to be posted. Locks the close, never the book:
-- what has been posted stays so.

CREATE OR REPLACE FUNCTION ledger.settle_close_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_ends_on      date,
    p_version      smallint,
    p_settled_seq  bigint
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
BEGIN
    PERFORM ledger.check_brand_v1(p_brand_id, p_book_id);
    UPDATE ledger.close
    SET state = ledger.close_state_v1('settled'), settled_seq = p_settled_seq
    WHERE close.book_id = p_book_id AND close.ends_on = p_ends_on AND close.version = p_version
        AND close.state = ledger.close_state_v1('closed')
        AND ledger.is_settled_v1(p_book_id, p_ends_on, close.ends_at);
    RETURN FOUND;
END
$function$;
