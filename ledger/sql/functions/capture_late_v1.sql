-- Decides the capture of a redemption whose hold has timed out, and whose points have gone back: of what the customer has in lots,
-- soonest to expire first, all of it or none. What is due on the customer is posted, so no lot is dead. Marks the redemption.
-- Returns the outcome, and if it is done how many points are captured, each transfer, and the last day of the next lot to expire; if it
-- is worth nothing, captured are the fewest that will do. The head is locked by the caller, who posts the transfers.
--
-- Which layers the lots have is not known here. So a redemption with shares that are kept (see leave_shortfall_v1) is captured late only
-- if nothing of these is still to be taken back; then the shares are forgotten, and the next claw-back reads them again.

CREATE OR REPLACE FUNCTION ledger.capture_late_v1(
    p_head        ledger.head,
    p_customer    bigint,
    p_redemption  bigint,
    p_points      bigint,   -- 0: all that was not captured before
    p_final       boolean,
    p_grace_s     integer,  -- how long after its deadline it may be captured
    p_deadline    timestamptz,
    p_authorized  bigint,
    p_captured    bigint,
    p_value       bigint,
    OUT outcome   smallint,
    OUT captured  bigint,
    OUT debits    bytea[],
    OUT credits   bytea[],
    OUT amounts   bigint[],
    OUT lot_until date
)
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_owner    CONSTANT bytea := ledger.customer_owner_v1(p_customer);
    v_holder   CONSTANT bytea := ledger.redemption_owner_v1(p_redemption);
    v_since    smallint;
    v_least    CONSTANT bigint := (p_authorized + p_value - 1) / nullif(p_value, 0) - p_captured;
    v_owes     boolean := false;
BEGIN
    SELECT redemption.since_time_out INTO v_since
    FROM ledger.redemption
    WHERE redemption.book_id = p_head.book_id AND redemption.id = p_redemption;
    IF p_head.owing THEN
        v_owes := EXISTS (
            SELECT
            FROM ledger.redemption_layers_v1(
                p_head.book_id, ledger.accounts_from_v1(v_holder, 'held'), ledger.accounts_from_v1(v_holder, 'budget')) AS piece
            CROSS JOIN LATERAL (
                SELECT FROM ledger.shortfall
                WHERE shortfall.book_id = p_head.book_id AND shortfall.customer = p_customer AND shortfall.layer = piece.layer
                    AND shortfall.points > 0
                LIMIT 1
            ) AS owed
        );
    END IF;
    captured := CASE p_points WHEN 0 THEN p_authorized - p_captured ELSE p_points END;

    SELECT
        array_agg(lot.id ORDER BY lot.place) FILTER (WHERE lot.before < captured),
        array_agg(v_holder || substring(ledger.account_with_kind_v1(lot.id, 'spent') FROM 12) ORDER BY lot.place)
            FILTER (WHERE lot.before < captured),
        array_agg(least(lot.points, captured - lot.before)::bigint ORDER BY lot.place) FILTER (WHERE lot.before < captured),
        coalesce(min(lot.expires_on) FILTER (WHERE lot.before + lot.points > captured), 'infinity')
    INTO debits, credits, amounts, lot_until
    FROM (
        SELECT
            account.id, account.expires_on, account.credits - account.debits AS points,
            row_number() OVER in_turn AS place,
            sum(account.credits - account.debits) OVER in_turn - (account.credits - account.debits) AS before
        FROM ledger.account
        WHERE account.book_id = p_head.book_id
            AND account.id >= ledger.accounts_from_v1(v_owner, 'lot')
            AND account.id < ledger.accounts_from_v1(v_owner, 'pending')
            AND account.credits > account.debits
        WINDOW in_turn AS (ORDER BY account.expires_on, account.id)
    ) AS lot;

    outcome := CASE
        WHEN v_since = ledger.since_time_out_v1('captured_for_good') THEN ledger.redemption_outcome_v1('fully_captured')
        WHEN p_head.posted_at >= p_deadline + make_interval(secs => p_grace_s)
            THEN ledger.redemption_outcome_v1('authorization_expired')
        WHEN v_since = ledger.since_time_out_v1('voided') THEN ledger.redemption_outcome_v1('already_voided')
        WHEN captured > p_authorized - p_captured THEN ledger.redemption_outcome_v1('capture_exceeds_authorized')
        WHEN p_final AND captured < v_least THEN ledger.redemption_outcome_v1('worth_nothing')
        WHEN v_owes OR captured IS DISTINCT FROM (SELECT sum(amount) FROM unnest(amounts) AS amount)
            THEN ledger.redemption_outcome_v1('points_gone')
        ELSE ledger.redemption_outcome_v1('done')
    END;
    IF outcome = ledger.redemption_outcome_v1('worth_nothing') THEN
        captured := v_least;
    END IF;
    IF outcome <> ledger.redemption_outcome_v1('done') THEN
        RETURN;
    END IF;

    UPDATE ledger.redemption
    SET since_time_out = CASE
        WHEN p_final OR captured = p_authorized - p_captured THEN ledger.since_time_out_v1('captured_for_good')
        ELSE ledger.since_time_out_v1('captured')
    END
    WHERE redemption.book_id = p_head.book_id AND redemption.id = p_redemption;
    IF p_head.owing THEN
        DELETE FROM ledger.redemption_layer AS piece
        WHERE piece.book_id = p_head.book_id
            AND piece.account >= ledger.accounts_from_v1(v_holder, 'held')
            AND piece.account < ledger.accounts_from_v1(v_holder, 'budget');
    END IF;
END
$function$;
