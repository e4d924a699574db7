-- Takes back what a redemption has just returned of points that were to be taken back before: see claw_back_v1. Called right after the
-- step of the redemption is in the log, p_first being its first transfer; what it takes belongs to the same transaction.
-- Returns how many transfers it posted. The head is locked by the caller, and the book has shortfalls.
--
-- It follows the layers of the redemption's accounts, as folding does: what was set aside first is spent and given back first, and
-- what was spent last is refunded first. What a time-out returns is taken back as of its deadline, before anything expires.

CREATE OR REPLACE FUNCTION ledger.collect_shortfalls_v1(
    p_head         ledger.head,
    p_customer     bigint,
    p_redemption   bigint,
    p_first        bigint,
    p_occurred_at  timestamptz,
    p_due_on       date  -- of a time-out
) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_holder     CONSTANT bytea := ledger.redemption_owner_v1(p_redemption);
    v_leg        record;
    v_part       record;
    v_shortfall  ledger.shortfall;
    v_amount     bigint;
    v_posted     integer := 0;
BEGIN
    FOR v_leg IN
        SELECT transfer.debit, transfer.credit, transfer.amount
        FROM ledger.transfer
        WHERE transfer.book_id = p_head.book_id AND transfer.seq >= p_first
            AND substring(transfer.debit FROM 1 FOR 11) = v_holder
        ORDER BY transfer.seq
    LOOP
        FOR v_part IN
            SELECT ordered.layer, least(ordered.amount, v_leg.amount - ordered.before)::bigint AS amount
            FROM (
                SELECT piece.layer, piece.amount, sum(piece.amount) OVER in_turn - piece.amount AS before
                FROM ledger.redemption_layer AS piece
                WHERE piece.book_id = p_head.book_id AND piece.account = v_leg.debit AND piece.amount > 0
                WINDOW in_turn AS (
                    ORDER BY CASE ledger.account_kind_v1(piece.account)
                        WHEN ledger.kind_v1('spent') THEN -piece.layer
                        ELSE piece.layer
                    END
                )
            ) AS ordered
            WHERE ordered.before < v_leg.amount
            ORDER BY ordered.layer
        LOOP
            UPDATE ledger.redemption_layer AS piece SET amount = piece.amount - v_part.amount
            WHERE piece.book_id = p_head.book_id AND piece.account = v_leg.debit AND piece.layer = v_part.layer;
            IF ledger.account_kind_v1(v_leg.credit) = ledger.kind_v1('spent') THEN
                INSERT INTO ledger.redemption_layer AS piece (book_id, account, layer, amount)
                VALUES (p_head.book_id, v_leg.credit, v_part.layer, v_part.amount)
                ON CONFLICT (book_id, account, layer) DO UPDATE SET amount = piece.amount + excluded.amount;
                CONTINUE;
            END IF;
            SELECT shortfall.* INTO v_shortfall
            FROM ledger.shortfall
            WHERE shortfall.book_id = p_head.book_id AND shortfall.customer = p_customer AND shortfall.layer = v_part.layer;
            v_amount := least(v_shortfall.points, v_part.amount);
            CONTINUE WHEN v_shortfall.book_id IS NULL OR v_amount = 0;
            UPDATE ledger.shortfall SET points = shortfall.points - v_amount
            WHERE shortfall.book_id = p_head.book_id AND shortfall.customer = p_customer AND shortfall.layer = v_part.layer;
            PERFORM ledger.write_transfers_v1(
                p_head, p_occurred_at, p_customer, v_shortfall.campaign_no, NULL, NULL, p_first,
                ARRAY[ledger.verb_v1('clawback')], ARRAY[v_leg.credit], ARRAY[v_shortfall.budget], ARRAY[v_amount],
                v_shortfall.event_key, p_due_on);
            v_posted := v_posted + 1;
        END LOOP;
    END LOOP;
    RETURN v_posted;
END
$function$;
