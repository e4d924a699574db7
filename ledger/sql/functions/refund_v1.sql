-- Gives spent points back to the lots they came from, latest to expire first; where a lot is dead, to one that lasts the
-- book's grace from today.
-- Returns the outcome: 8 when more is asked than was captured and not yet refunded, 10 done. p_points 0 is all of that.
-- The head is locked and what is due is posted.

CREATE OR REPLACE FUNCTION ledger.refund_v1(
    p_head        ledger.head,
    p_customer    bigint,
    p_redemption  bigint,
    p_points      bigint,
    p_details     bytea  -- the hash of what is said about it; NULL: nothing
) RETURNS smallint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_today    CONSTANT date := (p_head.posted_at AT TIME ZONE p_head.time_zone)::date;
    v_owner    CONSTANT bytea := ledger.account_owner_v1(1, p_customer);
    v_state    record;
    v_missing  bigint;
    v_taken    bigint;
    v_spent    record;
    v_verbs    smallint[] := '{}';
    v_debits   bytea[] := '{}';
    v_credits  bytea[] := '{}';
    v_amounts  bigint[] := '{}';
BEGIN
    SELECT * INTO v_state FROM ledger.redemption_sums_v1(p_head.book_id, p_redemption);
    v_missing := CASE WHEN p_points = 0 THEN v_state.captured - v_state.refunded ELSE p_points END;
    IF v_missing = 0 OR v_missing > v_state.captured - v_state.refunded THEN
        RETURN 8;
    END IF;

    FOR v_spent IN
        SELECT spent.id, spent.expires_on, spent.credits - spent.debits AS points
        FROM ledger.account AS spent
        WHERE spent.book_id = p_head.book_id
            AND spent.id >= ledger.account_owner_v1(3, p_redemption) || '\x40'::bytea
            AND spent.id < ledger.account_owner_v1(3, p_redemption) || '\x50'::bytea
            AND spent.credits > spent.debits
        ORDER BY spent.expires_on DESC, spent.id DESC
    LOOP
        EXIT WHEN v_missing = 0;
        v_taken := least(v_spent.points, v_missing);
        v_verbs := v_verbs || 9::smallint;
        v_debits := v_debits || v_spent.id;
        v_credits := v_credits || ledger.account_id_v1(
            v_owner, (1 << 4) | (get_byte(v_spent.id, 11) & 15),
            CASE WHEN v_spent.expires_on >= v_today THEN v_spent.expires_on ELSE v_today + p_head.grace_days END);
        v_amounts := v_amounts || v_taken;
        v_missing := v_missing - v_taken;
    END LOOP;
    PERFORM ledger.write_transfers_v1(
        p_head, p_head.posted_at, p_customer, NULL, NULL, p_details, NULL, v_verbs, v_debits, v_credits, v_amounts);
    RETURN 10;
END
$function$;
