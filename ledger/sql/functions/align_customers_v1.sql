-- Brings a book in line with what was decided elsewhere on who is merged into whom, each with the generation of that decision:
-- whoever is not where they should be is split off, then merged. What the book knows from a later generation is left as it is.
-- Returns one row: whether all is as told (1: no, somebody knows better, look them up again; 3: yes), and the spendable points
-- that this brought to the survivor of the first customer. Locks the book's head.
--
-- The customers told are or once were merged with each other. Each is merged into p_survivors, or into nobody (its own number).
-- If the survivor is not among those told, the merge is another group's business, and the customer is only split off here.

CREATE OR REPLACE FUNCTION ledger.align_customers_v1(
    p_brand_id     integer,
    p_book_id      integer,
    p_now          timestamptz,
    p_customers    bigint[],
    p_survivors    bigint[],
    p_generations  bigint[]
) RETURNS TABLE (outcome smallint, points bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    c_stale_customer CONSTANT smallint := ledger.merge_outcome_v1('stale_customer');
    c_merged         CONSTANT smallint := ledger.merge_outcome_v1('merged');

    v_head       ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_told       record;
    v_part_of    bigint;
    v_moved      bigint;
    v_points     bigint := 0;
    v_customers  bigint[];
    v_survivors  bigint[];
    v_gens       bigint[];
BEGIN
    -- Of what is told only what is news.
    SELECT
        array_agg(told.customer ORDER BY told.ix), array_agg(told.survivor ORDER BY told.ix), array_agg(told.generation ORDER BY told.ix)
    INTO v_customers, v_survivors, v_gens
    FROM unnest(p_customers, p_survivors, p_generations) WITH ORDINALITY AS told (customer, survivor, generation, ix)
    LEFT JOIN LATERAL (
        SELECT known.generation FROM ledger.customer_state AS known
        WHERE known.book_id = p_book_id AND known.customer = told.customer
        LIMIT 1
    ) AS state ON true
    WHERE told.generation > coalesce(state.generation, 0);
    IF v_customers IS NULL THEN
        RETURN QUERY SELECT c_merged, 0::bigint;
        RETURN;
    END IF;
    IF EXISTS (
        SELECT
        FROM unnest(v_survivors) AS told (survivor)
        CROSS JOIN LATERAL (
            SELECT known.frozen FROM ledger.customer_state AS known
            WHERE known.book_id = p_book_id AND known.customer = told.survivor
            LIMIT 1
        ) AS state
        WHERE state.frozen AND told.survivor = ANY (p_customers) AND NOT told.survivor = ANY (v_customers)
    ) THEN
        RETURN QUERY SELECT c_stale_customer, 0::bigint;
        RETURN;
    END IF;

    FOR v_told IN SELECT * FROM unnest(v_customers, v_survivors, v_gens) AS told (customer, survivor, generation) LOOP
        SELECT state.moved_to INTO v_part_of
        FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = v_told.customer;
        -- A customer stays if their survivor is to be merged into the same one: they follow along.
        CONTINUE WHEN v_part_of IS NULL OR v_part_of = v_told.survivor OR (
            v_told.survivor <> v_told.customer AND EXISTS (
                SELECT FROM unnest(v_customers, v_survivors) AS other (customer, survivor)
                WHERE other.customer = v_part_of AND other.survivor = v_told.survivor
            )
        );
        PERFORM ledger.split_wallet_v1(v_head, v_told.customer);
        UPDATE ledger.customer_state
        SET generation = greatest(coalesce(customer_state.generation, 0), v_told.generation)
        WHERE customer_state.book_id = p_book_id AND customer_state.customer = v_part_of
            AND NOT v_part_of = ANY (v_customers);
    END LOOP;

    FOR v_told IN
        SELECT * FROM unnest(v_customers, v_survivors, v_gens) AS told (customer, survivor, generation)
        WHERE told.survivor <> told.customer AND told.survivor = ANY (p_customers)
    LOOP
        SELECT state.moved_to INTO v_part_of
        FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = v_told.customer;
        CONTINUE WHEN v_part_of IS NOT NULL;
        v_moved := ledger.merge_wallets_v1(v_head, v_told.customer, v_told.survivor);
        v_points := v_points + CASE v_told.survivor WHEN p_survivors[1] THEN v_moved ELSE 0 END;
    END LOOP;

    INSERT INTO ledger.customer_state AS state (book_id, customer, generation)
    SELECT p_book_id, told.customer, told.generation
    FROM unnest(v_customers, v_survivors, v_gens) AS told (customer, survivor, generation)
    WHERE told.survivor = ANY (p_customers)
    ON CONFLICT (book_id, customer) DO UPDATE SET generation = excluded.generation;
    RETURN QUERY SELECT c_merged, v_points;
END
$function$;
