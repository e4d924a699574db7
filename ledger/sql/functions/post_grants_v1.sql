-- Posts a batch of grants: the hot path. One path for every batch, whatever its size; a grant is a batch of one.
--
-- In    items in order of arrival, as parallel arrays; what several items share (books, budgets, caps, wallets) once, by
--       index. p_first is the index of the first item with the same event key: an item's own index unless it is a
--       duplicate inside the batch. Array elements are never NULL unless said: access stays constant-time.
-- Out   one row per item, in the order asked: outcome (see GrantOutcome), points of the event, seq, whether it is a
--       replay, the customer's spendable balance after the whole batch and the head's seq then.
-- Locks the heads of the books, which the caller gives in ascending order.
--
-- Cost of 1,000 items, about: probes 2 ms, caps 3, decisions 1, events 5, transfers 5, balances 6.

CREATE OR REPLACE FUNCTION ledger.post_grants_v1(
    p_now                timestamptz,
    p_book_ids           integer[],      -- books, ascending
    p_brand_ids          integer[],
    p_budget_books       integer[],      -- budgets
    p_budgets            bytea[],
    p_cap_books          integer[],      -- caps: one period of one customer
    p_cap_campaigns      integer[],
    p_cap_periods        date[],
    p_cap_customers      bigint[],
    p_caps               smallint[],
    p_wallet_books       integer[],      -- wallets: index of the book
    p_wallet_customers   bigint[],
    p_kind_budgets       integer[],      -- kinds of report: what most items have in common
    p_kind_campaigns     integer[],
    p_kind_versions      integer[],
    p_kind_rules         smallint[],
    p_kind_grades        text[],
    p_kind_principals    integer[],
    p_kind_actions       text[],
    p_kind_channels      text[],
    p_kind_sources       text[],
    p_use_caps           integer[],      -- which cap an item counts against, and up to how much
    p_use_max_grants     bigint[],
    p_use_max_points     bigint[],
    p_books              integer[],      -- items
    p_campaigns          integer[],
    p_keys               bytea[],
    p_first              integer[],
    p_book_ix            integer[],
    p_wallet_ix          integer[],
    p_use_from           integer[],
    p_use_to             integer[],
    p_customers          bigint[],
    p_points             bigint[],
    p_waits              boolean[],
    p_lots               bytea[],
    p_window_at          timestamptz[],
    p_occurred_at        timestamptz[],
    p_due_at             timestamptz[],  -- elements may be NULL
    p_expires_on         date[],
    p_kind_ix            integer[],
    p_messages           text[],
    p_qualifiers         text[],
    p_metadata           text[],         -- elements may be NULL
    p_salts              bytea[],
    p_details_hashes     bytea[]
) RETURNS TABLE (outcome smallint, points bigint, seq bigint, replayed boolean, balance bigint, balance_seq bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Every look-up below is a probe of an index. Statistics of a young table must not talk the planner out of it.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
#variable_conflict use_column
DECLARE
    c_granted  CONSTANT smallint := 1;
    c_cap      CONSTANT smallint := 2;
    c_budget   CONSTANT smallint := 3;
    c_waiting  CONSTANT smallint := 4;
    c_moved    CONSTANT smallint := 5;

    v_items         CONSTANT integer := cardinality(p_books);
    v_clock         timestamptz;
    v_heads_known   integer;
    v_skewed        boolean;
    v_seqs          bigint[];
    v_first_seqs    bigint[];
    v_clocks        timestamptz[];
    v_todays        date[];
    v_zones         text[];
    v_graces        smallint[];

    -- By wallet.
    v_moved         boolean[];
    v_points        bigint[];
    v_lot_until     date[];
    v_hold_until    timestamptz[];
    v_credited      boolean[] := array_fill(false, ARRAY[cardinality(p_wallet_customers)]);

    -- By event, at the index of its first item.
    v_known         smallint[];
    v_state         smallint[];
    v_event_points  bigint[];
    v_event_seq     bigint[];
    v_decided_by    integer[] := array_fill(0, ARRAY[v_items]);

    -- By item. v_write: 0 nothing, 1 insert the event, 2 update the waiting one.
    v_outcome       smallint[] := array_fill(0::smallint, ARRAY[v_items]);
    v_replayed      boolean[] := array_fill(false, ARRAY[v_items]);
    v_write         smallint[] := array_fill(0::smallint, ARRAY[v_items]);

    v_budget_left   bigint[];
    v_budget_spent  bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_budgets)]);
    v_cap_grants    bigint[];
    v_cap_points    bigint[];
    v_cap_used      boolean[] := array_fill(false, ARRAY[cardinality(p_caps)]);

    v_any_grant     boolean := false;
    v_any_update    boolean := false;
    v_soonest       date := 'infinity';
    v_event         integer;
    v_book          integer;
    v_budget        integer;
    v_wallet        integer;
    v_cap           integer;
    v_decision      smallint;
