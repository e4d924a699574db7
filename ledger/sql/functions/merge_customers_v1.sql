-- Makes two customers one, in one transaction of the log: the survivor gets everything the loser has. Returns one row: the
-- outcome (see MergeOutcome), whether they had been merged before, and the spendable
-- points that moved. Locks the book's head.
--
-- What is due on either is posted first. Then each lot and each account of held-back points goes through the house's transit
-- account to the survivor's of the same class and last day: first a transfer of the loser for each, in order of their ids, then
-- in the same order one of the survivor. The loser's redemptions are the survivor's from now on, open or not, so what they give
-- back goes to the survivor; so do held-back points. Events, and what caps have counted, stay with the loser. What each has
-- brought of a lot is kept for a split (see split_customer_v1), and so is since when the loser is merged into whom.

CREATE OR REPLACE FUNCTION ledger.merge_customers_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_loser     bigint,
    p_survivor  bigint
) RETURNS TABLE (outcome smallint, replayed boolean, points bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    c_stale_customer CONSTANT smallint := ledger.merge_outcome_v1('stale_customer');
    c_too_many       CONSTANT smallint := ledger.merge_outcome_v1('too_many');
    c_merged         CONSTANT smallint := ledger.merge_outcome_v1('merged');
    c_ids_max    CONSTANT integer := 8;

    v_head       ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_loser      ledger.customer_state;
    v_survivor   ledger.customer_state;
    v_points     bigint;
BEGIN
    IF p_loser = p_survivor THEN
        RAISE EXCEPTION 'customer % cannot be merged into themselves', p_loser USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT state.* INTO v_loser
    FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = p_loser;
    SELECT state.* INTO v_survivor
    FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = p_survivor;

    IF v_loser.moved_to = p_survivor THEN
        RETURN QUERY
            SELECT c_merged, true, spell.points_brought
            FROM ledger.spell
            WHERE spell.book_id = p_book_id AND spell.customer = p_loser AND spell.until_seq IS NULL;
        RETURN;
    END IF;
    IF v_loser.frozen OR v_survivor.frozen THEN
        RETURN QUERY SELECT c_stale_customer, false, 0::bigint;
        RETURN;
    END IF;
    IF coalesce(v_survivor.absorbed, 0) + 1 + coalesce(v_loser.absorbed, 0) + 1 > c_ids_max THEN
        RETURN QUERY SELECT c_too_many, false, 0::bigint;
        RETURN;
    END IF;

    v_points := ledger.merge_wallets_v1(v_head, p_loser, p_survivor);
    UPDATE ledger.customer_state
    SET generation = coalesce(customer_state.generation, 0) + 1 + coalesce(v_loser.absorbed, 0)
    WHERE customer_state.book_id = p_book_id AND customer_state.customer = p_survivor;
    RETURN QUERY SELECT c_merged, false, v_points;
END
$function$;
