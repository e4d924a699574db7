-- Posts what is due on a wallet: what was held back until now is rejected, holds that timed out go back, lots past their last day go
-- to breakage.
-- Returns how many transfers it posted. The head is locked by the caller. Every debit of a wallet does this first, in its
-- own transaction, so the sweeper can be late without harm.
--
-- A timed-out hold is released as of its deadline (see spendable_v1), whenever this runs; only then do dead lots expire. Each
-- transfer has the business date on which it fell due.

CREATE OR REPLACE FUNCTION ledger.post_due_v1(p_head ledger.head, p_customer bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_event    ledger.event;
    v_hold     record;
    v_today    CONSTANT date := (p_head.posted_at AT TIME ZONE p_head.time_zone)::date;
    v_owner    CONSTANT bytea := ledger.customer_owner_v1(p_customer);
    v_verbs    smallint[];
    v_debits   bytea[];
    v_credits  bytea[];
    v_amounts  bigint[];
    v_posted   integer := 0;
BEGIN
    IF EXISTS (
        SELECT FROM ledger.customer_state AS state
        WHERE state.book_id = p_head.book_id AND state.customer = p_customer
            AND state.lot_until >= v_today AND state.hold_until > p_head.posted_at
    ) THEN
        RETURN 0;
    END IF;
    FOR v_event IN
        SELECT event.*
        FROM ledger.held_back_v1(p_head.book_id, p_customer) AS held_back
        CROSS JOIN LATERAL (
            SELECT known.* FROM ledger.event AS known
            WHERE known.book_id = p_head.book_id AND known.campaign_no = held_back.campaign_no AND known.key = held_back.key
            LIMIT 1  -- see balances_v1
        ) AS event
        WHERE held_back.due_at <= p_head.posted_at
        ORDER BY held_back.due_at, held_back.campaign_no, held_back.key
    LOOP
        PERFORM ledger.settle_event_v1(p_head, v_event, false, NULL);
        v_posted := v_posted + 1;
    END LOOP;

    FOR v_hold IN
        SELECT hold.id, hold.deadline
        FROM ledger.open_holds_v1(p_head.book_id, p_customer) AS hold
        WHERE hold.deadline <= p_head.posted_at
        ORDER BY hold.deadline, hold.id
    LOOP
        v_posted := v_posted + ledger.release_hold_v1(
            p_head, p_customer, v_hold.id, (v_hold.deadline AT TIME ZONE p_head.time_zone)::date, NULL);
    END LOOP;

    SELECT
        array_agg(ledger.verb_v1('expire') ORDER BY lot.id), array_agg(lot.id ORDER BY lot.id),
        array_agg(ledger.account_id_v2(ledger.house_owner_v1(), 'breakage', ledger.account_class_v1(lot.id), 'infinity')
            ORDER BY lot.id),
        array_agg(lot.credits - lot.debits ORDER BY lot.id)
    INTO v_verbs, v_debits, v_credits, v_amounts
    FROM ledger.account AS lot
    WHERE lot.book_id = p_head.book_id
        AND lot.id >= ledger.accounts_from_v1(v_owner, 'lot')
        AND lot.id < ledger.accounts_from_v1(v_owner, 'pending')
        AND lot.expires_on < v_today
        AND lot.credits > lot.debits;
    IF v_amounts IS NOT NULL THEN
        PERFORM ledger.write_transfers_v1(
            p_head, p_head.posted_at, p_customer, NULL, NULL, NULL, NULL, v_verbs, v_debits, v_credits, v_amounts);
        v_posted := v_posted + cardinality(v_amounts);
    END IF;
    RETURN v_posted;
END
$function$;
