-- What redemptions that owe points have of each layer, of the accounts from p_from to before p_until. It is made part of the statement
-- that asks.
--
-- ORDER BY account: only the index by it comes without a sort (see redeem_v2).

CREATE OR REPLACE FUNCTION ledger.redemption_layers_v1(p_book_id integer, p_from bytea, p_until bytea)
RETURNS TABLE (account bytea, layer bigint, amount bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT piece.account, piece.layer, piece.amount::bigint
    FROM ledger.redemption_layer AS piece
    WHERE piece.book_id = p_book_id AND piece.account >= p_from AND piece.account < p_until AND piece.amount > 0
    ORDER BY piece.account
    OFFSET 0
$function$;
