-- A customer's open holds: redemptions that are authorized and not closed. It is made part of the statement that asks.
--
-- BETWEEN x AND x ORDER BY x: see redeem_v2.

CREATE OR REPLACE FUNCTION ledger.open_holds_v1(p_book_id integer, p_customer bigint)
RETURNS TABLE (id bigint, deadline timestamptz)
LANGUAGE sql STABLE
AS $function$
    SELECT redemption.id, redemption.deadline
    FROM ledger.redemption
    WHERE redemption.book_id = p_book_id
        AND redemption.customer BETWEEN p_customer AND p_customer
        AND redemption.closed_at IS NULL
    ORDER BY redemption.customer
    OFFSET 0
$function$;
