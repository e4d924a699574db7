-- Settles points that a grant holds back: they mature into a lot, or are rejected and go back to the budget; a rejection frees the
-- caps that the grant counted against. What is due was rejected by its deadline, whenever that is posted.
-- Returns one row: outcome (see SettleOutcome), and whether it had been settled
-- in the same way before. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.settle_pending_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_now          timestamptz,
    p_campaign_no  integer,
    p_key          bytea,
    p_matures      boolean,
    p_expires_on   date  -- the last day of the lot; NULL is never
) RETURNS TABLE (outcome smallint, replayed boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head   ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_event  ledger.event;
    v_due    timestamptz;
BEGIN
    SELECT event.* INTO v_event
    FROM ledger.event
    WHERE event.book_id = p_book_id AND event.campaign_no = p_campaign_no AND event.key = p_key;
    IF v_event.book_id IS NULL THEN
        RETURN QUERY SELECT ledger.settle_outcome_v1('not_found'), false;
        RETURN;
    END IF;

    IF v_event.outcome = ledger.grant_outcome_v1('held_back') THEN
        SELECT pending.due_at INTO v_due
        FROM ledger.pending
        WHERE pending.book_id = p_book_id
            AND pending.customer = ledger.survivor_v1(p_book_id, v_event.customer)
            AND pending.key = p_key;
        PERFORM ledger.settle_event_v1(v_head, v_event, p_matures AND v_due > v_head.posted_at, p_expires_on);
        IF p_matures AND v_due <= v_head.posted_at THEN
            RETURN QUERY SELECT ledger.settle_outcome_v1('not_held_back'), false;
        ELSE
            RETURN QUERY SELECT ledger.settle_outcome_v1('settled'), false;
        END IF;
        RETURN;
    END IF;

    IF v_event.outcome = (
        CASE WHEN p_matures THEN ledger.grant_outcome_v1('granted') ELSE ledger.grant_outcome_v1('rejected') END
    ) AND EXISTS (
        SELECT FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq = v_event.seq AND transfer.verb = ledger.verb_v1('hold_back')
    ) THEN
        RETURN QUERY SELECT ledger.settle_outcome_v1('settled'), true;
    ELSE
        RETURN QUERY SELECT ledger.settle_outcome_v1('not_held_back'), false;
    END IF;
END
$function$;
