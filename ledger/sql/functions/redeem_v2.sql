-- Posts a batch of redemption steps for one book, in order of arrival: authorize, capture, void, refund.
--
-- In    steps as parallel arrays.
-- Out   one row per step, in order: its outcome (see RedemptionOutcome), whether it is a replay, and the answer: on success the
--       redemption as redemption_v1 shows it, on a refusal what there is to spend. What was decided is kept under the idempotency
--       key and answered again, to the letter.
-- Locks the book's head. Only the holder of that lock writes to the book, so a row that was read can be updated by its ctid
-- (decision 40 has the figures).
--
-- The batch is worked through in rounds. Whoever comes a second time ends one, and so does whatever might depend on a step of it:
-- in a round each wallet occurs once, so each redemption does, and no step changes what another one reads. It is read in one
-- statement, decided in one loop, and written in one statement a table. Nearly always the batch is one round.
--
--     authorize  from the lots, soonest to expire first. -1 is all there is, at most 10^9. With capture, spent at once.
--                The value kept is the one given, or what the points are worth, rounded down; the details' hash is over it:
--                SHA-256 of what comes before it, its digits (or null), what comes after
--     capture    of what is held, soonest to expire first; 0 is all. The rest is given back unless the capture is not final. If the
--                hold has timed out, of the lots: see capture_late_v1
--     void       gives back what is held. Again, whatever was captured before and refunded since: nothing to do
--     refund     of what was spent, latest to expire first; 0 is all
--
-- Points are not taken for nothing: neither an authorization whose points are worth less than a minor unit, nor a capture that ends
-- a redemption with so few captured. That is answered with the fewest that will do, and not kept: it may be right tomorrow.
--
-- Points go back to the lots they came from, or, where such a lot is dead, to one that lasts the book's grace from today. What was to be
-- taken back of them before (see claw_back_v1) is taken back then: such a step is a round of its own.
--
-- Redemptions have several indexes that begin with the book, and while the table is young the planner takes any of them for as
-- good. Where a look-up says BETWEEN x AND x ORDER BY x, only the one by x comes without a sort.
--
-- Cost of a step in a batch of 25 of a warm table, about: read and decide 80 us, log 12, accounts 25, other rows 25, answer 75,
-- key 14. A batch of one takes five times that.

