-- Leaves points of an event's layer to be taken back later (see claw_back_v1): from whoever has redemptions with some of them, by
-- number, no more than these have. Keeps what of which layer these redemptions have, so that each step of theirs finds it.
-- The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.leave_shortfall_v1(
    p_head      ledger.head,
    p_event     ledger.event,
    p_layer     bigint,
    p_points    bigint,
    p_accounts  bytea[],
    p_layers    bigint[],
    p_amounts   bigint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $function$
BEGIN
    UPDATE ledger.head SET owing = true WHERE head.book_id = p_head.book_id AND NOT head.owing;

    INSERT INTO ledger.redemption_layer (book_id, account, layer, amount)
    SELECT p_head.book_id, piece.account, piece.layer, piece.amount
    FROM unnest(p_accounts, p_layers, p_amounts) AS piece (account, layer, amount)
    ON CONFLICT (book_id, account, layer) DO UPDATE SET amount = excluded.amount;

    INSERT INTO ledger.shortfall AS shortfall (book_id, campaign_no, customer, layer, points, event_key, budget)
    SELECT
        p_head.book_id, p_event.campaign_no, part.customer, p_layer, least(part.room, p_points - part.before)::bigint, p_event.key,
        ledger.budget_of_v1(p_event)
    FROM (
        SELECT theirs.customer, theirs.room, sum(theirs.room) OVER (ORDER BY theirs.customer) - theirs.room AS before
        FROM (
            SELECT had.customer, had.points - coalesce(owed.points, 0) AS room
            FROM ledger.layer_in_redemptions_v1(p_head.book_id, p_layer) AS had
            LEFT JOIN ledger.shortfall AS owed
                ON owed.book_id = p_head.book_id AND owed.customer = had.customer AND owed.layer = p_layer
        ) AS theirs
    ) AS part
    WHERE least(part.room, p_points - part.before) > 0
    ON CONFLICT (book_id, customer, layer) DO UPDATE SET points = shortfall.points + excluded.points;
END
$function$;
