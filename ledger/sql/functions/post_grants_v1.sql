-- Posts a batch of grants: the hot path. One path for every batch, whatever its size; a grant is a batch of one.
--
-- In    items in order of arrival, as parallel arrays; what several items share once, by index: books, budgets, wallets, lots,
--       limits, and how much of a limit a wallet has used. Wallets and lots in the order of their keys: neighbours share pages.
--       p_first is the index of the first item with the same event key: an item's own index unless it is a duplicate inside
--       the batch. Array elements are never NULL unless said: access stays constant-time.
-- Out   one row of arrays. By item: outcome (see GrantOutcome), points of the event, seq, whether it is a replay. By wallet:
--       what it can spend after the whole batch. By book: the head's seq then.
-- Locks the heads of the books, which the caller gives in ascending order. That lock is the only writer's of these books, so
--       a row that was looked up is updated where it was found (by ctid), without looking it up again.
--
-- Cost of 1,000 items of a warm table, about: arguments 1 ms, events known 2, wallets 4, uses 2, decisions 2.5, events 3.5,
--       transfers 3.5, lots 6, wallets 2, uses 2; the commit is one flush of the log.

CREATE OR REPLACE FUNCTION ledger.post_grants_v1(
    p_now                timestamptz,
    p_book_ids           integer[],      -- books, ascending
    p_brand_ids          integer[],
    p_budget_books       integer[],      -- budgets: index of the book
    p_budgets            bytea[],
    p_wallet_books       integer[],      -- wallets: index of the book
    p_wallet_customers   bigint[],
    p_lot_wallets        integer[],      -- lots: index of the wallet
    p_lots               bytea[],
    p_lot_expires_on     date[],
    p_limit_campaigns    integer[],      -- limits: a cap in one period, and how much of it an item may use up
    p_limit_periods      date[],
    p_limit_caps         smallint[],
    p_limit_grants       bigint[],
    p_limit_points       bigint[],
    p_use_wallets        integer[],      -- uses: what one wallet has used of one cap in one period
    p_use_limits         integer[],
    p_charge_uses        integer[],      -- charges: which use an item counts towards, and up to which limit
    p_charge_limits      integer[],
    p_kind_books         integer[],      -- kinds of report: what most items have in common
    p_kind_budgets       integer[],
    p_kind_campaigns     integer[],
    p_kind_versions      integer[],
    p_kind_rules         smallint[],
    p_kind_grades        "char"[],
    p_kind_principals    integer[],
    p_kind_actions       text[],
    p_kind_channels      text[],
    p_kind_sources       text[],
    p_keys               bytea[],        -- items
    p_first              integer[],
    p_kind_ix            integer[],
    p_wallet_ix          integer[],
    p_lot_ix             integer[],
    p_charges_before     integer[],      -- how many charges the items before have; one element more than items
    p_points             bigint[],
    p_waits              boolean[],
    p_window_at          bigint[],       -- microseconds since 2000-01-01, as the driver encodes those fastest
    p_occurred_at        bigint[],
    p_due_at             timestamptz[],  -- elements may be NULL
    p_messages           text[],
    p_qualifiers         text[],
    p_metadata           text[],         -- elements may be NULL
    p_salts              bytea[],
    p_details_hashes     bytea[],
    OUT outcomes         smallint[],
    OUT points           bigint[],
    OUT seqs             bigint[],
    OUT replayed         boolean[],
    OUT balances         bigint[],
    OUT balance_seqs     bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Every look-up below is a probe of an index. Statistics of a young table must not talk the planner out of it, so one plan
-- does for every batch.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    c_granted  CONSTANT smallint := 1;
    c_cap      CONSTANT smallint := 2;
    c_budget   CONSTANT smallint := 3;
    c_waiting  CONSTANT smallint := 4;
    c_moved    CONSTANT smallint := 5;
    c_epoch       CONSTANT timestamptz := '2000-01-01 00:00:00+00';
    c_microsecond CONSTANT interval := interval '1 microsecond';

    v_items         CONSTANT integer := cardinality(p_keys);
    v_clock         timestamptz;
    v_heads_known   integer;
    v_skewed        boolean;

    -- By book.
    v_seqs          bigint[];
    v_seqs_before   bigint[];
    v_clocks        timestamptz[];
    v_todays        date[];
    v_zones         text[];
    v_graces        smallint[];

    -- By wallet.
    v_wallet_rows   tid[];
    v_moved         boolean[];
    v_spendable     bigint[];
    v_lot_until     date[];
    v_hold_until    timestamptz[];

    -- By lot, use of a limit, budget.
    v_lot_points    bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_lots)]);
    v_use_rows      tid[];
    v_use_grants    bigint[];
    v_use_points    bigint[];
    v_budget_left   bigint[];
    v_budget_had    bigint[];

    -- By event, at its first item: what was known of it, what is now, and which item decided that.
    v_known         smallint[];
    v_state         smallint[];
    v_decided_at    integer[] := p_first;

    -- By item.
    v_points        bigint[];
    v_seq           bigint[];
    v_outcome       smallint[] := array_fill(0::smallint, ARRAY[v_items]);
    v_replayed      boolean[] := array_fill(false, ARRAY[v_items]);
    v_write         smallint[] := array_fill(0::smallint, ARRAY[v_items]);  -- 1 insert the event, 2 update it

    v_any_update    boolean := false;
    v_soonest       date := 'infinity';
    v_lots_known    bigint;
    v_event         integer;
    v_book          integer;
    v_kind          integer;
    v_budget        integer;
    v_wallet        integer;
    v_lot           integer;
    v_use           integer;
    v_limit         integer;
    v_decision      smallint;
    v_paid          bigint;
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

    v_seqs_before := v_seqs;

    -- 2. What is decided already.
    SELECT
        array_agg(coalesce(known.outcome, 0::smallint) ORDER BY item.ix),
        array_agg(coalesce(known.points, 0) ORDER BY item.ix),
        array_agg(coalesce(known.seq, 0) ORDER BY item.ix)
    INTO v_known, v_points, v_seq
    FROM (
        SELECT unnest(p_keys) AS key, unnest(p_kind_ix) AS kind, unnest(p_first) AS first, generate_series(1, v_items) AS ix
    ) AS item
    LEFT JOIN LATERAL (
        SELECT event.outcome, event.points, event.seq
        FROM ledger.event
        WHERE event.book_id = p_book_ids[p_kind_books[item.kind]]
            AND event.campaign_no = p_kind_campaigns[item.kind]
            AND event.key = item.key
            AND item.first = item.ix
        LIMIT 1
    ) AS known ON true;
    v_state := v_known;

    -- 3. Who was merged away, and what the others have.
    SELECT
        array_agg(found.place ORDER BY wallet.ix),
        array_agg(coalesce(found.frozen, false) ORDER BY wallet.ix),
        array_agg(coalesce(found.points, 0) ORDER BY wallet.ix),
        array_agg(coalesce(found.lot_until, 'infinity') ORDER BY wallet.ix),
        array_agg(coalesce(found.hold_until, 'infinity') ORDER BY wallet.ix)
    INTO v_wallet_rows, v_moved, v_spendable, v_lot_until, v_hold_until
    FROM (
        SELECT
            unnest(p_wallet_books) AS book, unnest(p_wallet_customers) AS customer,
            generate_series(1, cardinality(p_wallet_books)) AS ix
    ) AS wallet
    LEFT JOIN LATERAL (
        SELECT state.ctid AS place, state.frozen, state.points, state.lot_until, state.hold_until
        FROM ledger.customer_state AS state
        WHERE state.book_id = p_book_ids[wallet.book] AND state.customer = wallet.customer
        LIMIT 1
    ) AS found ON true;

    -- 4. What the budgets have left, and how much of the limits is used.
    SELECT array_agg(
        CASE ledger.account_kind_v1(budget.id)
            WHEN 5 THEN coalesce(account.credits - account.debits, 0)
            ELSE 9000000000000000000
        END ORDER BY budget.ix)
    INTO v_budget_left
    FROM unnest(p_budget_books, p_budgets) WITH ORDINALITY AS budget (book, id, ix)
    LEFT JOIN ledger.account ON account.book_id = p_book_ids[budget.book] AND account.id = budget.id;

    SELECT
        array_agg(found.place ORDER BY use.ix),
        array_agg(coalesce(found.grants, 0)::bigint ORDER BY use.ix),
        array_agg(coalesce(found.points, 0) ORDER BY use.ix)
    INTO v_use_rows, v_use_grants, v_use_points
    FROM (
        SELECT
            unnest(p_use_wallets) AS wallet, unnest(p_use_limits) AS cap_limit,
            generate_series(1, cardinality(p_use_wallets)) AS ix
    ) AS use
    LEFT JOIN LATERAL (
        SELECT cap_use.ctid AS place, cap_use.grants, cap_use.points
        FROM ledger.cap_use
        WHERE cap_use.book_id = p_book_ids[p_wallet_books[use.wallet]]
            AND cap_use.campaign_no = p_limit_campaigns[use.cap_limit]
            AND cap_use.period = p_limit_periods[use.cap_limit]
            AND cap_use.customer = p_wallet_customers[use.wallet]
            AND cap_use.cap = p_limit_caps[use.cap_limit]
        LIMIT 1
    ) AS found ON true;

    v_budget_had := v_budget_left;

    -- 5. Decide, in order of arrival. No SQL in this loop.
    FOR v_item IN 1 .. v_items LOOP
        v_event := p_first[v_item];
        v_wallet := p_wallet_ix[v_item];
        IF v_moved[v_wallet] THEN
            v_outcome[v_item] := c_moved;
            v_points[v_item] := 0;
            CONTINUE;
        END IF;

        IF v_state[v_event] <> 0 AND (v_state[v_event] <> c_waiting OR p_waits[v_item]) THEN
            v_outcome[v_item] := v_state[v_event];
            v_points[v_item] := v_points[v_decided_at[v_event]];
            v_seq[v_item] := v_seq[v_decided_at[v_event]];
            v_replayed[v_item] := true;
            CONTINUE;
        END IF;

        v_book := p_wallet_books[v_wallet];
        v_paid := p_points[v_item];
        v_decision := c_granted;
        IF p_waits[v_item] THEN
            v_decision := c_waiting;
        ELSE
            v_budget := p_kind_budgets[p_kind_ix[v_item]];
            FOR v_charge IN p_charges_before[v_item] + 1 .. p_charges_before[v_item + 1] LOOP
                v_use := p_charge_uses[v_charge];
                v_limit := p_charge_limits[v_charge];
                IF v_use_grants[v_use] >= p_limit_grants[v_limit] OR v_use_points[v_use] + v_paid > p_limit_points[v_limit] THEN
                    v_decision := c_cap;
                    EXIT;
                END IF;
            END LOOP;
            IF v_decision = c_granted AND v_budget_left[v_budget] < v_paid THEN
                v_decision := c_budget;
            END IF;
        END IF;

        IF v_decision = c_granted THEN
            v_lot := p_lot_ix[v_item];
            v_seqs[v_book] := v_seqs[v_book] + 1;
            v_spendable[v_wallet] := v_spendable[v_wallet] + v_paid;
            v_lot_points[v_lot] := v_lot_points[v_lot] + v_paid;
            IF p_lot_expires_on[v_lot] < v_lot_until[v_wallet] THEN
                v_lot_until[v_wallet] := p_lot_expires_on[v_lot];
                v_soonest := least(v_soonest, p_lot_expires_on[v_lot]);
            END IF;
            v_budget_left[v_budget] := v_budget_left[v_budget] - v_paid;
            FOR v_charge IN p_charges_before[v_item] + 1 .. p_charges_before[v_item + 1] LOOP
                v_use := p_charge_uses[v_charge];
                v_use_grants[v_use] := v_use_grants[v_use] + 1;
                v_use_points[v_use] := v_use_points[v_use] + v_paid;
            END LOOP;
        ELSE
            v_paid := 0;
        END IF;

        v_write[v_item] := 1;
        IF v_known[v_event] <> 0 THEN
            v_write[v_item] := 2;
            v_any_update := true;
        ELSIF v_state[v_event] = c_waiting THEN
            -- A waiting event of this very batch is decided before it was written: only the later item writes it.
            v_write[v_decided_at[v_event]] := 0;
        END IF;
        v_outcome[v_item] := v_decision;
        v_points[v_item] := v_paid;
        v_seq[v_item] := v_seqs[v_book];
        v_state[v_event] := v_decision;
        IF v_event <> v_item THEN
            v_decided_at[v_event] := v_item;
        END IF;
    END LOOP;

    -- 6. Record the events.
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at,
        decided_at, due_at, campaign_version, principal,
        outcome, rule, grade, action, channel,
        message_id, qualifier, source, metadata, salt
    )
    SELECT
        p_book_ids[p_kind_books[item.kind]], p_kind_campaigns[item.kind], item.key, p_wallet_customers[item.wallet], item.seq,
        item.points, c_epoch + item.window_at * c_microsecond, v_clocks[p_kind_books[item.kind]], item.due_at, p_kind_versions[item.kind],
        p_kind_principals[item.kind], item.outcome, p_kind_rules[item.kind], p_kind_grades[item.kind],
        p_kind_actions[item.kind], p_kind_channels[item.kind], item.message_id, item.qualifier, p_kind_sources[item.kind],
        item.metadata, item.salt
    FROM (
        SELECT
            unnest(p_keys) AS key, unnest(p_kind_ix) AS kind, unnest(p_wallet_ix) AS wallet, unnest(v_seq) AS seq,
            unnest(v_points) AS points, unnest(p_window_at) AS window_at, unnest(p_due_at) AS due_at,
            unnest(v_outcome) AS outcome, unnest(p_messages) AS message_id, unnest(p_qualifiers) AS qualifier,
            unnest(p_metadata) AS metadata, unnest(p_salts) AS salt, unnest(v_write) AS write
    ) AS item
    WHERE item.write = 1;

    IF v_any_update THEN
        UPDATE ledger.event
        SET seq = item.seq, points = item.points, window_at = c_epoch + item.window_at * c_microsecond,
            decided_at = v_clocks[p_kind_books[item.kind]], due_at = item.due_at, campaign_version = p_kind_versions[item.kind],
            principal = p_kind_principals[item.kind], outcome = item.outcome, rule = p_kind_rules[item.kind],
            grade = p_kind_grades[item.kind], action = p_kind_actions[item.kind],
            channel = p_kind_channels[item.kind], message_id = item.message_id, qualifier = item.qualifier,
            source = p_kind_sources[item.kind], metadata = item.metadata, salt = item.salt
        FROM (
            SELECT
                unnest(p_keys) AS key, unnest(p_kind_ix) AS kind, unnest(v_seq) AS seq, unnest(v_points) AS points,
                unnest(p_window_at) AS window_at, unnest(p_due_at) AS due_at, unnest(v_outcome) AS outcome,
                unnest(p_messages) AS message_id, unnest(p_qualifiers) AS qualifier, unnest(p_metadata) AS metadata,
                unnest(p_salts) AS salt, unnest(v_write) AS write
        ) AS item
        WHERE item.write = 2
            AND event.book_id = p_book_ids[p_kind_books[item.kind]]
            AND event.campaign_no = p_kind_campaigns[item.kind]
            AND event.key = item.key;
    END IF;

    IF v_seqs <> v_seqs_before THEN
        -- 7. The log.
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount,
            customer, transaction_id, campaign_no, verb, debit,
            credit, event_key, details_hash
        )
        SELECT
            p_book_ids[p_kind_books[item.kind]], item.seq, v_clocks[p_kind_books[item.kind]],
            c_epoch + item.occurred_at * c_microsecond, item.points,
            p_wallet_customers[item.wallet], item.seq, p_kind_campaigns[item.kind], 2, p_budgets[p_kind_budgets[item.kind]],
            p_lots[item.lot], item.key, item.details_hash
        FROM (
            SELECT
                unnest(p_keys) AS key, unnest(p_kind_ix) AS kind, unnest(p_wallet_ix) AS wallet, unnest(p_lot_ix) AS lot,
                unnest(v_seq) AS seq, unnest(v_points) AS points, unnest(p_occurred_at) AS occurred_at,
                unnest(p_details_hashes) AS details_hash, unnest(v_write) AS write, unnest(v_outcome) AS outcome
        ) AS item
        WHERE item.write <> 0 AND item.outcome = c_granted;

        -- 8. The balances.
        UPDATE ledger.account
        SET credits = account.credits + lot.points
        FROM (SELECT unnest(p_lot_wallets) AS wallet, unnest(p_lots) AS id, unnest(v_lot_points) AS points) AS lot
        WHERE lot.points > 0 AND account.book_id = p_book_ids[p_wallet_books[lot.wallet]] AND account.id = lot.id;
        GET DIAGNOSTICS v_lots_known = ROW_COUNT;
        IF v_lots_known < cardinality(array_remove(v_lot_points, 0)) THEN
            -- New lots. What was added to the others conflicts, and is not added again.
            INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
            SELECT p_book_ids[p_wallet_books[lot.wallet]], lot.id, 1, lot.expires_on, lot.points
            FROM (
                SELECT
                    unnest(p_lot_wallets) AS wallet, unnest(p_lots) AS id, unnest(p_lot_expires_on) AS expires_on,
                    unnest(v_lot_points) AS points
            ) AS lot
            WHERE lot.points > 0
            ON CONFLICT (book_id, id) DO NOTHING;
        END IF;

        UPDATE ledger.customer_state AS state
        SET points = wallet.points, lot_until = wallet.lot_until
        FROM (
            SELECT unnest(v_wallet_rows) AS place, unnest(v_spendable) AS points, unnest(v_lot_until) AS lot_until
        ) AS wallet
        WHERE state.ctid = wallet.place AND state.points <> wallet.points;

        IF array_position(v_wallet_rows, NULL) IS NOT NULL THEN
            INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
            SELECT p_book_ids[wallet.book], wallet.customer, wallet.points, wallet.lot_until
            FROM (
                SELECT
                    unnest(p_wallet_books) AS book, unnest(p_wallet_customers) AS customer, unnest(v_spendable) AS points,
                    unnest(v_lot_until) AS lot_until, unnest(v_wallet_rows) AS place
            ) AS wallet
            WHERE wallet.place IS NULL AND wallet.points > 0;
        END IF;

        UPDATE ledger.cap_use
        SET grants = use.grants, points = use.points
        FROM (SELECT unnest(v_use_rows) AS place, unnest(v_use_grants) AS grants, unnest(v_use_points) AS points) AS use
        WHERE cap_use.ctid = use.place AND cap_use.grants <> use.grants;

        IF array_position(v_use_rows, NULL) IS NOT NULL THEN
            INSERT INTO ledger.cap_use (book_id, campaign_no, period, customer, cap, grants, points)
            SELECT
                p_book_ids[p_wallet_books[use.wallet]], p_limit_campaigns[use.cap_limit], p_limit_periods[use.cap_limit],
                p_wallet_customers[use.wallet], p_limit_caps[use.cap_limit], use.grants, use.points
            FROM (
                SELECT
                    unnest(p_use_wallets) AS wallet, unnest(p_use_limits) AS cap_limit, unnest(v_use_grants) AS grants,
                    unnest(v_use_points) AS points, unnest(v_use_rows) AS place
            ) AS use
            WHERE use.place IS NULL AND use.grants > 0;
        END IF;

        -- An unlimited budget is first debited, so it may have no row yet.
        INSERT INTO ledger.account (book_id, id, kind)
        SELECT p_book_ids[budget.book], budget.id, 6
        FROM unnest(p_budget_books, p_budgets, v_budget_left, v_budget_had) AS budget (book, id, budget_left, had)
        WHERE budget.budget_left < budget.had AND ledger.account_kind_v1(budget.id) = 6
        ON CONFLICT (book_id, id) DO NOTHING;

        UPDATE ledger.account
        SET debits = account.debits + budget.had - budget.budget_left
        FROM unnest(p_budget_books, p_budgets, v_budget_left, v_budget_had) AS budget (book, id, budget_left, had)
        WHERE budget.budget_left < budget.had AND account.book_id = p_book_ids[budget.book] AND account.id = budget.id;

        -- 9. Move the heads. The sweeper has to come back for points that were dead on arrival.
        UPDATE ledger.head
        SET seq = book.seq, posted_at = book.posted_at, swept_through = least(head.swept_through, v_soonest - 1)
        FROM unnest(p_book_ids, v_seqs, v_clocks) AS book (book_id, seq, posted_at)
        WHERE head.book_id = book.book_id AND head.seq < book.seq;
    END IF;

    -- 10. Answer, with what each customer can spend now. Only where something is due must her lots be looked at.
    SELECT array_agg(
        CASE
            WHEN wallet.lot_until >= v_todays[wallet.book] AND wallet.hold_until > v_clocks[wallet.book] THEN wallet.points
            ELSE (
                SELECT spendable.points
                FROM ledger.spendable_v1(
                    p_book_ids[wallet.book], wallet.customer, v_clocks[wallet.book], v_todays[wallet.book],
                    v_zones[wallet.book], v_graces[wallet.book]::integer, true
                ) AS spendable
            )
        END ORDER BY wallet.ix)
    INTO balances
    FROM (
        SELECT
            unnest(p_wallet_books) AS book, unnest(p_wallet_customers) AS customer, unnest(v_spendable) AS points,
            unnest(v_lot_until) AS lot_until, unnest(v_hold_until) AS hold_until,
            generate_series(1, cardinality(p_wallet_books)) AS ix
    ) AS wallet;
    outcomes := v_outcome;
    points := v_points;
    seqs := v_seq;
    replayed := v_replayed;
    balance_seqs := v_seqs;
END
$function$;
