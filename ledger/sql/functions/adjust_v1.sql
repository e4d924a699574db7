-- Gives a customer points out of a campaign's budget, or takes some that they can spend, soonest to expire first, to the house's
-- account of adjustments. All or none. Whoever they were merged into has the points.
-- Returns one row: the outcome (see AdjustOutcome), whether it is a replay, and the answer. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.adjust_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_now          timestamptz,
    p_customer     bigint,
    p_points       bigint,    -- below zero: taken
    p_campaign_no  integer,   -- whose budget pays; NULL if points are taken
    p_class        integer,
    p_expires_on   date,      -- NULL: never
    p_key          bytea,
    p_request      bytea,
    p_reason       text,
    p_reference    text,
    p_note         text,
    p_principal    integer,
    p_salt         bytea,
    p_hash         bytea
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    c_operation  CONSTANT smallint := ledger.operation_v1('adjust');
    v_head       ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_today      CONSTANT date := (v_head.posted_at AT TIME ZONE v_head.time_zone)::date;
    v_customer   CONSTANT bigint := ledger.survivor_v1(p_book_id, p_customer);
    v_budget     CONSTANT bytea := ledger.account_id_v2(ledger.campaign_owner_v1(p_campaign_no), 'budget', 0, 'infinity');
    v_kept       ledger.idempotency_key;
    v_outcome    smallint := ledger.adjust_outcome_v1('adjusted');
    v_there      bigint;
    v_seq        bigint;
    v_number     bigint;
    v_answer     jsonb;
BEGIN
    SELECT idempotency_key.* INTO v_kept
    FROM ledger.idempotency_key
    WHERE idempotency_key.book_id = p_book_id AND idempotency_key.operation = c_operation AND idempotency_key.key = p_key;
    IF v_kept.book_id IS NOT NULL THEN
        RETURN QUERY SELECT
            CASE
                WHEN v_kept.request_hash = p_request THEN v_kept.outcome
                ELSE ledger.adjust_outcome_v1('idempotency_key_reused')
            END,
            v_kept.request_hash = p_request, CASE WHEN v_kept.request_hash = p_request THEN v_kept.answer END;
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM ledger.customer_state AS state
        WHERE state.book_id = p_book_id AND state.customer = v_customer AND state.erased
    ) THEN
        RETURN QUERY SELECT ledger.adjust_outcome_v1('customer_erased'), false, NULL::jsonb;
        RETURN;
    END IF;

    PERFORM ledger.post_due_v1(v_head, v_customer);
    IF p_points > 0 THEN
        SELECT coalesce(max(account.credits - account.debits), 0) INTO v_there
        FROM ledger.account WHERE account.book_id = p_book_id AND account.id = v_budget;
        IF v_there < p_points THEN
            v_outcome := ledger.adjust_outcome_v1('budget_exhausted');
        ELSE
            v_seq := ledger.write_transfers_v1(
                v_head, v_head.posted_at, v_customer, p_campaign_no, NULL, p_hash, NULL, ARRAY[ledger.verb_v1('adjust')],
                ARRAY[v_budget],
                -- Midnight may have passed since the caller said so.
                ARRAY[ledger.account_id_v2(
                    ledger.customer_owner_v1(v_customer), 'lot', p_class,
                    ledger.last_day_v1(coalesce(p_expires_on, 'infinity'), v_today, v_today))],
                ARRAY[p_points]);
        END IF;
    ELSE
        v_seq := ledger.take_points_v1(v_head, v_customer, -p_points, p_hash);
        v_outcome := ledger.adjust_outcome_v1(CASE WHEN v_seq IS NULL THEN 'insufficient_balance' ELSE 'adjusted' END);
    END IF;

    IF v_seq IS NOT NULL THEN
        v_number := ledger.next_correction_v1(p_book_id);
        INSERT INTO ledger.correction (
            book_id, campaign_no, correction_no, customer, seq, posted_at, asked, moved, shortfall, principal, verb, reason,
            reference, note, salt, is_credit
        )
        VALUES (
            p_book_id, p_campaign_no, v_number, v_customer, v_seq, v_head.posted_at, abs(p_points), abs(p_points), 0, p_principal,
            ledger.verb_v1('adjust'), p_reason, p_reference, p_note, p_salt, p_points > 0
        );
    END IF;
    SELECT jsonb_build_object(
        'correction', v_number, 'posted_at', ledger.rfc3339_v1(v_head.posted_at), 'seq', v_seq, 'customer', v_customer,
        'budget_left', v_there - CASE WHEN v_seq IS NULL THEN 0 ELSE p_points END, 'balance', spendable.points
    ) INTO v_answer
    FROM ledger.spendable_v1(
        p_book_id, v_customer, v_head.posted_at, v_today, v_head.time_zone, v_head.grace_days, true
    ) AS spendable;
    INSERT INTO ledger.idempotency_key (book_id, operation, key, request_hash, outcome, answer, kept_at)
    VALUES (p_book_id, c_operation, p_key, p_request, v_outcome, v_answer, v_head.posted_at);
    RETURN QUERY SELECT v_outcome, false, v_answer;
END
$function$;
