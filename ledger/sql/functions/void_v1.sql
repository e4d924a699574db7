-- Gives back what a redemption holds.
-- Returns the outcome: 5 when nothing is held any more and nothing was spent (voided or expired before: the same answer
-- again), 6 when it was spent, 10 done. The head is locked and what is due is posted.

CREATE OR REPLACE FUNCTION ledger.void_v1(p_head ledger.head, p_customer bigint, p_redemption bigint) RETURNS smallint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_state record;
BEGIN
    SELECT * INTO v_state FROM ledger.redemption_sums_v1(p_head.book_id, p_redemption);
    IF v_state.closed_at IS NOT NULL THEN
        RETURN CASE WHEN v_state.captured > 0 THEN 6 ELSE 5 END;
    END IF;
    PERFORM ledger.release_hold_v1(
        p_head, p_customer, p_redemption, (p_head.posted_at AT TIME ZONE p_head.time_zone)::date, NULL);
    RETURN 10;
END
$function$;