CREATE OR REPLACE FUNCTION ledger.redeem_v2(
    p_brand_id      integer,
    p_book_id       integer,
    p_now           timestamptz,
    p_operations    smallint[],
    p_keys          bytea[],   -- elements may be NULL: a void needs no key
    p_requests      bytea[],
    p_customers     bigint[],
    p_generations   bigint[],  -- to authorize, the state of the customer's merges and splits that the caller knows; NULL: any
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
    p_step_hashes   bytea[],  -- of what is said about a capture or a refund: its ref, store and terminal; NULL: nothing
    p_graces_s      integer[],     -- how long after its deadline a hold may be captured; NULL: none may
    p_occurred      timestamptz[]  -- when a step is said to have happened; NULL: none says so, as may its elements be
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off  -- what is planned for arrays of any length looks dear enough to be compiled, each time
AS $function$
#variable_conflict use_column
DECLARE
    c_authorize                    CONSTANT smallint := 1;
    c_capture                      CONSTANT smallint := 2;
    c_void                         CONSTANT smallint := 3;
    c_refund                       CONSTANT smallint := 4;

    c_idempotency_key_reused       CONSTANT smallint := 1;
    c_not_found                    CONSTANT smallint := 2;
    c_stale_customer               CONSTANT smallint := 3;
    c_authorization_expired        CONSTANT smallint := 4;
    c_already_voided               CONSTANT smallint := 5;
    c_fully_captured               CONSTANT smallint := 6;
    c_capture_exceeds_authorized   CONSTANT smallint := 7;
    c_refund_exceeds_captured      CONSTANT smallint := 8;
    c_insufficient_balance         CONSTANT smallint := 9;
    c_done                         CONSTANT smallint := 10;
    c_worth_nothing                CONSTANT smallint := 11;
    c_occurred_out_of_range        CONSTANT smallint := 13;

    c_verb_authorize               CONSTANT smallint := 6;
    c_verb_capture                 CONSTANT smallint := 7;
    c_verb_void                    CONSTANT smallint := 8;
    c_verb_refund                  CONSTANT smallint := 9;

    c_kind_lot                     CONSTANT smallint := 1;
    c_kind_held                    CONSTANT smallint := 3;
    c_kind_spent                   CONSTANT smallint := 4;

    c_points_max   CONSTANT bigint := 1000000000;
    c_round_max    CONSTANT integer := 200;

    v_head         ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_clock        CONSTANT timestamptz := v_head.posted_at;
    v_today        CONSTANT date := (v_head.posted_at AT TIME ZONE v_head.time_zone)::date;
    v_steps        CONSTANT integer := cardinality(p_operations);
    v_seq          bigint := v_head.seq;
    v_from         integer := 1;   -- the round's first step
    v_tidied       integer := 0;   -- the step before which what is due on its wallet was posted
    v_due          bigint;         -- whose wallet has something due
    v_seq_before   bigint;
    v_impossible   integer[] := '{}';  -- the steps that cannot have happened when they say

    -- The round, by step.
    v_n            integer;
    v_outcomes     smallint[];
    v_replays      boolean[];
    v_answers      jsonb[];
    v_keys         bytea[];        -- under which the answer is kept; NULL: it is not
    v_wallets      bigint[];       -- whose points it is about, where it came so far; the next ones are theirs
    v_places       tid[];
    v_points       bigint[];
    v_lots_until   date[];
    v_holds_until  timestamptz[];  -- NULL: to be looked up
    v_balances     bigint[];       -- NULL: the customer's lots must be added up
    v_redemptions  bigint[];       -- what is answered
    v_deadlines    timestamptz[];  -- of those that are begun
    v_worths       bigint[];
    v_closed       boolean[];
    v_ended        tid[];          -- those that were open and are not any more
    v_any_ended    boolean;
    v_hashes       bytea[];
    v_firsts       bigint[];       -- seq of its first transfer
    v_seqs         bigint[];       -- the head's when it is done

    -- The round, by transfer.
    v_legs         integer;
    v_leg_steps    integer[];
    v_verbs        smallint[];
    v_debits       bytea[];
    v_credits      bytea[];
    v_amounts      bigint[];

    -- By account.
    v_ids          bytea[];
    v_id_debits    bigint[];
    v_id_credits   bigint[];
    v_id_places    tid[];          -- NULL: there is none yet

    -- One step.
    v_step         record;
    v_outcome      smallint;
    v_replayed     boolean;
    v_answer       jsonb;
    v_wallet       bigint;
    v_redemption   bigint;
    v_spendable    bigint;
    v_lot_until    date;
    v_hold_until   timestamptz;
    v_deadline     timestamptz;
    v_worth        bigint;
    v_hash         bytea;
    v_closes       boolean;
    v_legs_before  integer;
    v_missing      bigint;
    v_left         bigint[];
    v_taken        bigint;
    v_account      integer;
    v_id           bytea;
    v_owner        bytea;
    v_last_day     date;
    v_rest         bigint;         -- of what it held, that goes back
    v_any_said     boolean;
    v_late         record;
    v_owes         boolean := false;
BEGIN
    FOR v_account IN 1 .. v_steps LOOP
        -- Nothing would be moved, and a redemption be made that has no place in the log.
        IF p_points[v_account] < (p_operations[v_account] = c_authorize)::integer
            AND NOT (p_operations[v_account] = c_authorize AND p_points[v_account] = -1)
        THEN
            RAISE EXCEPTION 'too few points: %', p_points[v_account] USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;

    IF p_occurred IS NOT NULL THEN
        v_impossible := ARRAY(
            SELECT said.ix::integer
            FROM unnest(p_redemptions, p_occurred) WITH ORDINALITY AS said (redemption, occurred_at, ix)
            WHERE NOT ledger.may_have_occurred_v1(v_head, said.redemption, said.occurred_at)
        );
    END IF;

    WHILE v_from <= v_steps LOOP
        v_n := 0;
        v_due := NULL;
        v_seq_before := v_seq;
        v_outcomes := '{}'; v_replays := '{}'; v_answers := '{}'; v_keys := '{}';
        v_wallets := '{}'; v_places := '{}'; v_points := '{}'; v_lots_until := '{}'; v_holds_until := '{}';
        v_balances := '{}'; v_redemptions := '{}'; v_deadlines := '{}'; v_worths := '{}'; v_closed := '{}'; v_ended := '{}';
        v_hashes := '{}'; v_firsts := '{}'; v_seqs := '{}';
        v_any_ended := false;
        v_any_said := false;
        v_owes := false;
        v_legs := 0;
        v_leg_steps := '{}'; v_verbs := '{}'; v_debits := '{}'; v_credits := '{}'; v_amounts := '{}';

        -- 1. Read, and decide. To authorize, the accounts are the customer's lots; else those of the redemption, held and spent.
        FOR v_step IN
            SELECT
                item.ix, item.operation, item.key, item.redemption,
                kept.outcome AS kept_outcome, kept.request_hash AS kept_request, kept.answer AS kept_answer,
                CASE WHEN item.operation = c_authorize THEN item.customer ELSE begun.customer END AS customer,
                begun.place AS begun_place, begun.deadline, begun.closed_at, begun.value,
                state.place, state.points, state.lot_until, state.hold_until,
                -- A redemption is never of a customer who was merged: who is frozen was erased.
                CASE
                    WHEN item.operation <> c_authorize THEN coalesce(state.frozen, false)
                    WHEN state.place IS NULL THEN coalesce(item.generation > 0, false)
                    ELSE state.frozen OR coalesce(state.generation <> item.generation, false)
                END AS moved,
                coalesce(state.lot_until < v_today OR state.hold_until <= v_clock, false) AS is_due,
                accounts.ids, accounts.last_days, accounts.points_left,
                accounts.spendable, accounts.authorized, accounts.held, accounts.captured, accounts.refunded
            FROM (
                SELECT
                    unnest(p_operations[v_from:v_from + c_round_max - 1]) AS operation,
                    unnest(p_keys[v_from:v_from + c_round_max - 1]) AS key,
                    unnest(p_customers[v_from:v_from + c_round_max - 1]) AS customer,
                    unnest(p_generations[v_from:v_from + c_round_max - 1]) AS generation,
                    unnest(p_redemptions[v_from:v_from + c_round_max - 1]) AS redemption,
                    generate_series(v_from, least(v_from + c_round_max - 1, v_steps)) AS ix
            ) AS item
            LEFT JOIN LATERAL (
                SELECT idempotency_key.outcome, idempotency_key.request_hash, idempotency_key.answer
                FROM ledger.idempotency_key
                WHERE idempotency_key.book_id = p_book_id
                    AND idempotency_key.operation = item.operation
                    AND idempotency_key.key = item.key
                LIMIT 1
            ) AS kept ON true
            LEFT JOIN LATERAL (
                SELECT redemption.ctid AS place, redemption.customer, redemption.deadline, redemption.closed_at, redemption.value
                FROM ledger.redemption
                WHERE redemption.book_id = p_book_id
                    AND redemption.id BETWEEN item.redemption AND item.redemption
                    AND item.operation <> c_authorize
                ORDER BY redemption.id
                LIMIT 1
            ) AS begun ON true
            LEFT JOIN LATERAL (
                SELECT
                    state.ctid AS place, state.points, state.lot_until, state.hold_until, state.frozen,
                    coalesce(state.generation, 0) AS generation
                FROM ledger.customer_state AS state
                WHERE state.book_id = p_book_id
                    AND state.customer = CASE WHEN item.operation = c_authorize THEN item.customer ELSE begun.customer END
                LIMIT 1
            ) AS state ON true
            CROSS JOIN LATERAL (
                SELECT
                    array_agg(account.id ORDER BY account.expires_on, account.id) AS ids,
                    array_agg(account.expires_on ORDER BY account.expires_on, account.id) AS last_days,
                    array_agg(account.credits - account.debits ORDER BY account.expires_on, account.id) AS points_left,
                    coalesce(sum(account.credits - account.debits) FILTER (WHERE account.kind = c_kind_lot), 0)::bigint AS spendable,
                    coalesce(sum(account.credits) FILTER (WHERE account.kind = c_kind_held), 0)::bigint AS authorized,
                    coalesce(sum(account.credits - account.debits) FILTER (WHERE account.kind = c_kind_held), 0)::bigint AS held,
                    coalesce(sum(account.credits) FILTER (WHERE account.kind = c_kind_spent), 0)::bigint AS captured,
                    coalesce(sum(account.debits) FILTER (WHERE account.kind = c_kind_spent), 0)::bigint AS refunded
                FROM ledger.account
                WHERE account.book_id = p_book_id
                    AND account.id >= CASE item.operation
                        WHEN c_authorize THEN ledger.accounts_from_v1(ledger.customer_owner_v1(item.customer), 'lot')
                        ELSE ledger.accounts_from_v1(ledger.redemption_owner_v1(item.redemption), 'held')
                    END
                    AND account.id < CASE item.operation
                        WHEN c_authorize THEN ledger.accounts_from_v1(ledger.customer_owner_v1(item.customer), 'pending')
                        ELSE ledger.accounts_from_v1(ledger.redemption_owner_v1(item.redemption), 'budget')
                    END
                    AND (account.credits > account.debits OR account.kind <> c_kind_lot)
            ) AS accounts
            ORDER BY item.ix
        LOOP
            EXIT WHEN v_step.key = ANY (v_keys) OR v_owes;
            IF v_head.owing AND v_step.operation <> c_authorize THEN
                v_owes := ledger.owes_v1(p_book_id, v_step.redemption);
                EXIT WHEN v_owes AND v_n > 0;
            END IF;
            v_outcome := NULL;
            v_replayed := false;
            v_answer := NULL;
            v_wallet := NULL;
            v_redemption := NULL;
            v_spendable := NULL;
            v_lot_until := NULL;
            v_hold_until := NULL;
            v_closes := false;
            v_rest := 0;
            v_deadline := NULL;
            v_worth := NULL;
            v_hash := NULL;
            v_legs_before := v_legs;

            IF v_step.kept_outcome IS NOT NULL THEN
                v_replayed := v_step.kept_request = p_requests[v_step.ix];
                v_outcome := CASE WHEN v_replayed THEN v_step.kept_outcome ELSE c_idempotency_key_reused END;
                v_answer := CASE WHEN v_replayed THEN v_step.kept_answer END;
            ELSIF v_step.customer IS NULL AND v_step.operation <> c_authorize THEN
                -- It may be one that is begun in this round.
                EXIT WHEN v_step.redemption > v_seq_before AND v_n > 0;
                v_outcome := c_not_found;
            ELSIF v_step.moved THEN
                v_outcome := c_stale_customer;
            ELSIF v_step.ix = ANY (v_impossible) THEN
                v_outcome := c_occurred_out_of_range;
            ELSE
                EXIT WHEN v_step.customer = ANY (v_wallets);
                IF v_step.is_due AND v_tidied < v_step.ix THEN
                    -- It is posted before a round that this step is the first of.
                    v_due := CASE WHEN v_n = 0 THEN v_step.customer END;
                    EXIT;
                END IF;
                v_wallet := v_step.customer;
                v_spendable := v_step.points;
                v_lot_until := v_step.lot_until;
                v_hold_until := v_step.hold_until;
                v_owner := ledger.customer_owner_v1(v_step.customer);
                v_left := v_step.points_left;

                CASE v_step.operation
                    WHEN c_authorize THEN
                        v_missing := CASE p_points[v_step.ix]
                            WHEN -1 THEN least(v_step.spendable, c_points_max)
                            ELSE p_points[v_step.ix]
                        END;
                        v_worth := coalesce(
                            p_values[v_step.ix], v_missing * p_value_units[v_step.ix] / p_value_points[v_step.ix]);
                        IF v_missing > 0 AND v_worth = 0 THEN
                            v_outcome := c_worth_nothing;
                            v_wallet := NULL;  -- so that the answer is not kept
                            v_answer := jsonb_build_object(
                                'balance', v_step.spendable,
                                'least', (p_value_points[v_step.ix] + p_value_units[v_step.ix] - 1) / p_value_units[v_step.ix]);
                        ELSIF v_missing = 0 OR v_missing > v_step.spendable THEN
                            v_outcome := c_insufficient_balance;
                            v_answer := jsonb_build_object('balance', v_step.spendable);
                        ELSE
                            v_outcome := c_done;
                            v_redemption := v_seq + 1;
                            v_deadline := v_clock + make_interval(secs => p_hold_s[v_step.ix]);
                            v_hash := sha256(
                                p_befores[v_step.ix] || convert_to(coalesce(v_worth::text, 'null'), 'UTF8')
                                || p_afters[v_step.ix]);
                            v_closes := p_captures[v_step.ix];
                            v_spendable := v_spendable - v_missing;
                            v_owner := ledger.redemption_owner_v1(v_redemption);
                            v_account := 0;
                            WHILE v_missing > 0 LOOP
                                v_account := v_account + 1;
                                v_id := v_step.ids[v_account];
                                v_taken := least(v_left[v_account], v_missing);
                                v_missing := v_missing - v_taken;
                                v_left[v_account] := v_left[v_account] - v_taken;
                                v_legs := v_legs + 1;
                                v_leg_steps[v_legs] := v_n + 1;
                                v_verbs[v_legs] := c_verb_authorize;
                                v_debits[v_legs] := v_id;
                                v_credits[v_legs] := v_owner
                                    || substring(ledger.account_with_kind_v1(v_id, 'held') FROM 12);
                                v_amounts[v_legs] := v_taken;
                            END LOOP;
                            -- Their next lot to expire is the last one that was taken from, or the one after.
                            v_account := v_account + (v_left[v_account] = 0)::integer;
                            v_lot_until := coalesce(v_step.last_days[v_account], 'infinity');
                            IF v_closes THEN
                                FOR v_leg IN v_legs_before + 1 .. v_legs LOOP
                                    v_legs := v_legs + 1;
                                    v_leg_steps[v_legs] := v_n + 1;
                                    v_verbs[v_legs] := c_verb_capture;
                                    v_debits[v_legs] := v_credits[v_leg];
                                    v_credits[v_legs] := ledger.account_with_kind_v1(v_credits[v_leg], 'spent');
                                    v_amounts[v_legs] := v_amounts[v_leg];
                                END LOOP;
                            ELSE
                                v_hold_until := least(v_hold_until, v_deadline);
                            END IF;
                        END IF;

                    WHEN c_capture THEN
                        v_redemption := v_step.redemption;
                        v_missing := CASE p_points[v_step.ix] WHEN 0 THEN v_step.held ELSE p_points[v_step.ix] END;
                        IF v_step.closed_at >= v_step.deadline THEN
                            SELECT late.* INTO v_late
                            FROM ledger.capture_late_v1(
                                v_head, v_step.customer, v_step.redemption, p_points[v_step.ix], p_finals[v_step.ix],
                                coalesce(p_graces_s[v_step.ix], 0), v_step.deadline, v_step.authorized, v_step.captured, v_step.value
                            ) AS late;
                            v_outcome := v_late.outcome;
                            IF v_outcome = c_done THEN
                                v_hash := p_step_hashes[v_step.ix];
                                v_any_said := v_any_said OR v_hash IS NOT NULL;
                                v_spendable := v_spendable - v_late.captured;
                                v_lot_until := v_late.lot_until;
                                FOR v_account IN 1 .. cardinality(v_late.amounts) LOOP
                                    v_legs := v_legs + 1;
                                    v_leg_steps[v_legs] := v_n + 1;
                                    v_verbs[v_legs] := c_verb_capture;
                                    v_debits[v_legs] := v_late.debits[v_account];
                                    v_credits[v_legs] := v_late.credits[v_account];
                                    v_amounts[v_legs] := v_late.amounts[v_account];
                                END LOOP;
                            ELSIF v_outcome = c_worth_nothing THEN
                                v_wallet := NULL;
                                v_redemption := NULL;
                                v_answer := jsonb_build_object('balance', v_spendable, 'least', v_late.captured);
                            END IF;
                        ELSIF v_step.closed_at IS NOT NULL THEN
                            v_outcome := CASE WHEN v_step.captured > 0 THEN c_fully_captured ELSE c_already_voided END;
                        ELSIF v_missing > v_step.held THEN
                            v_outcome := c_capture_exceeds_authorized;
                        ELSIF p_finals[v_step.ix] AND v_step.value > 0
                            -- What is captured is worth value * captured / authorized, rounded down; so written it has no product.
                            AND v_step.captured + v_missing < (v_step.authorized + v_step.value - 1) / v_step.value
                        THEN
                            v_outcome := c_worth_nothing;
                            v_wallet := NULL;
                            v_redemption := NULL;
                            v_answer := jsonb_build_object(
                                'balance', v_spendable,
                                'least', (v_step.authorized + v_step.value - 1) / v_step.value - v_step.captured);
                        ELSE
                            v_outcome := c_done;
                            v_hash := p_step_hashes[v_step.ix];
                            v_any_said := v_any_said OR v_hash IS NOT NULL;
                            v_closes := p_finals[v_step.ix] OR v_missing = v_step.held;
                            v_rest := CASE WHEN v_closes THEN v_step.held - v_missing ELSE 0 END;
                            v_account := 0;
                            WHILE v_missing > 0 LOOP
                                v_account := v_account + 1;
                                v_id := v_step.ids[v_account];
                                CONTINUE WHEN ledger.account_kind_v1(v_id) <> c_kind_held OR v_left[v_account] = 0;
                                v_taken := least(v_left[v_account], v_missing);
                                v_missing := v_missing - v_taken;
                                v_left[v_account] := v_left[v_account] - v_taken;
                                v_legs := v_legs + 1;
                                v_leg_steps[v_legs] := v_n + 1;
                                v_verbs[v_legs] := c_verb_capture;
                                v_debits[v_legs] := v_id;
                                v_credits[v_legs] := ledger.account_with_kind_v1(v_id, 'spent');
                                v_amounts[v_legs] := v_taken;
                            END LOOP;
                        END IF;

                    WHEN c_void THEN
                        v_redemption := v_step.redemption;
                        v_closes := v_step.closed_at IS NULL;
                        v_replayed := NOT v_closes AND CASE
                            WHEN v_step.closed_at >= v_step.deadline THEN ledger.void_late_v1(p_book_id, v_step.redemption)
                            ELSE v_step.captured = 0 OR ledger.was_released_v1(p_book_id, v_step.redemption)
                        END;
                        v_rest := CASE WHEN v_closes THEN v_step.held ELSE 0 END;
                        v_outcome := CASE WHEN v_closes OR v_replayed THEN c_done ELSE c_fully_captured END;

                    WHEN c_refund THEN
                        v_redemption := v_step.redemption;
                        v_missing := CASE p_points[v_step.ix]
                            WHEN 0 THEN v_step.captured - v_step.refunded
                            ELSE p_points[v_step.ix]
                        END;
                        IF v_missing = 0 OR v_missing > v_step.captured - v_step.refunded THEN
                            v_outcome := c_refund_exceeds_captured;
                        ELSE
                            v_outcome := c_done;
                            v_hash := p_step_hashes[v_step.ix];
                            v_any_said := v_any_said OR v_hash IS NOT NULL;
                            v_spendable := v_spendable + v_missing;
                            v_account := cardinality(v_step.ids) + 1;
                            WHILE v_missing > 0 LOOP
                                v_account := v_account - 1;
                                v_id := v_step.ids[v_account];
                                CONTINUE WHEN ledger.account_kind_v1(v_id) <> c_kind_spent OR v_left[v_account] = 0;
                                v_taken := least(v_left[v_account], v_missing);
                                v_missing := v_missing - v_taken;
                                v_last_day := v_step.last_days[v_account];
                                v_last_day := CASE
                                    WHEN v_last_day >= v_today THEN v_last_day
                                    ELSE v_today + v_head.grace_days
                                END;
                                v_lot_until := least(v_lot_until, v_last_day);
                                v_legs := v_legs + 1;
                                v_leg_steps[v_legs] := v_n + 1;
                                v_verbs[v_legs] := c_verb_refund;
                                v_debits[v_legs] := v_id;
                                v_credits[v_legs] := ledger.account_id_v2(
                                    v_owner, 'lot', ledger.account_class_v1(v_id), v_last_day);
                                v_amounts[v_legs] := v_taken;
                            END LOOP;
                        END IF;
                END CASE;

                IF v_rest > 0 THEN
                    -- In the order of the accounts' ids.
                    FOR v_account IN
                        SELECT held.place
                        FROM unnest(v_step.ids, v_left) WITH ORDINALITY AS held (id, points, place)
                        WHERE held.points > 0 AND ledger.account_kind_v1(held.id) = c_kind_held
                        ORDER BY held.id
                    LOOP
                        v_id := v_step.ids[v_account];
                        v_last_day := v_step.last_days[v_account];
                        v_last_day := CASE WHEN v_last_day >= v_today THEN v_last_day ELSE v_today + v_head.grace_days END;
                        v_lot_until := least(v_lot_until, v_last_day);
                        v_legs := v_legs + 1;
                        v_leg_steps[v_legs] := v_n + 1;
                        v_verbs[v_legs] := c_verb_void;
                        v_debits[v_legs] := v_id;
                        v_credits[v_legs] := ledger.account_id_v2(v_owner, 'lot', ledger.account_class_v1(v_id), v_last_day);
                        v_amounts[v_legs] := v_left[v_account];
                    END LOOP;
                    v_spendable := v_spendable + v_rest;
                END IF;
                IF v_closes AND v_step.operation <> c_authorize THEN
                    -- If it was the one to time out next, another one is now.
                    v_hold_until := CASE WHEN v_hold_until < v_step.deadline THEN v_hold_until END;
                END IF;
            END IF;

            v_n := v_n + 1;
            v_seq := v_seq_before + v_legs;
            v_outcomes[v_n] := v_outcome;
            v_replays[v_n] := v_replayed;
            v_answers[v_n] := v_answer;
            v_keys[v_n] := CASE WHEN v_wallet IS NOT NULL THEN v_step.key END;
            v_wallets[v_n] := v_wallet;
            v_places[v_n] := CASE WHEN v_legs > v_legs_before OR v_closes THEN v_step.place END;
            v_points[v_n] := v_spendable;
            v_lots_until[v_n] := v_lot_until;
            v_holds_until[v_n] := v_hold_until;
            v_balances[v_n] := CASE
                WHEN v_lot_until >= v_today AND coalesce(v_hold_until > v_clock, v_step.place IS NOT NULL) THEN v_spendable
            END;
            v_redemptions[v_n] := v_redemption;
            v_deadlines[v_n] := v_deadline;
            v_worths[v_n] := v_worth;
            v_closed[v_n] := v_closes;
            v_ended[v_n] := CASE WHEN v_closes THEN v_step.begun_place END;
            v_any_ended := v_any_ended OR v_closes AND v_step.operation <> c_authorize;
            v_hashes[v_n] := v_hash;
            v_firsts[v_n] := v_seq_before + v_legs_before + 1;
            v_seqs[v_n] := v_seq;
        END LOOP;

        IF v_due IS NOT NULL THEN
            PERFORM ledger.post_due_v1(v_head, v_due);
            SELECT head.seq INTO v_seq FROM ledger.head WHERE head.book_id = p_book_id;
            v_tidied := v_from;
            CONTINUE;
        END IF;

        IF v_legs > 0 OR v_any_ended THEN
            -- 2. The redemptions that are begun, those that end, and what is said about them.
            IF array_position(v_verbs, c_verb_authorize) IS NOT NULL THEN
                INSERT INTO ledger.redemption (
                    book_id, id, customer, deadline, closed_at, order_ref, value, store_id, terminal_id, salt
                )
                SELECT
                    p_book_id, begun.id, begun.customer, begun.deadline, CASE WHEN begun.closed THEN v_clock END,
                    p_order_refs[begun.ix], begun.worth, p_stores[begun.ix], p_terminals[begun.ix], p_salts[begun.ix]
                FROM (
                    SELECT
                        unnest(v_redemptions) AS id, unnest(v_wallets) AS customer, unnest(v_deadlines) AS deadline,
                        unnest(v_closed) AS closed, unnest(v_worths) AS worth,
                        generate_series(v_from, v_from + v_n - 1) AS ix
                ) AS begun
                WHERE begun.deadline IS NOT NULL;
            END IF;

            IF v_any_ended THEN
                UPDATE ledger.redemption
                SET closed_at = v_clock
                FROM (SELECT unnest(v_ended) AS place) AS ended
                WHERE redemption.ctid = ended.place;
            END IF;

            IF v_any_said THEN
                INSERT INTO ledger.redemption_step (book_id, seq, redemption, ref, store_id, terminal_id, salt)
                SELECT
                    p_book_id, step.seq, step.redemption, p_refs[step.ix], p_stores[step.ix], p_terminals[step.ix],
                    p_salts[step.ix]
                FROM (
                    SELECT
                        unnest(v_firsts) AS seq, unnest(v_redemptions) AS redemption, unnest(v_outcomes) AS outcome,
                        unnest(v_replays) AS replayed, generate_series(v_from, v_from + v_n - 1) AS ix
                ) AS step
                WHERE step.outcome = c_done AND NOT step.replayed AND p_step_hashes[step.ix] IS NOT NULL;
            END IF;

            -- 3. The log. What is said about a capture is not said about the rest that goes back.
            INSERT INTO ledger.transfer (
                book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, due_at, verb, debit, credit, details_hash
            )
            SELECT
                p_book_id, v_seq_before + leg.place, v_clock,
                CASE WHEN leg.verb <> c_verb_void THEN coalesce(p_occurred[v_from + leg.step - 1], v_clock) ELSE v_clock END,
                leg.amount, v_wallets[leg.step],
                nullif(v_firsts[leg.step], v_seq_before + leg.place),
                v_deadlines[leg.step], leg.verb, leg.debit, leg.credit,
                CASE WHEN leg.verb <> c_verb_void THEN v_hashes[leg.step] END
            FROM (
                SELECT
                    unnest(v_leg_steps) AS step, unnest(v_verbs) AS verb, unnest(v_debits) AS debit, unnest(v_credits) AS credit,
                    unnest(v_amounts) AS amount, generate_series(1, v_legs) AS place
            ) AS leg;

            -- 4. The balances. A step may touch an account twice; what it holds or spends goes to accounts that are mostly new.
            SELECT
                array_agg(moved.id), array_agg(moved.debits), array_agg(moved.credits), array_agg(found.place)
            INTO v_ids, v_id_debits, v_id_credits, v_id_places
            FROM (
                SELECT side.id, sum(side.debits)::bigint AS debits, sum(side.credits)::bigint AS credits
                FROM (
                    SELECT unnest(v_debits) AS id, unnest(v_amounts) AS debits, 0 AS credits
                    UNION ALL
                    SELECT unnest(v_credits), 0, unnest(v_amounts)
                ) AS side
                GROUP BY side.id
            ) AS moved
            LEFT JOIN LATERAL (
                SELECT account.ctid AS place
                FROM ledger.account
                WHERE account.book_id = p_book_id AND account.id = moved.id
                LIMIT 1
            ) AS found ON true;

            UPDATE ledger.account
            SET debits = account.debits + moved.debits, credits = account.credits + moved.credits
            FROM (
                SELECT unnest(v_id_places) AS place, unnest(v_id_debits) AS debits, unnest(v_id_credits) AS credits
            ) AS moved
            WHERE account.ctid = moved.place;

            IF array_position(v_id_places, NULL) IS NOT NULL THEN
                INSERT INTO ledger.account (book_id, id, kind, expires_on, debits, credits)
                SELECT
                    p_book_id, made.id, ledger.account_kind_v1(made.id), ledger.account_expires_on_v1(made.id), made.debits,
                    made.credits
                FROM (
                    SELECT
                        unnest(v_ids) AS id, unnest(v_id_debits) AS debits, unnest(v_id_credits) AS credits,
                        unnest(v_id_places) AS place
                ) AS made
                WHERE made.place IS NULL;
            END IF;

            -- 5. The customers' sums.
            UPDATE ledger.customer_state AS state
            SET points = wallet.points,
                lot_until = wallet.lot_until,
                hold_until = coalesce(wallet.hold_until, least(
                    (SELECT min(hold.deadline) FROM ledger.open_holds_v1(p_book_id, state.customer) AS hold),
                    (SELECT min(held_back.due_at) FROM ledger.held_back_v1(p_book_id, state.customer) AS held_back)
                ), 'infinity')
            FROM (
                SELECT
                    unnest(v_places) AS place, unnest(v_points) AS points, unnest(v_lots_until) AS lot_until,
                    unnest(v_holds_until) AS hold_until
            ) AS wallet
            WHERE state.ctid = wallet.place;

            UPDATE ledger.head SET seq = v_seq, posted_at = v_clock WHERE head.book_id = p_book_id AND head.seq < v_seq;

            IF v_owes AND v_n = 1 AND v_legs > 0 THEN
                v_seq := v_seq
                    + ledger.collect_shortfalls_v1(v_head, v_wallets[1], v_redemptions[1], v_firsts[1], v_clock, NULL);
                v_seqs[1] := v_seq;
                v_balances[1] := NULL;
            END IF;
        END IF;

        -- 6. Answer, and keep what was decided.
        FOR v_step IN
            SELECT shown.place, shown.answer
            FROM ledger.redemptions_v1(
                p_book_id, v_redemptions, v_clock, v_head.time_zone, v_head.grace_days::integer, v_balances, v_seqs
            ) AS shown
        LOOP
            v_answers[v_step.place] := v_step.answer;
        END LOOP;

        INSERT INTO ledger.idempotency_key (book_id, operation, key, request_hash, outcome, answer, kept_at)
        SELECT
            p_book_id, p_operations[kept.ix], kept.key, p_requests[kept.ix], kept.outcome, kept.answer, v_clock
        FROM (
            SELECT
                unnest(v_keys) AS key, unnest(v_outcomes) AS outcome, unnest(v_answers) AS answer,
                generate_series(v_from, v_from + v_n - 1) AS ix
        ) AS kept
        WHERE kept.key IS NOT NULL;

        RETURN QUERY SELECT unnest(v_outcomes), unnest(v_replays), unnest(v_answers);
        v_from := v_from + v_n;
    END LOOP;
END
$function$;
