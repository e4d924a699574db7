-- Who is merged into a customer. It is made part of the statement that asks.
--
-- BETWEEN x AND x ORDER BY x: see redeem_v2.

CREATE OR REPLACE FUNCTION ledger.merged_into_v1(p_book_id integer, p_customer bigint) RETURNS TABLE (customer bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT state.customer
    FROM ledger.customer_state AS state
    WHERE state.book_id = p_book_id
        AND state.moved_to BETWEEN p_customer AND p_customer
    ORDER BY state.moved_to
    OFFSET 0
$function$;
