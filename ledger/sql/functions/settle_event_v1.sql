-- Matures or rejects what one event holds back (see settle_pending_v1). A rejection after the deadline is as of then, whoever asked for
-- it. The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.settle_event_v1(
    p_head        ledger.head,
    p_event       ledger.event,
    p_matures     boolean,
    p_expires_on  date
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_customer  CONSTANT bigint := ledger.survivor_v1(p_head.book_id, p_event.customer);
    v_owner     CONSTANT bytea := ledger.customer_owner_v1(v_customer);
    v_amount    bigint;
    v_due_at    timestamptz;
    v_is_due    boolean;
    v_terms     jsonb;
    v_class     integer;
    v_today     CONSTANT date := (p_head.posted_at AT TIME ZONE p_head.time_zone)::date;
    -- Midnight may have passed since the caller said so.
    v_last_day  CONSTANT date := ledger.last_day_v1(coalesce(p_expires_on, 'infinity'), v_today, v_today);
BEGIN
    DELETE FROM ledger.pending
    WHERE pending.book_id = p_head.book_id AND pending.customer = v_customer AND pending.key = p_event.key
    RETURNING pending.amount, pending.charges::jsonb, pending.due_at INTO STRICT v_amount, v_terms, v_due_at;
    v_class := v_terms ->> 'class';
    v_is_due := NOT p_matures AND v_due_at <= p_head.posted_at;

    PERFORM ledger.write_transfers_v1(
        p_head, CASE WHEN v_is_due THEN v_due_at ELSE p_head.posted_at END, v_customer, p_event.campaign_no, NULL, NULL, NULL,
        ARRAY[CASE WHEN p_matures THEN ledger.verb_v1('mature') ELSE ledger.verb_v1('reject') END],
        ARRAY[ledger.account_id_v2(v_owner, 'pending', v_class, 'infinity')],
        ARRAY[CASE
            WHEN p_matures THEN ledger.account_id_v2(v_owner, 'lot', v_class, v_last_day)
            ELSE ledger.account_id_v2(
                ledger.campaign_owner_v1(p_event.campaign_no),
                CASE WHEN (v_terms ->> 'unlimited')::boolean THEN 'unlimited_budget' ELSE 'budget' END, 0, 'infinity')
        END],
        ARRAY[v_amount], p_event.key,
        CASE WHEN v_is_due THEN (v_due_at AT TIME ZONE p_head.time_zone)::date END);

    IF p_matures THEN
        UPDATE ledger.event SET outcome = ledger.grant_outcome_v1('granted')
        WHERE event.book_id = p_head.book_id AND event.campaign_no = p_event.campaign_no AND event.key = p_event.key;
    ELSE
        UPDATE ledger.event SET outcome = ledger.grant_outcome_v1('rejected'), points = 0
        WHERE event.book_id = p_head.book_id AND event.campaign_no = p_event.campaign_no AND event.key = p_event.key;
        PERFORM ledger.free_caps_v1(
            p_head.book_id, p_event.campaign_no, p_event.customer, p_event.window_at, v_amount, v_terms -> 'caps');
    END IF;
END
$function$;
