-- Who is split off has their own redemptions again, and with them what is still to be taken back of the points in these: see
-- claw_back_v1. The caller has locked the head and has moved the redemptions.

CREATE OR REPLACE FUNCTION ledger.split_shortfalls_v1(p_book_id integer, p_survivor bigint, p_customer bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $function$
BEGIN
    INSERT INTO ledger.shortfall (book_id, campaign_no, customer, layer, points, event_key, budget)
    SELECT
        shortfall.book_id, shortfall.campaign_no, p_customer, shortfall.layer, least(shortfall.points, theirs.points),
        shortfall.event_key, shortfall.budget
    FROM ledger.shortfall
    CROSS JOIN LATERAL ledger.layer_in_redemptions_v1(p_book_id, shortfall.layer) AS theirs
    WHERE shortfall.book_id = p_book_id AND shortfall.customer = p_survivor AND theirs.customer = p_customer
        AND least(shortfall.points, theirs.points) > 0;

    UPDATE ledger.shortfall
    SET points = shortfall.points - theirs.points
    FROM ledger.shortfall AS theirs
    WHERE theirs.book_id = p_book_id AND theirs.customer = p_customer
        AND shortfall.book_id = p_book_id AND shortfall.customer = p_survivor AND shortfall.layer = theirs.layer;
END
$function$;
