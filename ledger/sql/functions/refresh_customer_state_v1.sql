-- Brings a customer's sums up to date with their accounts, their holds and what is held back for them: hold_until is when the first
-- of these falls due. The caller has locked the head.

CREATE OR REPLACE FUNCTION ledger.refresh_customer_state_v1(p_book_id integer, p_customer bigint) RETURNS void
LANGUAGE sql VOLATILE
AS $function$
    INSERT INTO ledger.customer_state (book_id, customer, points, lot_until, hold_until)
    SELECT
        p_book_id, p_customer, coalesce(sum(lot.credits - lot.debits), 0)::bigint, coalesce(min(lot.expires_on), 'infinity'),
        coalesce(least(
            (SELECT min(hold.deadline) FROM ledger.open_holds_v1(p_book_id, p_customer) AS hold),
            (SELECT min(held_back.due_at) FROM ledger.held_back_v1(p_book_id, p_customer) AS held_back)
        ), 'infinity')
    FROM ledger.account AS lot
    WHERE lot.book_id = p_book_id
        AND lot.id >= ledger.accounts_from_v1(ledger.customer_owner_v1(p_customer), 'lot')
        AND lot.id < ledger.accounts_from_v1(ledger.customer_owner_v1(p_customer), 'pending')
        AND lot.credits > lot.debits
    ON CONFLICT (book_id, customer)
        DO UPDATE SET points = excluded.points, lot_until = excluded.lot_until, hold_until = excluded.hold_until
$function$;
