-- Deletes the answers that were kept of redemptions and corrections of erased customers, among the p_limit answers that follow p_operation and
-- p_key: they repeat order references. Who asks again is told that the customer is erased.
-- Returns one row: the operation and key of the last answer that was looked at; both NULL: there are no more. Locks the rows it
-- deletes, never the book: nobody changes an answer.

CREATE OR REPLACE FUNCTION ledger.erase_answers_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_customers  bigint[],
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
    v_erased      bigint[];
    v_operations  smallint[];
    v_keys        bytea[];
    v_of_erased   boolean[];
BEGIN
    PERFORM ledger.check_brand_v1(p_brand_id, p_book_id);
    SELECT array_agg(state.customer) INTO v_erased
    FROM ledger.customer_state AS state
    WHERE state.book_id = p_book_id AND state.customer = ANY (p_customers) AND state.erased;

    SELECT
        array_agg(page.operation ORDER BY page.operation, page.key), array_agg(page.key ORDER BY page.operation, page.key),
        array_agg(
            page.redemption IS NOT NULL OR coalesce(page.customer = ANY (v_erased), false) ORDER BY page.operation, page.key)
    INTO v_operations, v_keys, v_of_erased
    FROM (
        SELECT kept.operation, kept.key, kept.customer, mine.id AS redemption
        FROM (
            SELECT
                answer.operation, answer.key, (answer.answer ->> 'redemption')::bigint AS redemption,
                (answer.answer ->> 'customer')::bigint AS customer
            FROM ledger.idempotency_key AS answer
            WHERE answer.book_id = p_book_id AND (answer.operation, answer.key) > (p_operation, p_key)
            ORDER BY answer.operation, answer.key
            LIMIT p_limit
        ) AS kept
        LEFT JOIN LATERAL (
            SELECT redemption.id
            FROM ledger.redemption
            WHERE redemption.book_id = p_book_id AND redemption.id BETWEEN kept.redemption AND kept.redemption
                AND redemption.customer = ANY (v_erased)
            ORDER BY redemption.id
            LIMIT 1
        ) AS mine ON true
    ) AS page;

    DELETE FROM ledger.idempotency_key AS answer
    USING unnest(v_operations, v_keys, v_of_erased) AS page (operation, key, is_of_erased)
    WHERE page.is_of_erased AND answer.book_id = p_book_id AND answer.operation = page.operation AND answer.key = page.key;
    RETURN QUERY SELECT v_operations[cardinality(v_operations)], v_keys[cardinality(v_keys)];
END
$function$;
