-- Spends what a redemption holds, soonest to expire first; the rest is given back unless the capture is not final.
-- Returns the outcome: 4 expired, 5 voided, 6 fully captured, 7 more than is held, 10 done. p_points 0 is all that is held.
-- The head is locked and what is due is posted, so an open redemption has not timed out.

CREATE OR REPLACE FUNCTION ledger.capture_v1(
    p_head        ledger.head,
    p_customer    bigint,
    p_redemption  bigint,
    p_points      bigint,
    p_final       boolean,
    p_details     bytea  -- the hash of what is said about it; NULL: nothing
) RETURNS smallint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_state    record;
    v_points   bigint;
    v_transaction bigint;
    v_missing  bigint;
    v_taken    bigint;
    v_held     record;
    v_verbs    smallint[] := '{}';
    v_debits   bytea[] := '{}';
    v_credits  bytea[] := '{}';
    v_amounts  bigint[] := '{}';
BEGIN
    SELECT * INTO v_state FROM ledger.redemption_sums_v1(p_head.book_id, p_redemption);
    IF v_state.closed_at IS NOT NULL THEN
        RETURN CASE
            WHEN v_state.closed_at >= v_state.deadline THEN 4
            WHEN v_state.captured > 0 THEN 6
            ELSE 5
        END;
    END IF;
    v_points := CASE WHEN p_points = 0 THEN v_state.held ELSE p_points END;
    IF v_points > v_state.held THEN
        RETURN 7;
    END IF;

    v_missing := v_points;
    FOR v_held IN
        SELECT held.id, held.credits - held.debits AS points
        FROM ledger.account AS held
        WHERE held.book_id = p_head.book_id
            AND held.id >= ledger.account_owner_v1(3, p_redemption) || '\x30'::bytea
            AND held.id < ledger.account_owner_v1(3, p_redemption) || '\x40'::bytea
            AND held.credits > held.debits
        ORDER BY held.expires_on, held.id
    LOOP
        EXIT WHEN v_missing = 0;
        v_taken := least(v_held.points, v_missing);
        v_verbs := v_verbs || 7::smallint;
        v_debits := v_debits || v_held.id;
        v_credits := v_credits || set_byte(v_held.id, 11, (4 << 4) | (get_byte(v_held.id, 11) & 15));
        v_amounts := v_amounts || v_taken;
        v_missing := v_missing - v_taken;
    END LOOP;
    v_transaction := ledger.write_transfers_v1(
        p_head, p_head.posted_at, p_customer, NULL, NULL, p_details, NULL, v_verbs, v_debits, v_credits, v_amounts);

    IF p_final OR v_points = v_state.held THEN
        PERFORM ledger.release_hold_v1(
            p_head, p_customer, p_redemption, (p_head.posted_at AT TIME ZONE p_head.time_zone)::date, v_transaction);
    END IF;
    RETURN 10;
END
$function$;
