-- Keeps what a stretch of the log comes to by layers, and moves the reader of the book on to its end: both or neither.
-- Returns false, and changes nothing, if the reader is not where the stretch begins: somebody else has read on, or all is being
-- built again. Raises RW001 for another brand's book. Locks the reader's row and not the head: posting does not wait.

CREATE OR REPLACE FUNCTION ledger.keep_layers_v1(
    p_brand_id      integer,
    p_book_id       integer,
    p_from          bigint,
    p_through       bigint,
    p_seqs          bigint[],   -- the parts, side by side
    p_layers        bigint[],
    p_amounts       bigint[],
    p_redemptions   bigint[],   -- elements may be NULL
    p_lots          bytea[],    -- the lots, side by side, each with how many of the layers that follow are left in it
    p_entered       bigint[],
    p_counts        integer[],
    p_lot_layers    bigint[],
    p_lot_amounts   bigint[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $function$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger.head
        WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id AND p_through BETWEEN p_from AND head.seq
    ) THEN
        RAISE EXCEPTION 'book % is not a book of brand %, or ends before %', p_book_id, p_brand_id, p_through
            USING ERRCODE = 'RW001';
    END IF;
    INSERT INTO ledger.layer_reader (book_id, seq, clearing) VALUES (p_book_id, 0, false) ON CONFLICT (book_id) DO NOTHING;
    UPDATE ledger.layer_reader
    SET seq = p_through
    WHERE layer_reader.book_id = p_book_id AND layer_reader.seq = p_from AND NOT layer_reader.clearing;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    INSERT INTO ledger.transfer_layer (book_id, campaign_no, seq, layer, amount, redemption)
    SELECT p_book_id, issue.campaign_no, part.seq, part.layer, part.amount, part.redemption
    FROM unnest(p_seqs, p_layers, p_amounts, p_redemptions) AS part (seq, layer, amount, redemption)
    LEFT JOIN LATERAL (
        SELECT transfer.campaign_no FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq = part.layer
        LIMIT 1  -- see balances_v1
    ) AS issue ON true;

    INSERT INTO ledger.lot_layers AS kept (book_id, lot, entered, layers, amounts)
    SELECT
        p_book_id, each.lot, each.entered, p_lot_layers[each.until - each.count + 1 : each.until],
        p_lot_amounts[each.until - each.count + 1 : each.until]
    FROM (
        SELECT lot.id AS lot, lot.entered, lot.count, sum(lot.count) OVER (ORDER BY lot.place) AS until
        FROM unnest(p_lots, p_entered, p_counts) WITH ORDINALITY AS lot (id, entered, count, place)
    ) AS each
    ON CONFLICT (book_id, lot)
        DO UPDATE SET entered = excluded.entered, layers = excluded.layers, amounts = excluded.amounts;
    RETURN true;
END
$function$;