BEGIN
    -- 1. Lock the heads, then read the clock: commit order is seq order is posted_at order.
    SELECT
        count(*),
        array_agg(locked.seq ORDER BY locked.book_id),
        array_agg(locked.time_zone ORDER BY locked.book_id),
        array_agg(locked.grace_days ORDER BY locked.book_id)
    INTO v_heads_known, v_seqs, v_zones, v_graces
    FROM (
        SELECT head.book_id, head.seq, head.time_zone, head.grace_days
        FROM unnest(p_book_ids, p_brand_ids) AS book (book_id, brand_id)
        JOIN ledger.head ON head.book_id = book.book_id AND head.brand_id = book.brand_id
        ORDER BY head.book_id
        FOR NO KEY UPDATE OF head
    ) AS locked;
    IF v_heads_known <> cardinality(p_book_ids) THEN
        RAISE EXCEPTION 'a book of % is not of its brand in %', p_book_ids, p_brand_ids USING ERRCODE = 'RW001';
    END IF;
    v_clock := clock_timestamp();
    SELECT
        array_agg(greatest(head.posted_at, v_clock + head.clock_offset) ORDER BY head.book_id),
        array_agg((greatest(head.posted_at, v_clock + head.clock_offset) AT TIME ZONE head.time_zone)::date
            ORDER BY head.book_id),
        bool_or(head.posted_at > v_clock + head.clock_offset + interval '60 seconds')
    INTO v_clocks, v_todays, v_skewed
    FROM unnest(p_book_ids) AS book (book_id)
    JOIN ledger.head ON head.book_id = book.book_id;
    IF v_skewed OR abs(extract(epoch FROM p_now - v_clock)) > 60 THEN
        RAISE EXCEPTION 'clocks differ: caller %, database %, books %', p_now, v_clock, v_clocks USING ERRCODE = 'RW002';
    END IF;
    v_first_seqs := v_seqs;

    -- 2. What is decided already.
    SELECT
        array_agg(coalesce(known.outcome, 0::smallint) ORDER BY item.ix),
        array_agg(coalesce(known.points, 0) ORDER BY item.ix),
        array_agg(coalesce(known.seq, 0) ORDER BY item.ix)
    INTO v_known, v_event_points, v_event_seq
    FROM unnest(p_books, p_campaigns, p_keys, p_first) WITH ORDINALITY AS item (book_id, campaign_no, key, first, ix)
    LEFT JOIN LATERAL (
        SELECT event.outcome, event.points, event.seq
        FROM ledger.event
        WHERE event.book_id = item.book_id
            AND event.campaign_no = item.campaign_no
            AND event.key = item.key
            AND item.first = item.ix
        LIMIT 1
    ) AS known ON true;
    v_state := v_known;

    -- 3. Who was merged away, and what the others have.
    SELECT
        array_agg(coalesce(state.frozen, false) ORDER BY wallet.ix),
        array_agg(coalesce(state.points, 0) ORDER BY wallet.ix),
        array_agg(coalesce(state.lot_until, 'infinity') ORDER BY wallet.ix),
        array_agg(coalesce(state.hold_until, 'infinity') ORDER BY wallet.ix)
    INTO v_moved, v_points, v_lot_until, v_hold_until
    FROM unnest(p_wallet_books, p_wallet_customers) WITH ORDINALITY AS wallet (book_ix, customer, ix)
    LEFT JOIN LATERAL (
        SELECT customer_state.frozen, customer_state.points, customer_state.lot_until, customer_state.hold_until
        FROM ledger.customer_state
        WHERE customer_state.book_id = p_book_ids[wallet.book_ix] AND customer_state.customer = wallet.customer
        LIMIT 1
    ) AS state ON true;

    -- 4. What the budgets have left, and how much of the caps is used.
    SELECT array_agg(
        CASE ledger.account_kind_v1(budget.id)
            WHEN 5 THEN coalesce(account.credits - account.debits, 0)
            ELSE 9000000000000000000
        END ORDER BY budget.ix)
    INTO v_budget_left
    FROM unnest(p_budget_books, p_budgets) WITH ORDINALITY AS budget (book_id, id, ix)
    LEFT JOIN ledger.account ON account.book_id = budget.book_id AND account.id = budget.id;

    SELECT
        array_agg(coalesce(used.grants, 0)::bigint ORDER BY cap.ix),
        array_agg(coalesce(used.points, 0) ORDER BY cap.ix)
    INTO v_cap_grants, v_cap_points
    FROM unnest(p_cap_books, p_cap_campaigns, p_cap_periods, p_cap_customers, p_caps)
        WITH ORDINALITY AS cap (book_id, campaign_no, period, customer, cap, ix)
    LEFT JOIN LATERAL (
        SELECT cap_use.grants, cap_use.points
        FROM ledger.cap_use
        WHERE cap_use.book_id = cap.book_id
            AND cap_use.campaign_no = cap.campaign_no
            AND cap_use.period = cap.period
            AND cap_use.customer = cap.customer
            AND cap_use.cap = cap.cap
        LIMIT 1
    ) AS used ON true;

    -- 5. Decide, in order of arrival. No SQL in this loop.
    FOR v_item IN 1 .. v_items LOOP
        v_event := p_first[v_item];
        v_book := p_book_ix[v_item];

        v_wallet := p_wallet_ix[v_item];
        IF v_moved[v_wallet] THEN
            v_outcome[v_item] := c_moved;
            CONTINUE;
        END IF;

        IF v_state[v_event] <> 0 AND (v_state[v_event] <> c_waiting OR p_waits[v_item]) THEN
            v_outcome[v_item] := v_state[v_event];
            v_replayed[v_item] := true;
            CONTINUE;
        END IF;

        IF p_waits[v_item] THEN
            v_decision := c_waiting;
        ELSE
            v_decision := c_granted;
            FOR v_use IN p_use_from[v_item] .. p_use_to[v_item] LOOP
                v_cap := p_use_caps[v_use];
                IF v_cap_grants[v_cap] >= p_use_max_grants[v_use]
                    OR v_cap_points[v_cap] + p_points[v_item] > p_use_max_points[v_use]
                THEN
                    v_decision := c_cap;
                    EXIT;
                END IF;
            END LOOP;
            v_budget := p_kind_budgets[p_kind_ix[v_item]];
            IF v_decision = c_granted AND v_budget_left[v_budget] < p_points[v_item] THEN
                v_decision := c_budget;
            END IF;
        END IF;

        IF v_decision = c_granted THEN
            v_any_grant := true;
            v_seqs[v_book] := v_seqs[v_book] + 1;
            v_credited[v_wallet] := true;
            v_points[v_wallet] := v_points[v_wallet] + p_points[v_item];
            IF p_expires_on[v_item] < v_lot_until[v_wallet] THEN
                v_lot_until[v_wallet] := p_expires_on[v_item];
                v_soonest := least(v_soonest, p_expires_on[v_item]);
            END IF;
            v_budget_left[v_budget] := v_budget_left[v_budget] - p_points[v_item];
            v_budget_spent[v_budget] := v_budget_spent[v_budget] + p_points[v_item];
            FOR v_use IN p_use_from[v_item] .. p_use_to[v_item] LOOP
                v_cap := p_use_caps[v_use];
                v_cap_grants[v_cap] := v_cap_grants[v_cap] + 1;
                v_cap_points[v_cap] := v_cap_points[v_cap] + p_points[v_item];
                v_cap_used[v_cap] := true;
            END LOOP;
        END IF;

        -- A waiting event of this very batch is decided before it was written: only the later item writes it.
        IF v_decided_by[v_event] <> 0 THEN
            v_write[v_decided_by[v_event]] := 0;
        END IF;
        v_decided_by[v_event] := v_item;
        IF v_known[v_event] = 0 THEN
            v_write[v_item] := 1;
        ELSE
            v_write[v_item] := 2;
            v_any_update := true;
        END IF;
        v_outcome[v_item] := v_decision;
        v_state[v_event] := v_decision;
        v_event_points[v_event] := CASE WHEN v_decision = c_granted THEN p_points[v_item] ELSE 0 END;
        v_event_seq[v_event] := v_seqs[v_book];
        -- What the statements below need of the event, at the item that decided it.
        v_event_points[v_item] := v_event_points[v_event];
        v_event_seq[v_item] := v_seqs[v_book];
    END LOOP;

    -- 6. Record the events.
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at, decided_at, due_at, campaign_version, principal,
        outcome, rule, grade, action, channel, message_id, qualifier, source, metadata, salt
    )
    SELECT
        item.book_id, item.campaign_no, item.key, item.customer, item.seq, item.points, item.window_at,
        v_clocks[item.book_ix], item.due_at, p_kind_versions[item.kind], p_kind_principals[item.kind],
        item.outcome, p_kind_rules[item.kind], p_kind_grades[item.kind]::"char", p_kind_actions[item.kind],
        p_kind_channels[item.kind], item.message_id, item.qualifier, p_kind_sources[item.kind], item.metadata, item.salt
    FROM unnest(
        p_books, p_campaigns, p_keys, p_customers, v_event_seq, v_event_points, p_window_at, p_book_ix, p_due_at, p_kind_ix,
        v_outcome, p_messages, p_qualifiers, p_metadata, p_salts, v_write
    ) AS item (
        book_id, campaign_no, key, customer, seq, points, window_at, book_ix, due_at, kind,
        outcome, message_id, qualifier, metadata, salt, write
    )
    WHERE item.write = 1;

    IF v_any_update THEN
        UPDATE ledger.event
        SET seq = item.seq, points = item.points, window_at = item.window_at, decided_at = v_clocks[item.book_ix],
            due_at = item.due_at, campaign_version = p_kind_versions[item.kind], principal = p_kind_principals[item.kind],
            outcome = item.outcome, rule = p_kind_rules[item.kind], grade = p_kind_grades[item.kind]::"char",
            action = p_kind_actions[item.kind], channel = p_kind_channels[item.kind], message_id = item.message_id,
            qualifier = item.qualifier, source = p_kind_sources[item.kind], metadata = item.metadata, salt = item.salt
        FROM unnest(
            p_books, p_campaigns, p_keys, v_event_seq, v_event_points, p_window_at, p_book_ix, p_due_at, p_kind_ix,
            v_outcome, p_messages, p_qualifiers, p_metadata, p_salts, v_write
        ) AS item (
            book_id, campaign_no, key, seq, points, window_at, book_ix, due_at, kind,
            outcome, message_id, qualifier, metadata, salt, write
        )
        WHERE item.write = 2
            AND event.book_id = item.book_id AND event.campaign_no = item.campaign_no AND event.key = item.key;
    END IF;

    IF v_any_grant THEN
        -- 7. The log.
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount, customer, transaction_id, campaign_no, verb, debit, credit,
            event_key, details_hash
        )
        SELECT
            item.book_id, item.seq, v_clocks[item.book_ix], item.occurred_at, item.points, item.customer, item.seq,
            item.campaign_no, 2, p_budgets[p_kind_budgets[item.kind]], item.lot, item.key, item.details_hash
        FROM unnest(
            p_books, v_event_seq, p_book_ix, p_occurred_at, v_event_points, p_customers, p_campaigns, p_kind_ix, p_lots,
            p_keys, p_details_hashes, v_write, v_outcome
        ) AS item (
            book_id, seq, book_ix, occurred_at, points, customer, campaign_no, kind, lot,
            key, details_hash, write, outcome
        )
        WHERE item.write <> 0 AND item.outcome = c_granted;

        -- 8. The balances. A lot is only credited here, so adding is right for a new row and an old one.
        INSERT INTO ledger.account AS account (book_id, id, kind, expires_on, credits)
        SELECT
            item.book_id, item.lot, 1, ledger.account_expires_on_v1(item.lot), sum(item.points)::bigint
        FROM unnest(p_books, p_lots, v_event_points, v_write, v_outcome) AS item (book_id, lot, points, write, outcome)
        WHERE item.write <> 0 AND item.outcome = c_granted
        GROUP BY item.book_id, item.lot
        ON CONFLICT (book_id, id) DO UPDATE SET credits = account.credits + excluded.credits;

        INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
        SELECT p_book_ids[wallet.book_ix], wallet.customer, wallet.points, wallet.lot_until
        FROM unnest(p_wallet_books, p_wallet_customers, v_points, v_lot_until, v_credited)
            AS wallet (book_ix, customer, points, lot_until, credited)
        WHERE wallet.credited
        ON CONFLICT (book_id, customer) DO UPDATE SET points = excluded.points, lot_until = excluded.lot_until;

        -- An unlimited budget is first debited, so it may have no row yet.
        INSERT INTO ledger.account (book_id, id, kind)
        SELECT budget.book_id, budget.id, 6
        FROM unnest(p_budget_books, p_budgets, v_budget_spent) AS budget (book_id, id, spent)
        WHERE budget.spent > 0 AND ledger.account_kind_v1(budget.id) = 6
        ON CONFLICT (book_id, id) DO NOTHING;

        UPDATE ledger.account
        SET debits = account.debits + budget.spent
        FROM unnest(p_budget_books, p_budgets, v_budget_spent) AS budget (book_id, id, spent)
        WHERE budget.spent > 0 AND account.book_id = budget.book_id AND account.id = budget.id;

        INSERT INTO ledger.cap_use AS cap_use (book_id, campaign_no, period, customer, cap, grants, points)
        SELECT cap.book_id, cap.campaign_no, cap.period, cap.customer, cap.cap, cap.grants, cap.points
        FROM unnest(
            p_cap_books, p_cap_campaigns, p_cap_periods, p_cap_customers, p_caps, v_cap_grants, v_cap_points, v_cap_used
        ) AS cap (book_id, campaign_no, period, customer, cap, grants, points, used)
        WHERE cap.used
        ON CONFLICT (book_id, campaign_no, period, customer, cap)
            DO UPDATE SET grants = excluded.grants, points = excluded.points;

        -- 9. Move the heads. The sweeper has to come back for points that were dead on arrival.
        UPDATE ledger.head
        SET seq = book.seq, posted_at = book.posted_at, swept_through = least(head.swept_through, v_soonest - 1)
        FROM unnest(p_book_ids, v_seqs, v_clocks) AS book (book_id, seq, posted_at)
        WHERE head.book_id = book.book_id AND head.seq < book.seq;
    END IF;

    -- 10. Answer, with what each customer can spend now. Only where something is due must her lots be looked at.
    RETURN QUERY
    WITH wallet AS MATERIALIZED (
        SELECT array_agg(
            CASE
                WHEN wallet.lot_until >= v_todays[wallet.book_ix] AND wallet.hold_until > v_clocks[wallet.book_ix]
                    THEN wallet.points
                ELSE (
                    SELECT spendable.points
                    FROM ledger.spendable_v1(
                        p_book_ids[wallet.book_ix], wallet.customer, v_clocks[wallet.book_ix], v_todays[wallet.book_ix],
                        v_zones[wallet.book_ix], v_graces[wallet.book_ix]::integer, true
                    ) AS spendable
                )
            END ORDER BY wallet.ix
        ) AS balances
        FROM unnest(p_wallet_books, p_wallet_customers, v_points, v_lot_until, v_hold_until)
            WITH ORDINALITY AS wallet (book_ix, customer, points, lot_until, hold_until, ix)
    )
    SELECT
        item.outcome,
        CASE WHEN item.outcome = c_granted THEN v_event_points[item.first] ELSE 0 END,
        v_event_seq[item.first],
        item.replayed,
        wallet.balances[item.wallet_ix],
        v_seqs[item.book_ix]
    FROM wallet, unnest(v_outcome, v_replayed, p_first, p_wallet_ix, p_book_ix)
        WITH ORDINALITY AS item (outcome, replayed, first, wallet_ix, book_ix, ix)
    ORDER BY item.ix;
END
$function$;
