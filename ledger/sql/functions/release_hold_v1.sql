-- Gives back all that a redemption still holds when its deadline has passed: to the lots it came from, or, where such a lot was
-- dead on p_as_of, the deadline's day, to one that lasts the book's grace from then. Closes the redemption, and takes back what of it
-- was to be taken back before.
-- Returns how many transfers it posted; their verb is time_out, they occurred at the deadline, and that is their accounting date.
-- The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.release_hold_v1(
    p_head        ledger.head,
    p_customer    bigint,
    p_redemption  bigint,
    p_as_of       date,
    p_transaction bigint  -- NULL: one of its own
) RETURNS integer
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_holder   CONSTANT bytea := ledger.redemption_owner_v1(p_redemption);
    v_owner    CONSTANT bytea := ledger.customer_owner_v1(p_customer);
    v_verbs    smallint[];
    v_debits   bytea[];
    v_credits  bytea[];
    v_amounts  bigint[];
    v_deadline timestamptz;
    v_first    bigint;
BEGIN
    SELECT
        array_agg(ledger.verb_v1('time_out') ORDER BY held.id), array_agg(held.id ORDER BY held.id),
        array_agg(ledger.account_id_v2(
            v_owner, 'lot', ledger.account_class_v1(held.id),
            CASE WHEN held.expires_on >= p_as_of THEN held.expires_on ELSE p_as_of + p_head.grace_days END
        ) ORDER BY held.id),
        array_agg(held.credits - held.debits ORDER BY held.id)
    INTO v_verbs, v_debits, v_credits, v_amounts
    FROM ledger.account AS held
    WHERE held.book_id = p_head.book_id
        AND held.id >= ledger.accounts_from_v1(v_holder, 'held')
        AND held.id < ledger.accounts_from_v1(v_holder, 'spent')
        AND held.credits > held.debits;

    UPDATE ledger.redemption
    SET closed_at = p_head.posted_at
    WHERE redemption.book_id = p_head.book_id AND redemption.id = p_redemption
    RETURNING redemption.deadline INTO v_deadline;

    IF v_amounts IS NULL THEN
        PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_customer);
        RETURN 0;
    END IF;
    v_first := ledger.write_transfers_v1(
        p_head, v_deadline, p_customer, NULL, NULL, NULL, p_transaction, v_verbs, v_debits, v_credits, v_amounts, NULL, p_as_of);
    RETURN cardinality(v_amounts) + CASE
        WHEN p_head.owing
            THEN ledger.collect_shortfalls_v1(p_head, p_customer, p_redemption, v_first, v_deadline, p_as_of)
        ELSE 0
    END;
END
$function$;
