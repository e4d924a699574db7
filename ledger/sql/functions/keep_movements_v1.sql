-- Adds a stretch of the log to the daily movements of a book: at most p_limit transfers, of which at most so many layers, and at least one
-- transfer. A transfer is added once its layers are kept, and exactly once, whoever else adds.
-- Returns how many transfers are left whose layers are kept; 0 while these are being built again. Raises RW001 for another brand's book.
-- Locks the reader's row and not the head: posting does not wait.

CREATE OR REPLACE FUNCTION ledger.keep_movements_v1(p_brand_id integer, p_book_id integer, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $function$
DECLARE
    v_time_zone  text;
    v_after      bigint;
    v_read       bigint;
    v_through    bigint;
BEGIN
    SELECT head.time_zone INTO v_time_zone
    FROM ledger.head
    WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'book % is not a book of brand %', p_book_id, p_brand_id USING ERRCODE = 'RW001';
    END IF;
    SELECT reader.daily_seq, reader.seq INTO v_after, v_read
    FROM ledger.layer_reader AS reader
    WHERE reader.book_id = p_book_id AND reader.daily_seq < reader.seq AND NOT reader.clearing
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;

    -- The transfer with the first layer too many is left for the next stretch.
    SELECT part.seq - 1 INTO v_through
    FROM ledger.transfer_layer AS part
    WHERE part.book_id = p_book_id AND part.seq > v_after
    ORDER BY part.seq
    OFFSET p_limit
    LIMIT 1;
    v_through := greatest(v_after + 1, least(v_through, v_after + p_limit, v_read));

    -- What came in, with the event that paid it. LIMIT 1 makes sure that it is looked up for each.
    INSERT INTO ledger.daily_movement AS sums (
        book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade, transfers, points, first_seq, last_seq
    )
    SELECT
        p_book_id, issued.day, date_trunc('month', issued.day)::date, coalesce(issued.campaign_no, 0), issued.verb, issued.debit,
        issued.credit, coalesce(event.channel, ''), coalesce(event.action, ''), coalesce(event.grade::text, ''),
        count(*), sum(issued.amount), min(issued.seq), max(issued.seq)
    FROM (
        SELECT
            transfer.seq, transfer.verb, transfer.amount, transfer.campaign_no, transfer.event_key,
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, v_time_zone
            ) AS day,
            get_byte(transfer.debit, 11) AS debit, get_byte(transfer.credit, 11) AS credit
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > v_after AND transfer.seq <= v_through
            AND ledger.account_kind_v1(transfer.credit) = 1  -- LOT
            AND ledger.account_kind_v1(transfer.debit) NOT IN (1, 3, 4, 12)  -- LOT, HELD, SPENT, TRANSIT
    ) AS issued
    LEFT JOIN LATERAL (
        SELECT event.channel, event.action, event.grade
        FROM ledger.event
        WHERE event.book_id = p_book_id AND event.campaign_no = issued.campaign_no AND event.key = issued.event_key
        LIMIT 1
    ) AS event ON issued.event_key IS NOT NULL
    GROUP BY
        issued.day, issued.campaign_no, issued.verb, issued.debit, issued.credit, event.channel, event.action, event.grade
    ON CONFLICT (book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade) DO UPDATE SET
        transfers = sums.transfers + excluded.transfers, points = sums.points + excluded.points,
        first_seq = least(sums.first_seq, excluded.first_seq), last_seq = greatest(sums.last_seq, excluded.last_seq);

    -- What left, and what came back, by the grants that had brought it.
    INSERT INTO ledger.daily_movement AS sums (
        book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade, transfers, points, first_seq, last_seq
    )
    SELECT
        p_book_id, moved.day, date_trunc('month', coalesce(issued.day, moved.day))::date, coalesce(part.campaign_no, 0), moved.verb,
        moved.debit, moved.credit, coalesce(event.channel, ''), '', '', count(*), sum(part.amount), min(part.seq), max(part.seq)
    FROM ledger.transfer_layer AS part
    CROSS JOIN LATERAL (
        SELECT
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, v_time_zone
            ) AS day,
            transfer.verb, get_byte(transfer.debit, 11) AS debit, get_byte(transfer.credit, 11) AS credit
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq = part.seq
            -- Lots and holds are owed; what moves between them changes nothing.
            AND (ledger.account_kind_v1(transfer.debit) IN (1, 3)) <> (ledger.account_kind_v1(transfer.credit) IN (1, 3))
        OFFSET 0
    ) AS moved
    LEFT JOIN LATERAL (
        SELECT
            ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, v_time_zone
            ) AS day,
            transfer.event_key
        FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq = part.layer
        OFFSET 0
    ) AS issued ON true
    LEFT JOIN LATERAL (
        SELECT event.channel
        FROM ledger.event
        WHERE event.book_id = p_book_id AND event.campaign_no = part.campaign_no AND event.key = issued.event_key
        LIMIT 1
    ) AS event ON issued.event_key IS NOT NULL
    WHERE part.book_id = p_book_id AND part.seq > v_after AND part.seq <= v_through
    GROUP BY
        moved.day, date_trunc('month', coalesce(issued.day, moved.day)), part.campaign_no, moved.verb, moved.debit, moved.credit,
        event.channel
    ON CONFLICT (book_id, day, issued_in, campaign_no, verb, debit, credit, channel, action, grade) DO UPDATE SET
        transfers = sums.transfers + excluded.transfers, points = sums.points + excluded.points,
        first_seq = least(sums.first_seq, excluded.first_seq), last_seq = greatest(sums.last_seq, excluded.last_seq);

    UPDATE ledger.layer_reader SET daily_seq = v_through WHERE layer_reader.book_id = p_book_id;
    RETURN v_read - v_through;
END
$function$;
