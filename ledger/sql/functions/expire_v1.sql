-- Tidies up: posts what is due on the wallets of p_customers, which mostly is that lots are past their last day (see post_due_v1).
-- Returns how many wallets it was asked for. Locks the book's head, so ask for few.

CREATE OR REPLACE FUNCTION ledger.expire_v1(p_brand_id integer, p_book_id integer, p_now timestamptz, p_customers bigint[])
RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_customer  bigint;
BEGIN
    FOREACH v_customer IN ARRAY p_customers LOOP
        PERFORM ledger.post_due_v1(v_head, v_customer);
    END LOOP;
    RETURN cardinality(p_customers);
END
$function$;
