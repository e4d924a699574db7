-- Takes back what a purchase earned for as much of it as is returned, as a claw-back does (see claw_back_v1): from lots, to the
-- budget; what is set aside or spent stays a shortfall, unless money is withheld for it. Once for each reference. What is held back
-- is rejected with the last of the purchase, and not before.
-- Returns one row: the outcome (see ReturnOutcome), whether it is a replay, and the answer. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.return_purchase_v1(
    p_brand_id           integer,
    p_book_id            integer,
    p_now                timestamptz,
    p_campaign_no        integer,
    p_event_key          bytea,
    p_key                bytea,     -- of the return
    p_request            bytea,
    p_bought             bigint,
    p_amount             bigint,
    p_per_points         bigint,
    p_per_minor_units    bigint,
    p_value_points       bigint,    -- NULL: nothing is withheld
    p_value_minor_units  bigint,
    p_reason             text,
    p_reference          text,
    p_principal          integer,
    p_salt               bytea,
    p_hash               bytea,
    p_seen               bigint,    -- from here on as of claw_back_v1
    p_layer              bigint,
    p_members            bigint[],
    p_lots               bytea[],
    p_lot_points         bigint[],
    p_accounts           bytea[],
    p_layers             bigint[],
    p_amounts            bigint[]
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_kept      ledger.purchase_return;
    v_event     ledger.event;
    v_terms     record;
    v_outcome   smallint;
    v_owed      bigint;
    v_moved     bigint := 0;
    v_short     bigint := 0;
    v_seq       bigint;
    v_number    bigint;
    v_customer  bigint;
    v_answer    jsonb;
BEGIN
    SELECT earlier.* INTO v_kept
    FROM ledger.purchase_return AS earlier
    WHERE earlier.book_id = p_book_id AND earlier.campaign_no = p_campaign_no AND earlier.event_key = p_event_key
        AND earlier.return_key = p_key;
    IF v_kept.request_hash <> p_request THEN
        RETURN QUERY SELECT ledger.return_outcome_v1('return_exists'), false, NULL::jsonb;
        RETURN;
    ELSIF v_kept.book_id IS NOT NULL THEN
        RETURN QUERY SELECT (v_kept.answer ->> 'outcome')::smallint, true, v_kept.answer - 'outcome';
        RETURN;
    END IF;

    SELECT event.* INTO v_event
    FROM ledger.event
    WHERE event.book_id = p_book_id AND event.campaign_no = p_campaign_no AND event.key = p_event_key;
    IF v_event.book_id IS NULL THEN
        RETURN QUERY SELECT ledger.return_outcome_v1('not_found'), false, NULL::jsonb;
        RETURN;
    END IF;
    IF ledger.moved_since_v1(v_head, v_event.customer, p_seen, p_members, p_lots, p_accounts) THEN
        RETURN QUERY SELECT ledger.return_outcome_v1('changed'), false, NULL::jsonb;
        RETURN;
    END IF;

    SELECT coalesce(sum(shortfall.points), 0) INTO v_owed
    FROM ledger.shortfall
    WHERE shortfall.book_id = p_book_id AND shortfall.customer = ANY (p_members) AND shortfall.layer = p_layer;
    SELECT terms.* INTO v_terms
    FROM ledger.return_terms_v1(
        p_book_id, p_campaign_no, p_event_key, v_event.points, p_bought, p_amount, p_per_points, p_per_minor_units,
        p_value_points, p_value_minor_units,
        (SELECT coalesce(sum(points), 0)::bigint FROM unnest(p_lot_points) AS points),
        (
            SELECT coalesce(sum(piece.amount), 0)::bigint - v_owed
            FROM unnest(p_layers, p_amounts) AS piece (layer, amount) WHERE piece.layer = p_layer
        )
    ) AS terms;

    v_outcome := ledger.return_outcome_v1(CASE
        WHEN v_event.outcome NOT IN (ledger.grant_outcome_v1('granted'), ledger.grant_outcome_v1('held_back')) THEN 'not_granted'
        WHEN p_amount > p_bought - v_terms.returned THEN 'more_than_was_bought'
        WHEN v_event.outcome = ledger.grant_outcome_v1('granted') THEN 'returned'
        WHEN p_amount = p_bought - v_terms.returned THEN 'rejected'
        ELSE 'held_back_whole'
    END);
    IF v_outcome < ledger.return_outcome_v1('rejected') THEN
        RETURN QUERY SELECT v_outcome, false, jsonb_build_object('returned', v_terms.returned);
        RETURN;
    END IF;

    IF v_outcome = ledger.return_outcome_v1('rejected') THEN
        v_moved := v_event.points;
        PERFORM ledger.settle_event_v1(v_head, v_event, false, NULL);
        SELECT head.seq INTO v_seq FROM ledger.head WHERE head.book_id = p_book_id;
    ELSE
        v_moved := v_terms.taken;
        v_short := v_terms.shortfall - v_terms.withheld_points;
        v_seq := ledger.take_from_lots_v1(v_head, v_event, p_lots, p_lot_points, v_moved, p_hash);
        IF v_short > 0 THEN
            PERFORM ledger.leave_shortfall_v1(v_head, v_event, p_layer, v_short, p_accounts, p_layers, p_amounts);
        END IF;
    END IF;

    v_customer := ledger.survivor_v1(p_book_id, v_event.customer);
    v_number := ledger.next_correction_v1(p_book_id);
    INSERT INTO ledger.correction (
        book_id, campaign_no, correction_no, customer, seq, posted_at, asked, moved, shortfall, principal, verb, event_key,
        reason, reference, salt
    )
    VALUES (
        p_book_id, p_campaign_no, v_number, v_customer, v_seq, v_head.posted_at, v_moved + v_short, v_moved, v_short, p_principal,
        CASE v_outcome
            WHEN ledger.return_outcome_v1('rejected') THEN ledger.verb_v1('reject')
            ELSE ledger.verb_v1('clawback')
        END,
        p_event_key, p_reason, p_reference, p_salt
    );
    SELECT jsonb_build_object(
        'outcome', v_outcome, 'correction', v_number, 'posted_at', ledger.rfc3339_v1(v_head.posted_at), 'seq', v_seq,
        'returned', v_terms.returned + p_amount, 'points', v_terms.points, 'clawed_back', v_moved, 'shortfall', v_short,
        'outstanding', v_owed + v_short, 'withheld_points', v_terms.withheld_points, 'withheld_minor', v_terms.withheld_minor,
        'customer', v_customer, 'balance', spendable.points
    ) INTO v_answer
    FROM ledger.spendable_v1(
        p_book_id, v_customer, v_head.posted_at, (v_head.posted_at AT TIME ZONE v_head.time_zone)::date, v_head.time_zone,
        v_head.grace_days, true
    ) AS spendable;
    INSERT INTO ledger.purchase_return (
        book_id, campaign_no, correction_no, bought, amount, points, withheld_points, withheld_minor, per_points,
        per_minor_units, event_key, return_key, request_hash, answer
    )
    VALUES (
        p_book_id, p_campaign_no, v_number, p_bought, p_amount, v_terms.points, v_terms.withheld_points, v_terms.withheld_minor,
        p_per_points, p_per_minor_units, p_event_key, p_key, p_request, v_answer
    );
    RETURN QUERY SELECT v_outcome, false, v_answer - 'outcome';
END
$function$;
