-- Deletes the answers that were kept under idempotency keys before p_before, among the p_limit answers that follow p_operation and
-- p_key. A request that is sent again later than that is a new one.
-- Returns one row: the operation and key of the last answer that was looked at; both NULL: there are no more. Locks the rows it
-- deletes, never the book: nobody changes an answer.

CREATE OR REPLACE FUNCTION ledger.forget_answers_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_before     timestamptz,
    p_operation  smallint,
    p_key        bytea,
    p_limit      integer
) RETURNS TABLE (operation smallint, key bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_operations  smallint[];
    v_keys        bytea[];
    v_are_old     boolean[];
BEGIN
    PERFORM ledger.check_brand_v1(p_brand_id, p_book_id);
    SELECT array_agg(page.operation), array_agg(page.key), array_agg(page.kept_at < p_before)
    INTO v_operations, v_keys, v_are_old
    FROM (
        SELECT answer.operation, answer.key, answer.kept_at
        FROM ledger.idempotency_key AS answer
        WHERE answer.book_id = p_book_id AND (answer.operation, answer.key) > (p_operation, p_key)
        ORDER BY answer.operation, answer.key
        LIMIT p_limit
    ) AS page;

    DELETE FROM ledger.idempotency_key AS answer
    USING unnest(v_operations, v_keys, v_are_old) AS page (operation, key, is_old)
    WHERE page.is_old AND answer.book_id = p_book_id AND answer.operation = page.operation AND answer.key = page.key;
    RETURN QUERY SELECT v_operations[cardinality(v_operations)], v_keys[cardinality(v_keys)];
END
$function$;
