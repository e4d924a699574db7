-- How many points of a layer the redemptions of each customer have that owe some. It is made part of the statement that asks.
--
-- BETWEEN x AND x ORDER BY x: see redeem_v2.

CREATE OR REPLACE FUNCTION ledger.layer_in_redemptions_v1(p_book_id integer, p_layer bigint)
RETURNS TABLE (customer bigint, points bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT begun.customer, sum(piece.amount)::bigint
    FROM (
        SELECT piece.account, piece.amount
        FROM ledger.redemption_layer AS piece
        WHERE piece.book_id = p_book_id AND piece.layer BETWEEN p_layer AND p_layer
        ORDER BY piece.layer
        OFFSET 0
    ) AS piece
    CROSS JOIN LATERAL (
        SELECT redemption.customer
        FROM ledger.redemption
        WHERE redemption.book_id = p_book_id
            AND redemption.id BETWEEN ledger.account_number_v1(piece.account) AND ledger.account_number_v1(piece.account)
        ORDER BY redemption.id
        LIMIT 1
    ) AS begun
    GROUP BY begun.customer
$function$;
