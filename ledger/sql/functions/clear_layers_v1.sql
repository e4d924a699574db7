-- Forgets what is kept of a book's layers and its daily movements, about p_limit rows of each at a time, so that they are derived from
-- the log again. From the first call on nothing that is kept counts. Returns whether there is more to forget; when not, the reader is at
-- the log's beginning. Raises RW001 for another brand's book. Locks the reader's row and not the head: posting does not wait.

CREATE OR REPLACE FUNCTION ledger.clear_layers_v1(p_brand_id integer, p_book_id integer, p_limit integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_more boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM ledger.head WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id) THEN
        RAISE EXCEPTION 'book % is not a book of brand %', p_book_id, p_brand_id USING ERRCODE = 'RW001';
    END IF;
    INSERT INTO ledger.layer_reader (book_id, seq, clearing) VALUES (p_book_id, 0, true)
    ON CONFLICT (book_id) DO UPDATE SET clearing = true;

    DELETE FROM ledger.transfer_layer
    WHERE transfer_layer.book_id = p_book_id AND transfer_layer.seq <= (
        SELECT max(first.seq)
        FROM (
            SELECT part.seq FROM ledger.transfer_layer AS part WHERE part.book_id = p_book_id ORDER BY part.seq LIMIT p_limit
        ) AS first
    );
    v_more := FOUND;
    DELETE FROM ledger.lot_layers
    WHERE lot_layers.book_id = p_book_id AND lot_layers.lot <= (
        SELECT first.lot
        FROM (
            SELECT kept.lot FROM ledger.lot_layers AS kept WHERE kept.book_id = p_book_id ORDER BY kept.lot LIMIT p_limit
        ) AS first
        ORDER BY first.lot DESC
        LIMIT 1
    );
    v_more := v_more OR FOUND;
    DELETE FROM ledger.daily_movement
    WHERE daily_movement.book_id = p_book_id AND daily_movement.day <= (
        SELECT max(first.day)
        FROM (
            SELECT sums.day FROM ledger.daily_movement AS sums WHERE sums.book_id = p_book_id ORDER BY sums.day LIMIT p_limit
        ) AS first
    );
    v_more := v_more OR FOUND;
    IF NOT v_more THEN
        UPDATE ledger.layer_reader SET seq = 0, daily_seq = 0, clearing = false WHERE layer_reader.book_id = p_book_id;
    END IF;
    RETURN v_more;
END
$function$;
