-- The budget that paid an event, or that its points were held back from.

CREATE OR REPLACE FUNCTION ledger.budget_of_v1(p_event ledger.event) RETURNS bytea
LANGUAGE sql STABLE
AS $function$
    SELECT transfer.debit FROM ledger.transfer WHERE transfer.book_id = p_event.book_id AND transfer.seq = p_event.seq
$function$;
