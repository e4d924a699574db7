-- Says that all balances of a close are stored, and stores its totals with them.
-- Returns whether it did: not if it was complete before, or balances are missing. Locks the close, never the book.

CREATE OR REPLACE FUNCTION ledger.finish_close_v1(
    p_brand_id         integer,
    p_book_id          integer,
    p_ends_on          date,
    p_version          smallint,
    p_lines            bytea[],
    p_debits           bigint[],
    p_credits          bigint[],
    p_accounts         bigint,
    p_customers        bigint,
    p_lines_digest     bytea,
    p_balances_digest  bytea
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM ledger.check_brand_v1(p_brand_id, p_book_id);
    UPDATE ledger.close
    SET state = ledger.close_state_v1('closed'), lines = p_lines, debits = p_debits, credits = p_credits,
        accounts = p_accounts, customers = p_customers, lines_digest = p_lines_digest, balances_digest = p_balances_digest
    WHERE close.book_id = p_book_id AND close.ends_on = p_ends_on AND close.version = p_version
        AND close.state = ledger.close_state_v1('storing')
        AND close.stored_through = '\xffffffffffffffffffffffffffffffff'::bytea;
    RETURN FOUND;
END
$function$;
