-- Who has a customer's points now: the customer, or the one into whom they were merged.

CREATE OR REPLACE FUNCTION ledger.survivor_v1(p_book_id integer, p_customer bigint) RETURNS bigint
LANGUAGE sql STABLE
AS $function$
    SELECT coalesce((
        SELECT state.moved_to
        FROM ledger.customer_state AS state
        WHERE state.book_id = p_book_id AND state.customer = p_customer
    ), p_customer)
$function$;
