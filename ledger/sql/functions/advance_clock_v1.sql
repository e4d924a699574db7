-- Moves the clock of a test brand's book forward, by p_seconds or to p_to (exactly one of them is given).
-- Returns one row: outcome (see ClockOutcome) and what
-- the book's clock says then. Locks the book's head, so whatever is posted later is posted at or after that instant.

CREATE OR REPLACE FUNCTION ledger.advance_clock_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_seconds   bigint,
    p_to        timestamptz
) RETURNS TABLE (outcome smallint, clock_offset interval, posted_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    c_furthest  CONSTANT interval := interval '3660 days';
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_clock     timestamptz := clock_timestamp();
    v_to        timestamptz := coalesce(p_to, v_head.posted_at + p_seconds * interval '1 second');
    v_outcome   smallint := ledger.clock_outcome_v1('advanced');
BEGIN
    IF v_head.mode <> 'test' THEN
        v_outcome := ledger.clock_outcome_v1('live_book');
    ELSIF v_to <= v_head.posted_at THEN
        v_outcome := ledger.clock_outcome_v1('not_forward');
    ELSIF v_to > v_clock + c_furthest THEN
        v_outcome := ledger.clock_outcome_v1('too_far');
    ELSE
        -- The clock may have stood still, ahead of what its offset says: the offset never shrinks.
        v_head.clock_offset := greatest(v_head.clock_offset, make_interval(secs => extract(epoch FROM v_to - v_clock)));
        v_head.posted_at := greatest(v_to, v_clock + v_head.clock_offset);
        UPDATE ledger.head
        SET clock_offset = v_head.clock_offset, posted_at = v_head.posted_at
        WHERE head.book_id = p_book_id;
    END IF;
    RETURN QUERY SELECT v_outcome, v_head.clock_offset::interval, v_head.posted_at;
END
$function$;
