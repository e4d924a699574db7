-- Undoes a merge in one transaction of the log: a customer who is merged into another is on their own again. Returns one row:
-- the outcome (see SplitOutcome), whether it had been done before, and the spendable points that came back
-- to the customer. Locks the book's head.
--
-- What is due on the survivor is posted first. Then, of each lot, what the customer brought comes back through the house's
-- transit account, as far as the survivor still has it: what was spent or has expired stays so. The same goes for points held
-- back for events under the customer's own number. For each there is first a transfer of the survivor, in order of their ids,
-- then in the same order one of the customer. Redemptions that began under the customer's own number are theirs again, with
-- what they hold; those that began since stay. Customers who were merged into this one before stay with the survivor. Events,
-- and what caps have counted, stay where they were recorded.

CREATE OR REPLACE FUNCTION ledger.split_customer_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_customer  bigint,
    p_survivor  bigint
) RETURNS TABLE (outcome smallint, replayed boolean, points bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    c_not_part  CONSTANT smallint := ledger.split_outcome_v1('not_part');
    c_split     CONSTANT smallint := ledger.split_outcome_v1('split');

    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_state     ledger.customer_state;
    v_last      ledger.spell;
    v_points    bigint;
BEGIN
    SELECT state.* INTO v_state
    FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = p_customer;
    IF v_state.moved_to = p_survivor THEN
        v_points := ledger.split_wallet_v1(v_head, p_customer);
        UPDATE ledger.customer_state SET generation = coalesce(customer_state.generation, 0) + 1
        WHERE customer_state.book_id = p_book_id AND customer_state.customer IN (p_customer, p_survivor);
        RETURN QUERY SELECT c_split, false, v_points;
        RETURN;
    END IF;
    SELECT spell.* INTO v_last
    FROM ledger.spell WHERE spell.book_id = p_book_id AND spell.customer = p_customer
    ORDER BY spell.spell_no DESC LIMIT 1;
    IF v_last.survivor = p_survivor AND v_last.points_returned IS NOT NULL THEN
        RETURN QUERY SELECT c_split, true, v_last.points_returned;
    ELSE
        RETURN QUERY SELECT c_not_part, false, 0::bigint;
    END IF;
END
$function$;
