-- Tidies up: on at most p_limit wallets of a book gives back holds that timed out, with what else is due there, and rejects what
-- was held back until now. Nobody waits for it (see post_due_v1, settle_pending_v1). Dead lots are expire_v1's.
-- Returns how many wallets and events it took; 0 means that nothing is due. Locks the book's head, so keep p_limit small.

CREATE OR REPLACE FUNCTION ledger.sweep_v1(p_brand_id integer, p_book_id integer, p_now timestamptz, p_limit integer)
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_customer  bigint;
    v_event     ledger.event;
    v_swept     integer := 0;
BEGIN
    FOR v_event IN
        SELECT event.*
        FROM (
            SELECT pending.campaign_no, pending.key
            FROM ledger.pending
            WHERE pending.book_id = p_book_id AND pending.due_at <= v_head.posted_at
            ORDER BY pending.due_at
            LIMIT p_limit
        ) AS due
        CROSS JOIN LATERAL (
            SELECT known.* FROM ledger.event AS known
            WHERE known.book_id = p_book_id AND known.campaign_no = due.campaign_no AND known.key = due.key
            LIMIT 1  -- see balances_v1
        ) AS event
    LOOP
        PERFORM ledger.settle_event_v1(v_head, v_event, false, NULL);
        v_swept := v_swept + 1;
    END LOOP;
    IF v_swept > 0 THEN
        RETURN v_swept;
    END IF;

    FOR v_customer IN
        SELECT hold.customer
        FROM (
            SELECT redemption.customer
            FROM ledger.redemption
            WHERE redemption.book_id = p_book_id
                AND redemption.closed_at IS NULL
                AND redemption.deadline <= v_head.posted_at
            ORDER BY redemption.deadline
            LIMIT p_limit
        ) AS hold
        GROUP BY hold.customer
    LOOP
        PERFORM ledger.post_due_v1(v_head, v_customer);
        v_swept := v_swept + 1;
    END LOOP;
    RETURN v_swept;
END
$function$;
