-- Takes a customer out of a book: what they could still spend is forfeited to breakage, and nothing is posted to them any more.
-- Returns one row: the outcome (see EraseOutcome), and how many points were forfeited. Again it does nothing, and returns the same.
-- Locks the book's head.
--
-- The customer is the first of p_customers; the others are all who were merged into them. While points are held, for a purchase or by
-- policy, nothing is done. Details are erased afterwards, by erase_details_v1.

CREATE OR REPLACE FUNCTION ledger.erase_customer_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_now        timestamptz,
    p_customers  bigint[]
) RETURNS TABLE (outcome smallint, points bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_head      ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_customer  CONSTANT bigint := p_customers[1];
    v_owner     CONSTANT bytea := ledger.customer_owner_v1(v_customer);
    v_verbs     smallint[];
    v_debits    bytea[];
    v_credits   bytea[];
    v_amounts   bigint[];
BEGIN
    -- Who was begun to be erased may have been merged since, if nobody went on: then it is done again, for all.
    IF (
        SELECT count(*) FROM ledger.customer_state AS state
        WHERE state.book_id = p_book_id AND state.customer = ANY (p_customers) AND state.erased
    ) < cardinality(p_customers) THEN
        PERFORM ledger.post_due_v1(v_head, v_customer);
        IF EXISTS (SELECT FROM ledger.open_holds_v1(p_book_id, v_customer))
            OR EXISTS (SELECT FROM ledger.held_back_v1(p_book_id, v_customer))
        THEN
            RETURN QUERY SELECT ledger.erase_outcome_v1('points_held'), 0::bigint;
            RETURN;
        END IF;

        SELECT
            array_agg(ledger.verb_v1('forfeit') ORDER BY lot.id), array_agg(lot.id ORDER BY lot.id),
            array_agg(ledger.account_id_v2(ledger.house_owner_v1(), 'breakage', ledger.account_class_v1(lot.id), 'infinity')
                ORDER BY lot.id),
            array_agg(lot.credits - lot.debits ORDER BY lot.id)
        INTO v_verbs, v_debits, v_credits, v_amounts
        FROM ledger.account AS lot
        WHERE lot.book_id = p_book_id
            AND lot.id >= ledger.accounts_from_v1(v_owner, 'lot')
            AND lot.id < ledger.accounts_from_v1(v_owner, 'pending')
            AND lot.credits > lot.debits;
        IF v_amounts IS NOT NULL THEN
            PERFORM ledger.write_transfers_v1(
                v_head, v_head.posted_at, v_customer, NULL, NULL, NULL, NULL, v_verbs, v_debits, v_credits, v_amounts);
        END IF;
        INSERT INTO ledger.customer_state AS state (book_id, customer, frozen, erased)
        SELECT p_book_id, erased.customer, true, true FROM unnest(p_customers) AS erased (customer)
        ON CONFLICT (book_id, customer) DO UPDATE SET frozen = true, erased = true;
    END IF;

    RETURN QUERY
        SELECT ledger.erase_outcome_v1('erased'), coalesce(sum(forfeited.amount), 0)::bigint
        FROM ledger.transfer AS forfeited
        WHERE forfeited.book_id = p_book_id AND forfeited.customer = ANY (p_customers) AND forfeited.verb = ledger.verb_v1('forfeit');
END
$function$;
