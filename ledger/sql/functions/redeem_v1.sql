-- Posts a batch of redemption steps for one book, in order of arrival: authorize, capture, void, refund.
-- Returns one row per step: its outcome (see RedemptionOutcome), whether it is a replay, and the answer: on success the
-- redemption as redemption_v1 shows it, on a refusal what there is to spend. What was decided is kept under the
-- idempotency key and answered again, to the letter.
-- Locks the book's head. Each step is some short statements: tills are few where grants are many.

CREATE OR REPLACE FUNCTION ledger.redeem_v1(
    p_brand_id      integer,
    p_book_id       integer,
    p_now           timestamptz,
    p_operations    smallint[],
    p_keys          bytea[],   -- elements may be NULL: a void needs no key
    p_requests      bytea[],
    p_customers     bigint[],
    p_generations   bigint[],  -- to authorize, which state of her merges and splits the caller knows; NULL: any
    p_redemptions   bigint[],
    p_points        bigint[],  -- 0: all there is; to authorize that, -1
    p_finals        boolean[],
    p_captures      boolean[],
    p_hold_s        integer[],
    p_order_refs    text[],
    p_values        bigint[],  -- elements may be NULL, as may those of the next four
    p_value_points  bigint[],
    p_value_units   bigint[],
    p_stores        text[],
    p_terminals     text[],
    p_salts         bytea[],
    p_befores       bytea[],
    p_afters        bytea[],
    p_refs          text[],  -- elements may be NULL
    p_step_hashes   bytea[]  -- of what is said about a capture or a refund: its ref, store and terminal; NULL: nothing
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
#variable_conflict use_column
DECLARE
    c_reused    CONSTANT smallint := 1;
    c_not_found CONSTANT smallint := 2;
    c_moved     CONSTANT smallint := 3;
    c_done      CONSTANT smallint := 10;

    v_head        ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_kept        ledger.idempotency_key;
    v_redemption  bigint;
    v_customer    bigint;
    v_first       bigint;
    v_outcome     smallint;
    v_replayed    boolean;
    v_answer      jsonb;
BEGIN
    FOR v_step IN 1 .. cardinality(p_operations) LOOP
        v_kept := NULL;
        v_outcome := NULL;
        v_answer := NULL;
        v_replayed := false;
        v_redemption := p_redemptions[v_step];
        v_customer := p_customers[v_step];

        -- Nothing would be moved, and a redemption be made that has no place in the log.
        IF p_points[v_step] < (p_operations[v_step] = 1)::integer
            AND NOT (p_operations[v_step] = 1 AND p_points[v_step] = -1)
        THEN
            RAISE EXCEPTION 'too few points: %', p_points[v_step] USING ERRCODE = 'invalid_parameter_value';
        END IF;

        IF p_keys[v_step] IS NOT NULL THEN
            SELECT idempotency_key.* INTO v_kept
            FROM ledger.idempotency_key
            WHERE idempotency_key.book_id = p_book_id
                AND idempotency_key.operation = p_operations[v_step]
                AND idempotency_key.key = p_keys[v_step];
        END IF;

        IF v_kept.book_id IS NOT NULL THEN
            v_replayed := v_kept.request_hash = p_requests[v_step];
            v_outcome := CASE WHEN v_replayed THEN v_kept.outcome ELSE c_reused END;
            v_answer := CASE WHEN v_replayed THEN v_kept.answer END;
        ELSE
            IF p_operations[v_step] <> 1 THEN
                v_customer := NULL;
                SELECT redemption.customer INTO v_customer
                FROM ledger.redemption
                WHERE redemption.book_id = p_book_id AND redemption.id = v_redemption;
                IF v_customer IS NULL THEN
                    v_outcome := c_not_found;
                END IF;
            ELSIF EXISTS (
                SELECT FROM ledger.customer_state AS state
                WHERE state.book_id = p_book_id AND state.customer = v_customer
                    AND (state.frozen OR coalesce(state.generation, 0) <> p_generations[v_step])
            ) OR (p_generations[v_step] > 0 AND NOT EXISTS (
                SELECT FROM ledger.customer_state AS state WHERE state.book_id = p_book_id AND state.customer = v_customer
            )) THEN
                v_outcome := c_moved;
            END IF;

            IF v_outcome IS NULL THEN
                PERFORM ledger.post_due_v1(v_head, v_customer);
                SELECT head.seq + 1 INTO v_first FROM ledger.head WHERE head.book_id = p_book_id;
                CASE p_operations[v_step]
                    WHEN 1 THEN
                        v_redemption := ledger.authorize_v1(
                            v_head, v_customer, p_points[v_step], p_captures[v_step], p_hold_s[v_step],
                            p_order_refs[v_step], p_values[v_step],
                            ARRAY[p_value_points[v_step], p_value_units[v_step]],
                            p_stores[v_step], p_terminals[v_step], p_salts[v_step], p_befores[v_step], p_afters[v_step]);
                        v_outcome := CASE WHEN v_redemption IS NULL THEN 9 ELSE c_done END;
                    WHEN 2 THEN
                        v_outcome := ledger.capture_v1(
                            v_head, v_customer, v_redemption, p_points[v_step], p_finals[v_step], p_step_hashes[v_step]);
                    WHEN 3 THEN
                        v_outcome := ledger.void_v1(v_head, v_customer, v_redemption);
                        -- Voided already: the same answer again, and nothing to keep.
                        v_replayed := v_outcome = 5;
                        v_outcome := CASE WHEN v_replayed THEN c_done ELSE v_outcome END;
                    WHEN 4 THEN
                        v_outcome := ledger.refund_v1(
                            v_head, v_customer, v_redemption, p_points[v_step], p_step_hashes[v_step]);
                END CASE;
                IF v_outcome = c_done AND p_step_hashes[v_step] IS NOT NULL THEN
                    INSERT INTO ledger.redemption_step (book_id, seq, redemption, ref, store_id, terminal_id, salt)
                    VALUES (
                        p_book_id, v_first, v_redemption, p_refs[v_step], p_stores[v_step], p_terminals[v_step],
                        p_salts[v_step]
                    );
                END IF;

                IF v_redemption IS NOT NULL THEN
                    v_answer := ledger.redemption_v1(
                        p_book_id, v_redemption, v_head.posted_at, v_head.time_zone, v_head.grace_days::integer);
                ELSE
                    SELECT jsonb_build_object('balance', spendable.points) INTO v_answer
                    FROM ledger.spendable_v1(
                        p_book_id, v_customer, v_head.posted_at, (v_head.posted_at AT TIME ZONE v_head.time_zone)::date,
                        v_head.time_zone, v_head.grace_days::integer, false
                    ) AS spendable;
                END IF;

                IF p_keys[v_step] IS NOT NULL THEN
                    INSERT INTO ledger.idempotency_key (book_id, operation, key, request_hash, outcome, answer, kept_at)
                    VALUES (
                        p_book_id, p_operations[v_step], p_keys[v_step], p_requests[v_step], v_outcome, v_answer,
                        v_head.posted_at
                    );
                END IF;
            END IF;
        END IF;
        RETURN QUERY SELECT v_outcome, v_replayed, v_answer;
    END LOOP;
END
$function$;
