-- Takes back points of one grant: from the lots that have some, soonest to expire first, back to the budget they came from. What is
-- set aside or spent is not taken: it stays a shortfall of the grant, which what a void, a time-out or a refund returns of it pays
-- first (see collect_shortfalls_v1). What is held back is rejected instead, whole.
-- Returns one row: the outcome (see ClawBackOutcome), whether it is a replay, and the answer. Locks the book's head.
--
-- Where the points are the caller has read from the layers, as of p_seen: each lot of p_members that has some, and of each
-- redemption that has some all that it has, of whichever layer. Whoever else could have moved points of the grant since is found
-- here: then nothing is taken, and the caller is to read again. So the head is not locked while layers are folded.

CREATE OR REPLACE FUNCTION ledger.claw_back_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_now          timestamptz,
    p_campaign_no  integer,
    p_event_key    bytea,
    p_key          bytea,
    p_request      bytea,
    p_points       bigint,    -- NULL: all that was not taken back before
    p_reason       text,
    p_reference    text,
    p_principal    integer,
    p_salt         bytea,
    p_hash         bytea,
    p_seen         bigint,
    p_layer        bigint,    -- NULL: there was none
    p_members      bigint[],
    p_lots         bytea[],
    p_lot_points   bigint[],
    p_accounts     bytea[],   -- of redemptions
    p_layers       bigint[],
    p_amounts      bigint[]
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    c_operation    CONSTANT smallint := ledger.operation_v1('claw_back');
    v_head         ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_kept         ledger.idempotency_key;
    v_event        ledger.event;
    v_outcome      smallint;
    v_moved        bigint := 0;
    v_shortfall    bigint := 0;
    v_outstanding  bigint := 0;
    v_left         bigint;
    v_seq          bigint;
    v_number       bigint;
    v_answer       jsonb;
BEGIN
    SELECT idempotency_key.* INTO v_kept
    FROM ledger.idempotency_key
    WHERE idempotency_key.book_id = p_book_id AND idempotency_key.operation = c_operation AND idempotency_key.key = p_key;
    IF v_kept.book_id IS NOT NULL THEN
        RETURN QUERY SELECT
            CASE
                WHEN v_kept.request_hash = p_request THEN v_kept.outcome
                ELSE ledger.claw_back_outcome_v1('idempotency_key_reused')
            END,
            v_kept.request_hash = p_request, CASE WHEN v_kept.request_hash = p_request THEN v_kept.answer END;
        RETURN;
    END IF;

    SELECT event.* INTO v_event
    FROM ledger.event
    WHERE event.book_id = p_book_id AND event.campaign_no = p_campaign_no AND event.key = p_event_key;
    IF v_event.book_id IS NULL THEN
        RETURN QUERY SELECT ledger.claw_back_outcome_v1('not_found'), false, NULL::jsonb;
        RETURN;
    END IF;
    IF ledger.moved_since_v1(v_head, v_event.customer, p_seen, p_members, p_lots, p_accounts) THEN
        RETURN QUERY SELECT ledger.claw_back_outcome_v1('changed'), false, NULL::jsonb;
        RETURN;
    END IF;

    SELECT greatest(coalesce(sum(part.points), 0), 0) INTO v_left
    FROM (
        SELECT unnest(p_lot_points) AS points
        UNION ALL
        SELECT piece.amount FROM unnest(p_layers, p_amounts) AS piece (layer, amount) WHERE piece.layer = p_layer
        UNION ALL
        SELECT -shortfall.points
        FROM ledger.shortfall
        WHERE shortfall.book_id = p_book_id AND shortfall.customer = ANY (p_members) AND shortfall.layer = p_layer
        UNION ALL
        SELECT -paid.withheld_points  -- the customer has paid for these in money
        FROM ledger.purchase_return AS paid
        WHERE paid.book_id = p_book_id AND paid.campaign_no = p_campaign_no AND paid.event_key = p_event_key
    ) AS part;

    v_outcome := CASE
        WHEN v_event.outcome = ledger.grant_outcome_v1('held_back') THEN CASE
            WHEN coalesce(p_points, v_event.points) <> v_event.points THEN ledger.claw_back_outcome_v1('held_back_whole')
            ELSE ledger.claw_back_outcome_v1('rejected')
        END
        WHEN v_event.outcome <> ledger.grant_outcome_v1('granted') THEN ledger.claw_back_outcome_v1('not_granted')
        WHEN p_points > v_left THEN ledger.claw_back_outcome_v1('more_than_is_left')
        ELSE ledger.claw_back_outcome_v1('clawed_back')
    END;

    IF v_outcome = ledger.claw_back_outcome_v1('rejected') THEN
        v_moved := v_event.points;
        PERFORM ledger.settle_event_v1(v_head, v_event, false, NULL);
        SELECT head.seq INTO v_seq FROM ledger.head WHERE head.book_id = p_book_id;
    ELSIF v_outcome = ledger.claw_back_outcome_v1('clawed_back') THEN
        v_moved := least(coalesce(p_points, v_left), (SELECT coalesce(sum(points), 0) FROM unnest(p_lot_points) AS points));
        v_shortfall := coalesce(p_points, v_left) - v_moved;
        v_seq := ledger.take_from_lots_v1(v_head, v_event, p_lots, p_lot_points, v_moved, p_hash);
        IF v_shortfall > 0 THEN
            PERFORM ledger.leave_shortfall_v1(v_head, v_event, p_layer, v_shortfall, p_accounts, p_layers, p_amounts);
        END IF;
    END IF;

    IF v_outcome >= ledger.claw_back_outcome_v1('rejected') THEN
        v_number := ledger.next_correction_v1(p_book_id);
        INSERT INTO ledger.correction (
            book_id, campaign_no, correction_no, customer, seq, posted_at, asked, moved, shortfall, principal, verb, event_key,
            reason, reference, salt
        )
        VALUES (
            p_book_id, p_campaign_no, v_number, ledger.survivor_v1(p_book_id, v_event.customer), v_seq, v_head.posted_at,
            v_moved + v_shortfall, v_moved, v_shortfall, p_principal,
            CASE v_outcome
                WHEN ledger.claw_back_outcome_v1('rejected') THEN ledger.verb_v1('reject')
                ELSE ledger.verb_v1('clawback')
            END,
            p_event_key, p_reason, p_reference, p_salt
        );
    END IF;

    SELECT coalesce(sum(shortfall.points), 0) INTO v_outstanding
    FROM ledger.shortfall
    WHERE shortfall.book_id = p_book_id AND shortfall.customer = ANY (p_members) AND shortfall.layer = p_layer;
    SELECT jsonb_build_object(
        'correction', v_number, 'posted_at', ledger.rfc3339_v1(v_head.posted_at), 'clawed_back', v_moved,
        'shortfall', v_shortfall, 'outstanding', v_outstanding, 'left', v_left, 'seq', v_seq,
        'customer', known.customer, 'balance', (
            SELECT spendable.points
            FROM ledger.spendable_v1(
                p_book_id, known.customer, v_head.posted_at, (v_head.posted_at AT TIME ZONE v_head.time_zone)::date,
                v_head.time_zone, v_head.grace_days, true
            ) AS spendable
        )
    ) INTO v_answer
    FROM (SELECT ledger.survivor_v1(p_book_id, v_event.customer) AS customer) AS known;
    INSERT INTO ledger.idempotency_key (book_id, operation, key, request_hash, outcome, answer, kept_at)
    VALUES (p_book_id, c_operation, p_key, p_request, v_outcome, v_answer, v_head.posted_at);
    RETURN QUERY SELECT v_outcome, false, v_answer;
END
$function$;
