-- Makes an instant of a book exact: which transfers were posted up to p_at. It is the same answer whenever it is asked for.
-- Returns one row: outcome (see InstantOutcome), the seq of the last of these, when that was posted, and the day at p_at in the
-- book's zone.
--
-- The book moves on past p_at, so that nothing can be posted then any more. Locks the head if it has not moved on yet, which it
-- mostly has.

CREATE OR REPLACE FUNCTION ledger.as_of_v1(p_brand_id integer, p_book_id integer, p_now timestamptz, p_at timestamptz)
RETURNS TABLE (outcome smallint, seq bigint, posted_at timestamptz, day date)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head  ledger.head;
    v_seq   bigint;
BEGIN
    SELECT head.* INTO v_head FROM ledger.head WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id;
    IF v_head.posted_at IS NULL OR v_head.posted_at <= p_at THEN
        v_head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
        IF p_at > v_head.posted_at THEN
            RETURN QUERY
            SELECT ledger.instant_outcome_v1('in_future'), v_head.seq, v_head.posted_at,
                (p_at AT TIME ZONE v_head.time_zone)::date;
            RETURN;
        END IF;
        UPDATE ledger.head SET posted_at = greatest(head.posted_at, p_at + interval '1 microsecond')
        WHERE head.book_id = p_book_id;
    END IF;
    v_seq := ledger.seq_at_v1(p_book_id, p_at);
    RETURN QUERY
    SELECT
        CASE WHEN v_seq = 0 THEN ledger.instant_outcome_v1('before_book') ELSE ledger.instant_outcome_v1('known') END,
        v_seq,
        coalesce(
            (SELECT transfer.posted_at FROM ledger.transfer WHERE transfer.book_id = p_book_id AND transfer.seq = v_seq),
            p_at
        ),
        (p_at AT TIME ZONE v_head.time_zone)::date;
END
$function$;
