-- Gives a campaign points to grant: issuance to its budget, never past what the brand authorized to be issued.
-- Returns one row: outcome (see FundOutcome), whether it is a replay, what the budget
-- has left, what issuance has paid out in all. Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.fund_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_now          timestamptz,
    p_campaign_no  integer,
    p_points       bigint,
    p_key          bytea,
    p_request      bytea
) RETURNS TABLE (outcome smallint, replayed boolean, budget bigint, issued bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    c_operation  CONSTANT smallint := ledger.operation_v1('fund');
    v_head       ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_issuance   CONSTANT bytea := ledger.account_id_v2(ledger.house_owner_v1(), 'issuance', 0, 'infinity');
    v_budget     CONSTANT bytea := ledger.account_id_v2(ledger.campaign_owner_v1(p_campaign_no), 'budget', 0, 'infinity');
    v_kept       ledger.idempotency_key;
    v_issued     bigint;
    v_left       bigint;
    v_outcome    smallint;
BEGIN
    SELECT idempotency_key.* INTO v_kept
    FROM ledger.idempotency_key
    WHERE idempotency_key.book_id = p_book_id
        AND idempotency_key.operation = c_operation
        AND idempotency_key.key = p_key;
    IF v_kept.book_id IS NOT NULL THEN
        RETURN QUERY SELECT
            CASE WHEN v_kept.request_hash = p_request THEN v_kept.outcome ELSE ledger.fund_outcome_v1('idempotency_key_reused') END,
            v_kept.request_hash = p_request,
            (v_kept.answer ->> 'budget')::bigint,
            (v_kept.answer ->> 'issued')::bigint;
        RETURN;
    END IF;

    SELECT coalesce(max(account.debits - account.credits), 0) INTO v_issued
    FROM ledger.account WHERE account.book_id = p_book_id AND account.id = v_issuance;
    IF v_issued + p_points > v_head.issue_limit THEN
        v_outcome := ledger.fund_outcome_v1('issue_limit_reached');
    ELSE
        v_outcome := ledger.fund_outcome_v1('funded');
        v_issued := v_issued + p_points;
        PERFORM ledger.write_transfers_v1(
            v_head, v_head.posted_at, NULL, p_campaign_no, NULL, NULL, NULL,
            ARRAY[ledger.verb_v1('fund')], ARRAY[v_issuance], ARRAY[v_budget], ARRAY[p_points]);
    END IF;
    SELECT coalesce(max(account.credits - account.debits), 0) INTO v_left
    FROM ledger.account WHERE account.book_id = p_book_id AND account.id = v_budget;

    INSERT INTO ledger.idempotency_key (book_id, operation, key, request_hash, outcome, answer, kept_at)
    VALUES (
        p_book_id, c_operation, p_key, p_request, v_outcome, jsonb_build_object('budget', v_left, 'issued', v_issued),
        v_head.posted_at
    );
    RETURN QUERY SELECT v_outcome, false, v_left, v_issued;
END
$function$;
