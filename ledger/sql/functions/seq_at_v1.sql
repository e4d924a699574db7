-- The last transfer of a book that was posted up to p_at, by its seq; 0 if there is none. Locks nothing.
--
-- The log has no gaps and its times never run back, so it is halved by its key: some 35 look-ups, and no index on the time.

CREATE OR REPLACE FUNCTION ledger.seq_at_v1(p_book_id integer, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $function$
DECLARE
    v_low     bigint := 0;  -- this one and all before are in
    v_high    bigint := (SELECT head.seq + 1 FROM ledger.head WHERE head.book_id = p_book_id);  -- this one is not
    v_middle  bigint;
BEGIN
    WHILE v_high - v_low > 1 LOOP
        v_middle := (v_low + v_high) / 2;
        IF (
            SELECT transfer.posted_at FROM ledger.transfer
            WHERE transfer.book_id = p_book_id AND transfer.seq = v_middle
        ) <= p_at THEN
            v_low := v_middle;
        ELSE
            v_high := v_middle;
        END IF;
    END LOOP;
    RETURN v_low;
END
$function$;
