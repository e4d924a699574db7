-- Takes points that a customer can spend to the house's account of adjustments, soonest to expire first: all of p_points or none.
-- What is due on the customer is posted. Returns the seq of the first transfer; NULL if there are fewer. The head is locked by the
-- caller.

CREATE OR REPLACE FUNCTION ledger.take_points_v1(p_head ledger.head, p_customer bigint, p_points bigint, p_hash bytea)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_owner    CONSTANT bytea := ledger.customer_owner_v1(p_customer);
    v_lots     bytea[];
    v_credits  bytea[];
    v_amounts  bigint[];
    v_taken    bigint;
BEGIN
    SELECT
        array_agg(part.id ORDER BY part.id),
        array_agg(ledger.account_id_v2(ledger.house_owner_v1(), 'adjustment', ledger.account_class_v1(part.id), 'infinity')
            ORDER BY part.id),
        array_agg(part.points ORDER BY part.id), sum(part.points)::bigint
    INTO v_lots, v_credits, v_amounts, v_taken
    FROM (
        SELECT lot.id, least(lot.points, p_points - lot.before)::bigint AS points
        FROM (
            SELECT
                lot.id, lot.credits - lot.debits AS points,
                sum(lot.credits - lot.debits) OVER (ORDER BY lot.expires_on, lot.id) - (lot.credits - lot.debits) AS before
            FROM ledger.account AS lot
            WHERE lot.book_id = p_head.book_id
                AND lot.id >= ledger.accounts_from_v1(v_owner, 'lot')
                AND lot.id < ledger.accounts_from_v1(v_owner, 'pending')
                AND lot.credits > lot.debits
        ) AS lot
        WHERE lot.before < p_points
    ) AS part;
    IF v_taken IS DISTINCT FROM p_points THEN
        RETURN NULL;
    END IF;
    RETURN ledger.write_transfers_v1(
        p_head, p_head.posted_at, p_customer, NULL, NULL, p_hash, NULL,
        array_fill(ledger.verb_v1('adjust'), ARRAY[cardinality(v_lots)]), v_lots, v_credits, v_amounts);
END
$function$;
