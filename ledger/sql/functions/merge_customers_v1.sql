-- Makes two customers one: all that the loser has becomes the survivor's, in one transaction of the log.
-- Returns one row: the outcome (see MergeOutcome: 1 moved, 2 too many, 3 merged), whether they had been merged before, and the
-- spendable points that were moved. Locks the book's head.
--
-- What is due on either is posted first. Then each lot and each account of points held back goes through the house's transit
-- account to the survivor's of the same class and last day: first a transfer of the loser for each, in order of their ids, then
-- in the same order one of the survivor. Her redemptions are the survivor's from now on, open or not, so what they give back
-- goes to the survivor by itself, and so are the points held back. Events, and what caps have counted, stay with the loser.

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
    c_moved      CONSTANT smallint := 1;
    c_too_many   CONSTANT smallint := 2;
    c_merged     CONSTANT smallint := 3;
    c_ids_max    CONSTANT integer := 8;

    v_head       ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_house      CONSTANT bytea := ledger.account_owner_v1(0, 0);
    v_from       CONSTANT bytea := ledger.account_owner_v1(1, p_loser);
    v_to         CONSTANT bytea := ledger.account_owner_v1(1, p_survivor);
    v_loser      ledger.customer_state;
    v_survivor   ledger.customer_state;
    v_verbs      smallint[];
    v_debits     bytea[];
    v_transits   bytea[];
    v_credits    bytea[];
    v_amounts    bigint[];
    v_points     bigint;
    v_first      bigint;
BEGIN
    IF p_loser = p_survivor THEN
        RAISE EXCEPTION 'customer % cannot be merged into herself', p_loser USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT state.* INTO v_loser
    FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = p_loser;
    SELECT state.* INTO v_survivor
    FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = p_survivor;

    IF v_loser.moved_to = p_survivor THEN
        RETURN QUERY SELECT c_merged, true, ledger.merged_points_v1(p_book_id, p_loser);
        RETURN;
    END IF;
    IF v_loser.frozen OR v_survivor.frozen THEN
        RETURN QUERY SELECT c_moved, false, 0::bigint;
        RETURN;
    END IF;
    IF coalesce(v_survivor.absorbed, 0) + 1 + coalesce(v_loser.absorbed, 0) + 1 > c_ids_max THEN
        RETURN QUERY SELECT c_too_many, false, 0::bigint;
        RETURN;
    END IF;

    PERFORM ledger.post_due_v1(v_head, p_loser);
    PERFORM ledger.post_due_v1(v_head, p_survivor);

    SELECT
        array_agg(13::smallint ORDER BY mine.id),
        array_agg(mine.id ORDER BY mine.id),
        array_agg(ledger.account_id_v1(v_house, (12 << 4) | (get_byte(mine.id, 11) & 15), 'infinity') ORDER BY mine.id),
        array_agg(v_to || substring(mine.id FROM 12) ORDER BY mine.id),
        array_agg(mine.credits - mine.debits ORDER BY mine.id),
        coalesce(sum(mine.credits - mine.debits) FILTER (WHERE mine.kind = 1), 0)::bigint
    INTO v_verbs, v_debits, v_transits, v_credits, v_amounts, v_points
    FROM ledger.account AS mine
    WHERE mine.book_id = p_book_id
        AND mine.id >= v_from || '\x10'::bytea
        AND mine.id < v_from || '\x30'::bytea
        AND mine.credits > mine.debits;
    IF v_amounts IS NOT NULL THEN
        v_first := ledger.write_transfers_v1(
            v_head, v_head.posted_at, p_loser, NULL, NULL, NULL, NULL, v_verbs, v_debits, v_transits, v_amounts);
        PERFORM ledger.write_transfers_v1(
            v_head, v_head.posted_at, p_survivor, NULL, NULL, NULL, v_first, v_verbs, v_transits, v_credits, v_amounts);
    END IF;

    UPDATE ledger.redemption SET customer = p_survivor
    WHERE redemption.book_id = p_book_id AND redemption.customer = p_loser;
    UPDATE ledger.pending SET customer = p_survivor
    WHERE pending.book_id = p_book_id AND pending.customer = p_loser;
    UPDATE ledger.customer_state SET moved_to = p_survivor
    WHERE customer_state.book_id = p_book_id AND customer_state.moved_to = p_loser;

    PERFORM ledger.refresh_customer_state_v1(p_book_id, p_loser);
    PERFORM ledger.refresh_customer_state_v1(p_book_id, p_survivor);
    UPDATE ledger.customer_state SET frozen = true, moved_to = p_survivor, absorbed = 0
    WHERE customer_state.book_id = p_book_id AND customer_state.customer = p_loser;
    UPDATE ledger.customer_state SET absorbed = customer_state.absorbed + 1 + coalesce(v_loser.absorbed, 0)
    WHERE customer_state.book_id = p_book_id AND customer_state.customer = p_survivor;
    RETURN QUERY SELECT c_merged, false, v_points;
END
$function$;
