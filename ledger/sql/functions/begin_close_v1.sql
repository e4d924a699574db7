-- Closes a period of a book, from the day p_begins_on to p_ends_on: says which transfers are in it. What is stored of it is stored
-- afterwards, see store_close_v1.
-- If p_asks, only says what would be decided now.
-- Returns one row: outcome (see CloseOutcome), and the day on which the next period begins (NULL: no period is closed yet). Locks the
-- book's head, and moves the book on to the midnight after the period, so that nothing is posted in it any more.

CREATE OR REPLACE FUNCTION ledger.begin_close_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_now        timestamptz,
    p_begins_on  date,
    p_ends_on    date,
    p_asks       boolean DEFAULT false
) RETURNS TABLE (outcome smallint, next_begins_on date)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head     ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_ends_at  CONSTANT timestamptz := (p_ends_on + 1)::timestamp AT TIME ZONE v_head.time_zone;
    v_next     CONSTANT date := (SELECT max(close.ends_on) + 1 FROM ledger.close WHERE close.book_id = p_book_id);
    v_seq      bigint;
BEGIN
    IF EXISTS (
        SELECT FROM ledger.close
        WHERE close.book_id = p_book_id AND close.ends_on = p_ends_on AND close.begins_on = p_begins_on
    ) THEN
        RETURN QUERY SELECT ledger.close_outcome_v1('closed_before'), v_next;
        RETURN;
    END IF;
    IF v_ends_at > v_head.posted_at THEN
        RETURN QUERY SELECT ledger.close_outcome_v1('not_over'), v_next;
        RETURN;
    END IF;
    IF p_begins_on <> v_next THEN
        RETURN QUERY SELECT ledger.close_outcome_v1('out_of_order'), v_next;
        RETURN;
    END IF;
    v_seq := ledger.seq_at_v1(p_book_id, v_ends_at - interval '1 microsecond');
    IF v_seq = 0 THEN
        RETURN QUERY SELECT ledger.close_outcome_v1('before_book'), v_next;
        RETURN;
    END IF;
    IF p_asks THEN
        RETURN QUERY SELECT ledger.close_outcome_v1('closed'), v_next;
        RETURN;
    END IF;
    INSERT INTO ledger.close (book_id, ends_on, version, state, begins_on, ends_at, closed_at, seq, posted_at)
    SELECT
        p_book_id, p_ends_on, 1, ledger.close_state_v1('storing'), p_begins_on, v_ends_at, v_head.posted_at, v_seq,
        transfer.posted_at
    FROM ledger.transfer
    WHERE transfer.book_id = p_book_id AND transfer.seq = v_seq;
    UPDATE ledger.head SET posted_at = greatest(head.posted_at, v_ends_at) WHERE head.book_id = p_book_id;
    RETURN QUERY SELECT ledger.close_outcome_v1('closed'), p_ends_on + 1;
END
$function$;
