-- Changes how many points a brand may ever issue. Not for the application: an operator authorizes issue.
-- Returns one row: whether it was changed, the limit before, and what was issued. Below what was issued nothing is changed.
-- Locks the book's head.

CREATE OR REPLACE FUNCTION ledger.set_issue_limit_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_limit     bigint
) RETURNS TABLE (changed boolean, before bigint, issued bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_head    ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_issued  bigint;
BEGIN
    SELECT coalesce(max(account.debits - account.credits), 0) INTO v_issued
    FROM ledger.account
    WHERE account.book_id = p_book_id
        AND account.id = ledger.account_id_v2(ledger.house_owner_v1(), 'issuance', 0, 'infinity');
    IF p_limit >= v_issued THEN
        UPDATE ledger.head SET issue_limit = p_limit WHERE head.book_id = p_book_id;
    END IF;
    RETURN QUERY SELECT p_limit >= v_issued, v_head.issue_limit::bigint, v_issued;
END
$function$;
