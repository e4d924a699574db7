-- Locks a book's head and reads its clock. The first thing every posting does.
-- Returns the head with posted_at set to this transaction's instant: never before the last one, read after the lock.
-- Locks the head row until the transaction ends. Raises RW001 for another brand's book, RW002 for clocks apart.

CREATE OR REPLACE FUNCTION ledger.lock_head_v1(p_brand_id integer, p_book_id integer, p_now timestamptz)
RETURNS ledger.head
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_head  ledger.head;
    v_clock timestamptz;
BEGIN
    SELECT head.* INTO v_head FROM ledger.head WHERE head.book_id = p_book_id FOR NO KEY UPDATE;
    IF v_head.brand_id IS DISTINCT FROM p_brand_id THEN
        RAISE EXCEPTION 'book % is not a book of brand %', p_book_id, p_brand_id USING ERRCODE = 'RW001';
    END IF;
    v_clock := clock_timestamp();
    IF abs(extract(epoch FROM p_now - v_clock)) > 60
        OR v_head.posted_at > v_clock + v_head.clock_offset + interval '60 seconds'
    THEN
        RAISE EXCEPTION 'clocks differ: caller %, database %, book %', p_now, v_clock, v_head.posted_at
            USING ERRCODE = 'RW002';
    END IF;
    v_head.posted_at := greatest(v_head.posted_at, v_clock + v_head.clock_offset);
    RETURN v_head;
END
$function$;
