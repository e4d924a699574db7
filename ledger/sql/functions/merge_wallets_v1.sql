-- Gives everything one customer has to another, into whom they, and those merged into them, are merged from then on (see
-- merge_customers_v1). Neither is merged into anybody. Returns the spendable points that moved. The caller has locked the head
-- and sets the generations.

CREATE OR REPLACE FUNCTION ledger.merge_wallets_v1(p_head ledger.head, p_loser bigint, p_survivor bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_house      CONSTANT bytea := ledger.house_owner_v1();
    v_from       CONSTANT bytea := ledger.customer_owner_v1(p_loser);
    v_to         CONSTANT bytea := ledger.customer_owner_v1(p_survivor);
    v_members    CONSTANT bigint[] := ARRAY(SELECT member.customer FROM ledger.merged_into_v1(p_head.book_id, p_loser) AS member);
    v_now        ledger.head;
    v_absorbed   integer;
    v_verbs      smallint[];
    v_debits     bytea[];
    v_transits   bytea[];
    v_credits    bytea[];
    v_amounts    bigint[];
    v_points     bigint;
    v_first      bigint;
BEGIN
    PERFORM ledger.post_due_v1(p_head, p_loser);
    PERFORM ledger.post_due_v1(p_head, p_survivor);
    SELECT head.* INTO v_now FROM ledger.head WHERE head.book_id = p_head.book_id;

    SELECT
        array_agg(ledger.verb_v1('merge') ORDER BY mine.id),
        array_agg(mine.id ORDER BY mine.id),
        array_agg(ledger.account_id_v2(v_house, 'transit', ledger.account_class_v1(mine.id), 'infinity') ORDER BY mine.id),
        array_agg(v_to || substring(mine.id FROM 12) ORDER BY mine.id),
        array_agg(mine.credits - mine.debits ORDER BY mine.id),
        coalesce(sum(mine.credits - mine.debits) FILTER (WHERE mine.kind = ledger.kind_v1('lot')), 0)::bigint
    INTO v_verbs, v_debits, v_transits, v_credits, v_amounts, v_points
    FROM ledger.account AS mine
    WHERE mine.book_id = p_head.book_id
        AND mine.id >= ledger.accounts_from_v1(v_from, 'lot')
        AND mine.id < ledger.accounts_from_v1(v_from, 'held')
        AND mine.credits > mine.debits;

    -- Of what is left of a lot, the customers merged into this one have what they brought, by number; the rest is the customer's.
    UPDATE ledger.brought
    SET amount = share.amount
    FROM (
        SELECT each.customer, each.lot,
            greatest(0, least(
                each.amount,
                coalesce(mine.credits - mine.debits, 0)
                    - (sum(each.amount) OVER (PARTITION BY each.lot ORDER BY each.customer) - each.amount)::bigint
            )) AS amount
        FROM ledger.brought AS each
        LEFT JOIN LATERAL (
            SELECT account.debits, account.credits FROM ledger.account
            WHERE account.book_id = p_head.book_id AND account.id = v_from || each.lot
            OFFSET 0
        ) AS mine ON true
        WHERE each.book_id = p_head.book_id AND each.customer = ANY (v_members)
    ) AS share
    WHERE brought.book_id = p_head.book_id AND brought.customer = ANY (v_members)
        AND brought.customer = share.customer AND brought.lot = share.lot;
    INSERT INTO ledger.brought (book_id, customer, lot, amount)
    SELECT p_head.book_id, p_loser, substring(mine.id FROM 12), mine.credits - mine.debits - coalesce((
        SELECT sum(brought.amount)
        FROM ledger.brought
        WHERE brought.book_id = p_head.book_id AND brought.customer = ANY (v_members)
            AND brought.lot = substring(mine.id FROM 12)
    ), 0)
    FROM ledger.account AS mine
    WHERE mine.book_id = p_head.book_id
        AND mine.id >= ledger.accounts_from_v1(v_from, 'lot')
        AND mine.id < ledger.accounts_from_v1(v_from, 'pending')
        AND mine.credits > mine.debits;

    IF v_amounts IS NOT NULL THEN
        v_first := ledger.write_transfers_v1(
            p_head, p_head.posted_at, p_loser, NULL, NULL, NULL, NULL, v_verbs, v_debits, v_transits, v_amounts);
        PERFORM ledger.write_transfers_v1(
            p_head, p_head.posted_at, p_survivor, NULL, NULL, NULL, v_first, v_verbs, v_transits, v_credits, v_amounts);
    END IF;

    -- BETWEEN x AND x ORDER BY x: see redeem_v2. What is found so is found again by ON CONFLICT, which has no choice of an index.
    INSERT INTO ledger.redemption
    SELECT theirs.*
    FROM ledger.redemption AS theirs
    WHERE theirs.book_id = p_head.book_id AND theirs.customer BETWEEN p_loser AND p_loser
    ORDER BY theirs.customer
    ON CONFLICT (book_id, id) DO UPDATE SET customer = p_survivor;
    INSERT INTO ledger.pending
    SELECT theirs.*
    FROM ledger.pending AS theirs
    WHERE theirs.book_id = p_head.book_id AND theirs.customer BETWEEN p_loser AND p_loser
    ORDER BY theirs.customer
    ON CONFLICT (book_id, customer, key) DO UPDATE SET customer = p_survivor;

    IF p_head.owing THEN
        INSERT INTO ledger.shortfall AS theirs (book_id, campaign_no, customer, layer, points, event_key, budget)
        SELECT
            shortfall.book_id, shortfall.campaign_no, p_survivor, shortfall.layer, shortfall.points, shortfall.event_key,
            shortfall.budget
        FROM ledger.shortfall
        WHERE shortfall.book_id = p_head.book_id AND shortfall.customer = p_loser
        ON CONFLICT (book_id, customer, layer) DO UPDATE SET points = theirs.points + excluded.points;
        DELETE FROM ledger.shortfall WHERE shortfall.book_id = p_head.book_id AND shortfall.customer = p_loser;
    END IF;

    INSERT INTO ledger.spell (book_id, customer, spell_no, survivor, from_seq, from_place, points_brought)
    SELECT p_head.book_id, p_loser, coalesce(max(spell.spell_no), 0) + 1, p_survivor, v_now.seq, v_now.places, v_points
    FROM ledger.spell WHERE spell.book_id = p_head.book_id AND spell.customer = p_loser;
    INSERT INTO ledger.spell (book_id, customer, spell_no, survivor, from_seq, from_place, points_brought)
    SELECT p_head.book_id, spell.customer, spell.spell_no + 1, p_survivor, v_now.seq, v_now.places, spell.points_brought
    FROM ledger.spell
    WHERE spell.book_id = p_head.book_id AND spell.customer = ANY (v_members) AND spell.until_seq IS NULL;
    UPDATE ledger.spell SET until_seq = v_now.seq, until_place = v_now.places
    WHERE spell.book_id = p_head.book_id AND spell.customer = ANY (v_members) AND spell.survivor = p_loser
        AND spell.until_seq IS NULL;

    UPDATE ledger.customer_state SET moved_to = p_survivor
    WHERE customer_state.book_id = p_head.book_id AND customer_state.customer = ANY (v_members);
    PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_loser);
    PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_survivor);
    SELECT state.absorbed INTO v_absorbed
    FROM ledger.customer_state AS state WHERE state.book_id = p_head.book_id AND state.customer = p_loser;
    UPDATE ledger.customer_state SET frozen = true, moved_to = p_survivor, absorbed = 0
    WHERE customer_state.book_id = p_head.book_id AND customer_state.customer = p_loser;
    UPDATE ledger.customer_state SET absorbed = customer_state.absorbed + 1 + v_absorbed
    WHERE customer_state.book_id = p_head.book_id AND customer_state.customer = p_survivor;
    RETURN v_points;
END
$function$;
