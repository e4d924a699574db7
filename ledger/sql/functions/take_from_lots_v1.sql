-- Takes p_points of an event's points back from lots that have p_lot_points of them: soonest to expire first, to the budget they came
-- from. Returns the seq of the first transfer; NULL if there is nothing to take. The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.take_from_lots_v1(
    p_head        ledger.head,
    p_event       ledger.event,
    p_lots        bytea[],
    p_lot_points  bigint[],
    p_points      bigint,
    p_hash        bytea
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_budget  CONSTANT bytea := ledger.budget_of_v1(p_event);
    v_wallet  record;
    v_seq     bigint;
    v_first   bigint;
BEGIN
    FOR v_wallet IN
        SELECT
            ledger.account_number_v1(part.lot) AS customer, array_agg(part.lot ORDER BY part.lot) AS lots,
            array_agg(part.points ORDER BY part.lot) AS points
        FROM (
            SELECT lot.id AS lot, least(lot.points, p_points - lot.before)::bigint AS points
            FROM (
                SELECT
                    holding.lot AS id, holding.points,
                    sum(holding.points) OVER (ORDER BY ledger.account_expires_on_v1(holding.lot), holding.lot) - holding.points
                        AS before
                FROM unnest(p_lots, p_lot_points) AS holding (lot, points)
                WHERE ledger.account_kind_v1(holding.lot) = ledger.kind_v1('lot')
            ) AS lot
            WHERE lot.before < p_points
        ) AS part
        GROUP BY ledger.account_number_v1(part.lot)
        ORDER BY 1
    LOOP
        v_seq := ledger.write_transfers_v1(
            p_head, p_head.posted_at, v_wallet.customer, p_event.campaign_no, NULL, p_hash, v_first,
            array_fill(ledger.verb_v1('clawback'), ARRAY[cardinality(v_wallet.lots)]), v_wallet.lots,
            array_fill(v_budget, ARRAY[cardinality(v_wallet.lots)]), v_wallet.points, p_event.key);
        v_first := coalesce(v_first, v_seq);
    END LOOP;
    RETURN v_first;
END
$function$;
