-- What a return of p_amount does to a purchase: how many points it is about, how many of these are there to be taken, how many are not
-- but may come back, and which of those the money pays for that is withheld from the refund. The rest is gone: it expired, or was
-- taken back before. What money was withheld for before is the customer's, wherever it is.
--
-- Points and money are rounded down once for all returns of a purchase together: a return counts for what it adds to those before. No
-- more is withheld than is refunded.

CREATE OR REPLACE FUNCTION ledger.return_terms_v1(
    p_book_id            integer,
    p_campaign_no        integer,
    p_event_key          bytea,
    p_granted            bigint,
    p_bought             bigint,
    p_amount             bigint,
    p_per_points         bigint,  -- NULL: the points are fixed, and go with the last of what was bought
    p_per_minor_units    bigint,
    p_value_points       bigint,  -- what points are worth; NULL: nothing is withheld
    p_value_minor_units  bigint,
    p_there              bigint,  -- of the grant, in lots
    p_away               bigint   -- in redemptions, and not to be taken back by then
) RETURNS TABLE (
    returned bigint, points bigint, taken bigint, shortfall bigint, withheld_points bigint, withheld_minor bigint
)
LANGUAGE plpgsql STABLE
AS $function$
DECLARE
    v_withheld  numeric;
    v_left      bigint;
    v_worth     numeric;
BEGIN
    SELECT coalesce(sum(earlier.amount), 0), coalesce(sum(earlier.withheld_points), 0) INTO returned, v_withheld
    FROM ledger.purchase_return AS earlier
    WHERE earlier.book_id = p_book_id AND earlier.campaign_no = p_campaign_no AND earlier.event_key = p_event_key;

    points := ledger.earned_v1(p_bought - returned, p_per_points, p_per_minor_units, p_granted)
        - ledger.earned_v1(greatest(p_bought - returned - p_amount, 0), p_per_points, p_per_minor_units, p_granted);
    v_left := greatest(p_there + p_away - v_withheld, 0);
    taken := least(points, p_there, v_left);
    shortfall := least(points, v_left) - taken;
    withheld_points := 0;
    withheld_minor := 0;
    IF p_value_points IS NOT NULL THEN
        v_worth := div(v_withheld * p_value_minor_units, p_value_points);
        -- The most points of which the worth is no more than the refund.
        withheld_points := least(
            shortfall,
            div((v_worth + p_amount + 1) * p_value_points + p_value_minor_units - 1, p_value_minor_units) - 1 - v_withheld);
        withheld_minor := div((v_withheld + withheld_points) * p_value_minor_units, p_value_points) - v_worth;
    END IF;
    RETURN NEXT;
END
$function$;
