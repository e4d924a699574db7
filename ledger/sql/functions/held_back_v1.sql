-- What is held back for a customer, and until when. It is made part of the statement that asks.
--
-- BETWEEN x AND x ORDER BY x: see redeem_v2.

CREATE OR REPLACE FUNCTION ledger.held_back_v1(p_book_id integer, p_customer bigint)
RETURNS TABLE (campaign_no integer, key bytea, amount bigint, due_at timestamptz)
LANGUAGE sql STABLE
AS $function$
    SELECT pending.campaign_no, pending.key, pending.amount, pending.due_at
    FROM ledger.pending
    WHERE pending.book_id = p_book_id
        AND pending.customer BETWEEN p_customer AND p_customer
    ORDER BY pending.customer
    OFFSET 0
$function$;
