-- Stores balances of a close that is being stored: those of the accounts p_after < id <= p_through that are not zero.
-- Returns whether it did: not if somebody else has got further, or it is complete. Locks the close, never the book.

CREATE OR REPLACE FUNCTION ledger.store_close_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_ends_on   date,
    p_version   smallint,
    p_after     bytea,
    p_through   bytea,
    p_accounts  bytea[],
    p_balances  bigint[]
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM ledger.check_brand_v1(p_brand_id, p_book_id);
    UPDATE ledger.close
    SET stored_through = p_through
    WHERE close.book_id = p_book_id AND close.ends_on = p_ends_on AND close.version = p_version
        AND close.state = ledger.close_state_v1('storing')
        AND close.stored_through = p_after AND p_after < p_through;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO ledger.close_balance (book_id, ends_on, version, account, balance)
    SELECT p_book_id, p_ends_on, p_version, each.account, each.balance
    FROM unnest(p_accounts, p_balances) AS each (account, balance)
    WHERE each.account > p_after AND each.account <= p_through;
    RETURN true;
END
$function$;
