-- Takes a customer out of the one they are merged into (see split_customer_v1). Returns the spendable points that came back to
-- them. The caller has locked the head and sets the generations.

CREATE OR REPLACE FUNCTION ledger.split_wallet_v1(p_head ledger.head, p_customer bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_house      CONSTANT bytea := ledger.house_owner_v1();
    v_to         CONSTANT bytea := ledger.customer_owner_v1(p_customer);
    v_survivor   bigint;
    v_from       bytea;
    v_now        ledger.head;
    v_verbs      smallint[];
    v_debits     bytea[];
    v_transits   bytea[];
    v_credits    bytea[];
    v_amounts    bigint[];
    v_points     bigint;
    v_first      bigint;
BEGIN
    SELECT state.moved_to INTO STRICT v_survivor
    FROM ledger.customer_state AS state WHERE state.book_id = p_head.book_id AND state.customer = p_customer;
    v_from := ledger.customer_owner_v1(v_survivor);
    PERFORM ledger.post_due_v1(p_head, v_survivor);
    SELECT head.* INTO v_now FROM ledger.head WHERE head.book_id = p_head.book_id;

    SELECT
        array_agg(ledger.verb_v1('split') ORDER BY back.id),
        array_agg(back.id ORDER BY back.id),
        array_agg(ledger.account_id_v2(v_house, 'transit', ledger.account_class_v1(back.id), 'infinity') ORDER BY back.id),
        array_agg(v_to || substring(back.id FROM 12) ORDER BY back.id),
        array_agg(back.amount ORDER BY back.id),
        coalesce(sum(back.amount) FILTER (WHERE ledger.account_kind_v1(back.id) = ledger.kind_v1('lot')), 0)::bigint
    INTO v_verbs, v_debits, v_transits, v_credits, v_amounts, v_points
    FROM (
        SELECT theirs.id, least(brought.amount, theirs.credits - theirs.debits) AS amount
        FROM ledger.brought
        CROSS JOIN LATERAL (
            SELECT account.id, account.debits, account.credits FROM ledger.account
            WHERE account.book_id = p_head.book_id AND account.id = v_from || brought.lot
            OFFSET 0
        ) AS theirs
        WHERE brought.book_id = p_head.book_id AND brought.customer = p_customer AND brought.amount > 0
            AND theirs.credits > theirs.debits
        UNION ALL
        SELECT ledger.account_id_v2(v_from, 'pending', (held_back.charges::jsonb ->> 'class')::integer, 'infinity'),
            sum(held_back.amount)::bigint
        FROM (
            SELECT pending.campaign_no, pending.key, pending.amount, pending.charges FROM ledger.pending
            WHERE pending.book_id = p_head.book_id AND pending.customer BETWEEN v_survivor AND v_survivor  -- see redeem_v2
            ORDER BY pending.customer
            OFFSET 0
        ) AS held_back
        CROSS JOIN LATERAL (
            SELECT event.customer FROM ledger.event
            WHERE event.book_id = p_head.book_id AND event.campaign_no = held_back.campaign_no AND event.key = held_back.key
            OFFSET 0
        ) AS event
        WHERE event.customer = p_customer
        GROUP BY 1
    ) AS back;
    IF v_amounts IS NOT NULL THEN
        v_first := ledger.write_transfers_v1(
            p_head, p_head.posted_at, v_survivor, NULL, NULL, NULL, NULL, v_verbs, v_debits, v_transits, v_amounts);
        PERFORM ledger.write_transfers_v1(
            p_head, p_head.posted_at, p_customer, NULL, NULL, NULL, v_first, v_verbs, v_transits, v_credits, v_amounts);
    END IF;
    DELETE FROM ledger.brought WHERE brought.book_id = p_head.book_id AND brought.customer = p_customer;

    -- What began under the customer's own number is theirs again. It is found again as in merge_wallets_v1.
    INSERT INTO ledger.pending
    SELECT known.*
    FROM (
        SELECT pending.* FROM ledger.pending
        WHERE pending.book_id = p_head.book_id AND pending.customer BETWEEN v_survivor AND v_survivor
        ORDER BY pending.customer
        OFFSET 0
    ) AS known
    CROSS JOIN LATERAL (
        SELECT event.customer FROM ledger.event
        WHERE event.book_id = p_head.book_id AND event.campaign_no = known.campaign_no AND event.key = known.key
        OFFSET 0
    ) AS event
    WHERE event.customer = p_customer
    ON CONFLICT (book_id, customer, key) DO UPDATE SET customer = p_customer;
    INSERT INTO ledger.redemption
    SELECT known.*
    FROM (
        SELECT redemption.* FROM ledger.redemption
        WHERE redemption.book_id = p_head.book_id AND redemption.customer BETWEEN v_survivor AND v_survivor
        ORDER BY redemption.customer
        OFFSET 0
    ) AS known
    CROSS JOIN LATERAL (
        SELECT transfer.customer FROM ledger.transfer
        WHERE transfer.book_id = p_head.book_id AND transfer.seq = known.id
        OFFSET 0
    ) AS begun
    WHERE begun.customer = p_customer
    ON CONFLICT (book_id, id) DO UPDATE SET customer = p_customer;

    IF p_head.owing THEN
        PERFORM ledger.split_shortfalls_v1(p_head.book_id, v_survivor, p_customer);
    END IF;

    UPDATE ledger.spell SET until_seq = v_now.seq, until_place = v_now.places, points_returned = v_points
    WHERE spell.book_id = p_head.book_id AND spell.customer = p_customer AND spell.until_seq IS NULL;
    UPDATE ledger.customer_state SET frozen = false, moved_to = NULL
    WHERE customer_state.book_id = p_head.book_id AND customer_state.customer = p_customer;
    UPDATE ledger.customer_state SET absorbed = customer_state.absorbed - 1
    WHERE customer_state.book_id = p_head.book_id AND customer_state.customer = v_survivor;
    PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_customer);
    PERFORM ledger.refresh_customer_state_v1(p_head.book_id, v_survivor);
    RETURN v_points;
END
$function$;
