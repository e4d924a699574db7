-- Posts a batch of grants: the hot path. One path for every batch, whatever its size; a grant is a batch of one.
--
-- In    items in order of arrival, as parallel arrays; what several items share once, by index: books, budgets, wallets, lots,
--       limits, and how much of a limit a wallet has used. Wallets and lots are in the order of their keys: neighbours share pages.
--       p_first is the index of the first item with the same event key: an item's own index unless it is a duplicate inside
--       the batch. Array elements are never NULL unless said: access stays constant-time. What few items have comes as lists
--       of (item, ...): keys under ids that were merged away, proofs, events that may wait, caps of the last day.
--       ledger/engine/grant_batch.py declares the same arguments for the caller; a test compares.
-- Out   one row of arrays. By item: outcome (see GrantOutcome), points of the event, seq, whether it is a replay, and, if the
--       event is recorded under another key than asked for, that key (the whole array is NULL if there is none). By wallet:
--       what the customer can spend after the whole batch. By book: the head's seq then.
-- Locks the heads of the books, which the caller gives in ascending order. Only the holder of that lock writes to these books, so
--       a row that was read can be updated by its ctid, without a second look-up (decision 40 has the figures).
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
    p_wallet_customers   bigint[],       -- 0: all customers of a campaign, for the caps they share; below 0: a group of them
    p_wallet_generations bigint[],       -- the state of the customer's merges and splits that the caller knows
    p_lot_wallets        integer[],      -- lots: index of the wallet
    p_lots               bytea[],        -- or the customer's account of points held back
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
    p_kind_held          boolean[],      -- points are held back until somebody approves
    p_kind_again         boolean[],      -- a refusal is decided again
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
    p_terms              text[],         -- elements are NULL unless the item waits or is held back: see pay_waiting_v1
    p_former_items       integer[],      -- keys of the same event under ids that were merged into the customer
    p_former_keys        bytea[],
    p_former_others      bigint[],       -- not 0: a customer who was once merged with this one; only decisions of that time count
    p_recent_wallets     integer[],      -- caps of the last day, each with how it is told from others
    p_recent_campaigns   integer[],
    p_recent_caps        smallint[],
    p_tally_items        integer[],      -- tallies: which of them an item counts towards, and up to which limit; by item
    p_tally_recents      integer[],
    p_tally_grants       bigint[],
    p_tally_points       bigint[],
    p_proof_items        integer[],      -- where a proof is left by a strong item, or looked for by one that waits
    p_proof_keys         bytea[],
    p_proof_needs        "char"[],       -- the weakest grade of proof that will do
    p_wait_items         integer[],      -- events that a strong item pays if they wait, unless one of their group is decided
    p_wait_groups        integer[],
    p_wait_keys          bytea[],
    p_wait_others        bigint[],       -- as p_former_others
    OUT outcomes         smallint[],
    OUT points           bigint[],
    OUT seqs             bigint[],
    OUT replayed         boolean[],
    OUT keys             bytea[],
    OUT balances         bigint[],
    OUT balance_seqs     bigint[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Every look-up below is a probe of an index. Statistics of a young table must not talk the planner out of it, so one plan
-- does for every batch: while a table is empty, to read its index once and keep that costs no more than to look rows up.
-- The joins that are left are nested loops, which keep the order of what they look up: what is read of items, wallets, budgets
-- and uses comes in their order without a sort.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    -- Outcomes.
    c_undecided        CONSTANT smallint := 0;
    c_granted          CONSTANT smallint := 1;
    c_cap_reached      CONSTANT smallint := 2;
    c_budget_exhausted CONSTANT smallint := 3;
    c_waiting          CONSTANT smallint := 4;
    c_stale_customer   CONSTANT smallint := 5;
    c_held_back        CONSTANT smallint := 6;
    c_proof_only       CONSTANT smallint := 8;
    c_not_funded       CONSTANT smallint := 9;
    c_group_cap_reached CONSTANT smallint := 10;

    c_kind_budget           CONSTANT smallint := 5;
    c_kind_unlimited_budget CONSTANT smallint := 6;
    c_verb_grant            CONSTANT smallint := 2;
    c_verb_hold_back        CONSTANT smallint := 3;

    -- What becomes of an item's event.
    c_leave            CONSTANT smallint := 0;
    c_insert           CONSTANT smallint := 1;
    c_update           CONSTANT smallint := 2;

    c_day              CONSTANT bigint := 86400000000;  -- microseconds
    -- A report that counts longer ago than this can no longer be compared with the grants around it.
    c_comparable       CONSTANT interval := interval '73 hours';
    c_skew_max         CONSTANT interval := interval '60 seconds';
    c_unlimited        CONSTANT bigint := 9000000000000000000;
    c_epoch            CONSTANT timestamptz := timestamptz '2000-01-01 00:00:00+00';
    c_microsecond      CONSTANT interval := interval '1 microsecond';

    v_items         CONSTANT integer := cardinality(p_keys);
    v_clock         timestamptz;
    v_heads_known   integer;
    v_skewed        boolean;
    v_latest_clock  timestamptz;
    v_latest_day    date;           -- it is nowhere later than the day after UTC's

    -- By book.
    v_places        bigint[];
    v_clocks        timestamptz[];
    v_offsets       interval[];
    v_todays        date[];
    v_zones         text[];
    v_graces        smallint[];

    -- By wallet.
    v_wallet_rows   tid[];
    v_moved         boolean[];
    v_lot_until     date[];
    v_hold_until    timestamptz[];

    -- By lot, use of a limit, budget.
    v_lot_points    bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_lots)]);
    v_use_rows      tid[];
    v_use_grants    bigint[];
    v_use_points    bigint[];
    v_budget_left   bigint[];
    v_budget_had    bigint[];
    v_budget_given  boolean[];  -- whether it was ever given points, or is unlimited

    -- By cap of the last day: its latest grant; by grant: when, how many points, and the one before it of the same cap.
    v_recent_latest integer[];
    v_recent_added  boolean[];
    v_grant_recents integer[];
    v_grant_at      bigint[];
    v_grant_points  bigint[];
    v_grant_before  integer[];
    v_tallies       CONSTANT integer := cardinality(p_tally_items);
    v_next_tally    integer;
    v_tally         integer;
    v_recent        integer;
    v_grant         integer;
    v_counted       bigint;
    v_counted_sum   bigint;

    -- By event, at its first item: what was known of it, what is now, and which item decided that.
    v_known         smallint[];
    v_state         smallint[];
    v_decided_at    integer[] := p_first;

    -- Events that are known under former keys, by item, then as they were decided. All are NULL where there are none.
    v_former_items  integer[];
    v_former_others bigint[];
    v_former_keys   bytea[];
    v_former_outcomes smallint[];
    v_former_points bigint[];
    v_former_seqs   bigint[];
    v_former_next   integer;
    v_ranks         smallint[];  -- by outcome, from undecided on
    v_decided_again bytea[];     -- keys of this batch

    -- By item, beside what is answered of it. v_write and v_place have elements only where something is written or has a place.
    v_points        bigint[];
    v_write         smallint[];
    v_place         bigint[];

    v_any_update    boolean;
    v_any_held      boolean;
    v_any_paid      boolean;
    v_proved        bytea[];  -- keys of what waited and was decided for it
    v_found         record;
    v_head          ledger.head;
    v_accounts_known bigint;
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
        array_agg(locked.seq),
        array_agg(locked.places),
        array_agg(locked.time_zone),
        array_agg(locked.grace_days::smallint),
        array_agg(locked.posted_at),
        array_agg(locked.clock_offset::interval)
    INTO v_heads_known, balance_seqs, v_places, v_zones, v_graces, v_clocks, v_offsets
    FROM (
        SELECT head.book_id, head.seq, head.places, head.time_zone, head.grace_days, head.posted_at, head.clock_offset
        FROM (SELECT unnest(p_book_ids) AS book_id, unnest(p_brand_ids) AS brand_id) AS book
        JOIN ledger.head ON head.book_id = book.book_id AND head.brand_id = book.brand_id
        ORDER BY head.book_id
        FOR NO KEY UPDATE OF head
    ) AS locked;
    IF v_heads_known <> cardinality(p_book_ids) THEN
        RAISE EXCEPTION 'a book of % is not of its brand in %', p_book_ids, p_brand_ids USING ERRCODE = 'RW001';
    END IF;
    v_clock := clock_timestamp();
    -- A head's time is that of its last posting.
    FOR v_ix IN 1 .. v_heads_known LOOP
        IF v_clocks[v_ix] > v_clock + v_offsets[v_ix] + c_skew_max THEN
            v_skewed := true;
        END IF;
        v_clocks[v_ix] := greatest(v_clocks[v_ix], v_clock + v_offsets[v_ix]);
        v_latest_clock := greatest(v_latest_clock, v_clocks[v_ix]);
    END LOOP;
    IF v_skewed OR p_now NOT BETWEEN v_clock - c_skew_max AND v_clock + c_skew_max THEN
        RAISE EXCEPTION 'clocks differ: caller %, database %, books %', p_now, v_clock, v_clocks USING ERRCODE = 'RW002';
    END IF;

    -- Points are never paid to a lot that is dead.
    v_latest_day := (v_latest_clock AT TIME ZONE 'UTC')::date + 1;
    IF NOT v_latest_day <= ALL (p_lot_expires_on) THEN
        SELECT lots.* INTO p_lot_wallets, p_lots, p_lot_expires_on, p_lot_ix
        FROM ledger.living_lots_v1(
            v_clocks, v_zones, p_wallet_books, p_window_at, p_lot_wallets, p_lots, p_lot_expires_on, p_lot_ix
        ) AS lots;
        v_lot_points := array_fill(0::bigint, ARRAY[cardinality(p_lots)]);
    END IF;

    -- 2. What is decided already.
    SELECT
        array_agg(coalesce(event.outcome, c_undecided)),
        array_agg(coalesce(event.points, 0)::bigint),
        array_agg(coalesce(event.seq, 0))
    INTO v_known, v_points, seqs
    FROM (
        SELECT generate_series(1, v_items) AS ix, unnest(p_kind_ix) AS kind, unnest(p_keys) AS key
    ) AS item
    LEFT JOIN ledger.event
        ON event.book_id = p_book_ids[p_kind_books[item.kind]]
        AND event.campaign_no = p_kind_campaigns[item.kind]
        AND event.key = item.key
        AND p_first[item.ix] = item.ix;
    v_state := v_known;
    outcomes := array_fill(c_undecided, ARRAY[v_items]);
    replayed := array_fill(false, ARRAY[v_items]);

    IF cardinality(p_former_items) > 0 THEN
        v_ranks := '[0:11]={0,3,2,2,1,0,3,2,0,0,2,2}';
        v_decided_again := '{}';
        v_former_next := 1;
        FOR v_found IN
            SELECT former.item, former.other, known.key, known.outcome, known.points, known.seq, known.place
            FROM (
                SELECT unnest(p_former_items) AS item, unnest(p_former_keys) AS key, unnest(p_former_others) AS other
            ) AS former
            CROSS JOIN LATERAL (
                SELECT event.key, event.outcome, event.points, event.seq, event.place
                FROM ledger.event
                WHERE event.book_id = p_book_ids[p_kind_books[p_kind_ix[former.item]]]
                    AND event.campaign_no = p_kind_campaigns[p_kind_ix[former.item]]
                    AND event.key = former.key
                LIMIT 1
            ) AS known
            WHERE p_first[former.item] = former.item AND (former.other = 0 OR known.outcome <> c_waiting)
            ORDER BY former.item, known.seq, known.place NULLS FIRST
        LOOP
            CONTINUE WHEN v_found.other <> 0 AND NOT ledger.were_one_v1(
                p_book_ids[p_kind_books[p_kind_ix[v_found.item]]], p_wallet_customers[p_wallet_ix[v_found.item]], v_found.other,
                v_found.seq, v_found.place);
            v_former_items := v_former_items || v_found.item;
            v_former_others := v_former_others || v_found.other;
            v_former_keys := v_former_keys || v_found.key;
            v_former_outcomes := v_former_outcomes || v_found.outcome;
            v_former_points := v_former_points || v_found.points;
            v_former_seqs := v_former_seqs || v_found.seq;
        END LOOP;
    END IF;

    -- 3. Which customers were merged or split since the caller looked them up, and what the others have.
    SELECT
        array_agg(state.ctid),
        array_agg(coalesce(state.frozen, false) OR coalesce(state.generation, 0) <> wallet.generation),
        array_agg(coalesce(state.points, 0)),
        array_agg(coalesce(state.lot_until, 'infinity')),
        array_agg(coalesce(state.hold_until, 'infinity'))
    INTO v_wallet_rows, v_moved, balances, v_lot_until, v_hold_until
    FROM (
        SELECT
            unnest(p_wallet_books) AS book, unnest(p_wallet_customers) AS customer, unnest(p_wallet_generations) AS generation
    ) AS wallet
    LEFT JOIN ledger.customer_state AS state ON state.book_id = p_book_ids[wallet.book] AND state.customer = wallet.customer;

    -- 4. What the budgets have left, and how much of the limits is used.
    SELECT
        array_agg(
            CASE ledger.account_kind_v1(budget.id)
                WHEN c_kind_budget THEN coalesce(account.credits - account.debits, 0)
                ELSE c_unlimited
            END),
        array_agg(ledger.account_kind_v1(budget.id) <> c_kind_budget OR coalesce(account.credits > 0, false))
    INTO v_budget_left, v_budget_given
    FROM (SELECT unnest(p_budget_books) AS book, unnest(p_budgets) AS id) AS budget
    LEFT JOIN ledger.account ON account.book_id = p_book_ids[budget.book] AND account.id = budget.id;

    SELECT
        array_agg(found.place),
        array_agg(coalesce(found.grants, 0)::bigint),
        array_agg(coalesce(found.points, 0))
    INTO v_use_rows, v_use_grants, v_use_points
    FROM (SELECT unnest(p_use_wallets) AS wallet, unnest(p_use_limits) AS cap_limit) AS use
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

    IF v_tallies > 0 THEN
        v_next_tally := 1;
        v_grant_recents := '{}';
        v_grant_at := '{}';
        v_grant_points := '{}';
        v_grant_before := '{}';
        v_recent_latest := array_fill(0, ARRAY[cardinality(p_recent_caps)]);
        v_recent_added := array_fill(false, ARRAY[cardinality(p_recent_caps)]);
        FOR v_found IN
            SELECT recent.ix, recent.at, recent.points
            FROM ledger.recent_grants_v1(
                p_book_ids, p_wallet_books, p_wallet_customers, p_recent_wallets, p_recent_campaigns, p_recent_caps
            ) AS recent
        LOOP
            v_grant_recents := v_grant_recents || v_found.ix;
            v_grant_at := v_grant_at || v_found.at;
            v_grant_points := v_grant_points || v_found.points;
            v_grant_before := v_grant_before || v_recent_latest[v_found.ix];
            v_recent_latest[v_found.ix] := cardinality(v_grant_at);
        END LOOP;
    END IF;

    -- 5. Decide, in order of arrival. No SQL in this loop.
    FOR v_item IN 1 .. v_items LOOP
        v_event := p_first[v_item];
        v_wallet := p_wallet_ix[v_item];
        -- Under several ids an event counts where it was paid before where it was refused before where it waits; among these under
        -- the customer's own, then where it was decided first. What another customer's event was decided as while the two were one
        -- no longer counts once it is decided again, which an item before this one may have done.
        WHILE v_former_items[v_former_next] <= v_item LOOP
            IF v_ranks[v_former_outcomes[v_former_next]] > v_ranks[v_state[v_event]]
                AND NOT (v_former_others[v_former_next] <> 0 AND v_former_keys[v_former_next] = ANY (v_decided_again))
            THEN
                keys := coalesce(keys, array_fill(NULL::bytea, ARRAY[v_items]));
                keys[v_event] := v_former_keys[v_former_next];
                v_state[v_event] := v_former_outcomes[v_former_next];
                v_points[v_event] := v_former_points[v_former_next];
                seqs[v_event] := v_former_seqs[v_former_next];
            END IF;
            v_former_next := v_former_next + 1;
        END LOOP;
        IF v_moved[v_wallet] OR p_points[v_item] = 0 THEN
            v_points[v_item] := 0;
            IF v_moved[v_wallet] THEN
                outcomes[v_item] := c_stale_customer;
            ELSE
                outcomes[v_item] := c_proof_only;
                seqs[v_item] := balance_seqs[p_wallet_books[v_wallet]];
            END IF;
            CONTINUE;
        END IF;

        v_kind := p_kind_ix[v_item];
        IF v_state[v_event] <> c_undecided
            AND (v_state[v_event] <> c_waiting OR p_waits[v_item])
            AND NOT (
                p_kind_again[v_kind] AND NOT p_waits[v_item] AND v_event = v_item
                AND v_state[v_event] IN (c_cap_reached, c_budget_exhausted, c_group_cap_reached)
            )
        THEN
            outcomes[v_item] := v_state[v_event];
            v_points[v_item] := v_points[v_decided_at[v_event]];
            seqs[v_item] := seqs[v_decided_at[v_event]];
            replayed[v_item] := true;
            CONTINUE;
        END IF;

        v_book := p_wallet_books[v_wallet];
        v_paid := p_points[v_item];
        v_decision := CASE WHEN p_kind_held[v_kind] THEN c_held_back ELSE c_granted END;
        IF p_waits[v_item] THEN
            v_decision := c_waiting;
        ELSE
            v_budget := p_kind_budgets[v_kind];
            FOR v_charge IN p_charges_before[v_item] + 1 .. p_charges_before[v_item + 1] LOOP
                v_use := p_charge_uses[v_charge];
                v_limit := p_charge_limits[v_charge];
                IF v_use_grants[v_use] >= p_limit_grants[v_limit] OR v_use_points[v_use] + v_paid > p_limit_points[v_limit] THEN
                    -- A group's cap is said to be it only if no other is.
                    IF p_wallet_customers[p_use_wallets[v_use]] >= 0 THEN
                        v_decision := c_cap_reached;
                        EXIT;
                    END IF;
                    v_decision := c_group_cap_reached;
                END IF;
            END LOOP;
            IF v_tallies > 0 THEN
                WHILE v_next_tally <= v_tallies AND p_tally_items[v_next_tally] < v_item LOOP
                    v_next_tally := v_next_tally + 1;
                END LOOP;
                v_tally := v_next_tally;
                WHILE v_tally <= v_tallies AND p_tally_items[v_tally] = v_item LOOP
                    -- What else was granted around a time so long ago is no longer known.
                    IF c_epoch + p_window_at[v_item] * c_microsecond < v_clocks[v_book] - c_comparable THEN
                        v_decision := c_cap_reached;
                        EXIT;
                    END IF;
                    v_counted := 0;
                    v_counted_sum := v_paid;
                    v_grant := v_recent_latest[p_tally_recents[v_tally]];
                    WHILE v_grant > 0 LOOP
                        IF abs(v_grant_at[v_grant] - p_window_at[v_item]) < c_day THEN
                            v_counted := v_counted + 1;
                            v_counted_sum := v_counted_sum + v_grant_points[v_grant];
                        END IF;
                        v_grant := v_grant_before[v_grant];
                    END LOOP;
                    IF v_counted >= p_tally_grants[v_tally] OR v_counted_sum > p_tally_points[v_tally] THEN
                        v_decision := c_cap_reached;
                        EXIT;
                    END IF;
                    v_tally := v_tally + 1;
                END LOOP;
            END IF;
            IF v_budget_left[v_budget] < v_paid AND v_decision NOT IN (c_cap_reached, c_group_cap_reached) THEN
                v_decision := c_budget_exhausted;
                -- Nothing could ever have been paid. That is no decision on the act: it is paid once the campaign has points. What such
                -- a campaign refused before stays refused.
                IF NOT v_budget_given[v_budget] AND v_state[v_event] NOT IN (c_cap_reached, c_budget_exhausted, c_group_cap_reached)
                THEN
                    outcomes[v_item] := c_not_funded;
                    v_points[v_item] := 0;
                    seqs[v_item] := balance_seqs[v_book];
                    CONTINUE;
                END IF;
            END IF;
        END IF;

        IF v_decision = v_state[v_event] AND v_decision <> c_waiting THEN
            -- Decided again, and refused as before.
            outcomes[v_item] := v_decision;
            v_points[v_item] := 0;
            replayed[v_item] := true;
            CONTINUE;
        END IF;

        IF v_decision IN (c_granted, c_held_back) THEN
            v_any_paid := true;
            v_lot := p_lot_ix[v_item];
            balance_seqs[v_book] := balance_seqs[v_book] + 1;
            v_lot_points[v_lot] := v_lot_points[v_lot] + v_paid;
            IF v_decision = c_held_back THEN
                v_any_held := true;
            ELSE
                balances[v_wallet] := balances[v_wallet] + v_paid;
                IF p_lot_expires_on[v_lot] < v_lot_until[v_wallet] THEN
                    v_lot_until[v_wallet] := p_lot_expires_on[v_lot];
                END IF;
            END IF;
            v_budget_left[v_budget] := v_budget_left[v_budget] - v_paid;
            FOR v_charge IN p_charges_before[v_item] + 1 .. p_charges_before[v_item + 1] LOOP
                v_use := p_charge_uses[v_charge];
                v_use_grants[v_use] := v_use_grants[v_use] + 1;
                v_use_points[v_use] := v_use_points[v_use] + v_paid;
            END LOOP;
            IF v_tallies > 0 THEN
                v_tally := v_next_tally;
                WHILE v_tally <= v_tallies AND p_tally_items[v_tally] = v_item LOOP
                    v_recent := p_tally_recents[v_tally];
                    v_grant_recents := v_grant_recents || v_recent;
                    v_grant_at := v_grant_at || p_window_at[v_item];
                    v_grant_points := v_grant_points || v_paid;
                    v_grant_before := v_grant_before || v_recent_latest[v_recent];
                    v_recent_latest[v_recent] := cardinality(v_grant_at);
                    v_recent_added[v_recent] := true;
                    v_tally := v_tally + 1;
                END LOOP;
            END IF;
        ELSE
            v_paid := 0;
            v_places[v_book] := v_places[v_book] + 1;
            v_place[v_item] := v_places[v_book];
        END IF;

        v_write[v_item] := c_insert;
        IF v_known[v_event] <> c_undecided THEN
            v_write[v_item] := c_update;
            v_any_update := true;
            v_decided_again := v_decided_again || p_keys[v_item];
        ELSIF v_state[v_event] = c_waiting AND v_decided_at[v_event] <> v_item THEN
            -- A waiting event of this batch is decided before it is written: only the later item writes it.
            v_write[v_decided_at[v_event]] := c_leave;
        END IF;
        outcomes[v_item] := v_decision;
        v_points[v_item] := v_paid;
        seqs[v_item] := balance_seqs[v_book];
        v_state[v_event] := v_decision;
        IF keys IS NOT NULL THEN
            keys[v_event] := NULL;
        END IF;
        IF v_event <> v_item THEN
            v_decided_at[v_event] := v_item;
        END IF;
    END LOOP;

    IF keys IS NOT NULL THEN
        -- Only now is it known under which key an event is recorded: one that waited under a former key may have been decided since,
        -- under the customer's own. A report of it that looks for a proof must not find what is left under the former, and pay it too.
        FOR v_item IN 1 .. v_items LOOP
            IF replayed[v_item] THEN
                keys[v_item] := keys[p_first[v_item]];
            END IF;
        END LOOP;
    END IF;

    -- 6. Record the events.
    INSERT INTO ledger.event (
        book_id, campaign_no, key, customer, seq, points, window_at,
        decided_at, due_at, campaign_version, principal,
        outcome, rule, grade, action, channel,
        message_id, qualifier, source, metadata, salt,
        terms, place
    )
    SELECT
        p_book_ids[p_kind_books[item.kind]], p_kind_campaigns[item.kind], p_keys[item.ix],
        p_wallet_customers[p_wallet_ix[item.ix]], seqs[item.ix], v_points[item.ix], c_epoch + p_window_at[item.ix] * c_microsecond,
        CASE WHEN v_place[item.ix] IS NOT NULL THEN v_clocks[p_kind_books[item.kind]] END, p_due_at[item.ix],
        p_kind_versions[item.kind], p_kind_principals[item.kind], outcomes[item.ix], p_kind_rules[item.kind],
        p_kind_grades[item.kind], p_kind_actions[item.kind], p_kind_channels[item.kind], p_messages[item.ix],
        nullif(p_qualifiers[item.ix], ''), p_kind_sources[item.kind], p_metadata[item.ix], p_salts[item.ix],
        CASE outcomes[item.ix] WHEN c_waiting THEN p_terms[item.ix] END, v_place[item.ix]
    FROM (SELECT generate_series(1, v_items) AS ix, unnest(p_kind_ix) AS kind) AS item
    WHERE v_write[item.ix] = c_insert;

    IF v_any_update THEN
        UPDATE ledger.event
        SET customer = p_wallet_customers[p_wallet_ix[item.ix]], seq = seqs[item.ix], points = v_points[item.ix],
            window_at = c_epoch + p_window_at[item.ix] * c_microsecond,
            decided_at = CASE WHEN v_place[item.ix] IS NOT NULL THEN v_clocks[p_kind_books[item.kind]] END,
            due_at = p_due_at[item.ix], campaign_version = p_kind_versions[item.kind],
            principal = p_kind_principals[item.kind], outcome = outcomes[item.ix], rule = p_kind_rules[item.kind],
            grade = p_kind_grades[item.kind], action = p_kind_actions[item.kind],
            channel = p_kind_channels[item.kind], message_id = p_messages[item.ix], qualifier = nullif(p_qualifiers[item.ix], ''),
            source = p_kind_sources[item.kind], metadata = p_metadata[item.ix], salt = p_salts[item.ix], terms = NULL,
            place = v_place[item.ix]
        FROM (SELECT generate_series(1, v_items) AS ix, unnest(p_keys) AS key, unnest(p_kind_ix) AS kind) AS item
        WHERE v_write[item.ix] = c_update
            AND event.book_id = p_book_ids[p_kind_books[item.kind]]
            AND event.campaign_no = p_kind_campaigns[item.kind]
            AND event.key = item.key;
    END IF;

    IF v_any_paid THEN
        -- 7. The log.
        INSERT INTO ledger.transfer (
            book_id, seq, posted_at, occurred_at, amount,
            customer, due_at, campaign_no,
            verb, debit, credit,
            event_key, details_hash
        )
        SELECT
            p_book_ids[p_kind_books[item.kind]], seqs[item.ix], v_clocks[p_kind_books[item.kind]],
            c_epoch + p_occurred_at[item.ix] * c_microsecond, v_points[item.ix],
            p_wallet_customers[p_wallet_ix[item.ix]], CASE item.outcome WHEN c_held_back THEN p_due_at[item.ix] END,
            p_kind_campaigns[item.kind], CASE item.outcome WHEN c_held_back THEN c_verb_hold_back ELSE c_verb_grant END,
            p_budgets[p_kind_budgets[item.kind]], p_lots[p_lot_ix[item.ix]],
            p_keys[item.ix], p_details_hashes[item.ix]
        FROM (
            SELECT generate_series(1, v_items) AS ix, unnest(p_kind_ix) AS kind, unnest(outcomes) AS outcome
        ) AS item
        WHERE v_write[item.ix] <> c_leave AND (item.outcome = c_granted OR item.outcome = c_held_back);

        IF v_any_held THEN
            INSERT INTO ledger.pending (book_id, customer, key, campaign_no, amount, due_at, charges)
            SELECT
                p_book_ids[p_kind_books[item.kind]], p_wallet_customers[p_wallet_ix[item.ix]], p_keys[item.ix],
                p_kind_campaigns[item.kind], v_points[item.ix], p_due_at[item.ix], p_terms[item.ix]
            FROM (SELECT generate_series(1, v_items) AS ix, unnest(p_kind_ix) AS kind) AS item
            WHERE v_write[item.ix] <> c_leave AND outcomes[item.ix] = c_held_back;
        END IF;

        -- 8. The balances.
        IF c_unlimited = ANY (v_budget_had) THEN
            -- An unlimited budget is first debited, so it may have no row yet.
            INSERT INTO ledger.account (book_id, id, kind)
            SELECT p_book_ids[budget.book], budget.id, c_kind_unlimited_budget
            FROM unnest(p_budget_books, p_budgets, v_budget_left, v_budget_had) AS budget (book, id, budget_left, had)
            WHERE budget.budget_left < budget.had AND ledger.account_kind_v1(budget.id) = c_kind_unlimited_budget
            ON CONFLICT (book_id, id) DO NOTHING;
        END IF;

        UPDATE ledger.account
        SET debits = account.debits + coalesce(v_budget_had[moved.budget] - v_budget_left[moved.budget], 0),
            credits = account.credits + coalesce(moved.points, 0)
        FROM (
            -- Lots, then budgets: a lot has no element of the budgets' arrays, and a budget none of the lots'.
            SELECT
                unnest(p_lots || p_budgets) AS id, unnest(p_lot_wallets) AS wallet, unnest(v_lot_points) AS points,
                generate_series(1 - cardinality(p_lots), cardinality(p_budgets)) AS budget
        ) AS moved
        WHERE (moved.points > 0 OR v_budget_left[moved.budget] < v_budget_had[moved.budget])
            AND account.book_id = p_book_ids[coalesce(p_wallet_books[moved.wallet], p_budget_books[moved.budget])]
            AND account.id = moved.id;
        GET DIAGNOSTICS v_accounts_known = ROW_COUNT;
        FOR v_ix IN 1 .. cardinality(v_budget_had) LOOP
            v_accounts_known := v_accounts_known - (v_budget_left[v_ix] < v_budget_had[v_ix])::integer;
        END LOOP;
        IF v_accounts_known < cardinality(array_remove(v_lot_points, 0)) THEN
            -- New lots. What was added to the others conflicts, and is not added again.
            INSERT INTO ledger.account (book_id, id, kind, expires_on, credits)
            SELECT p_book_ids[p_wallet_books[lot.wallet]], lot.id, ledger.account_kind_v1(lot.id), lot.expires_on, lot.points
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
            SELECT unnest(v_wallet_rows) AS place, unnest(balances) AS points, unnest(v_lot_until) AS lot_until
        ) AS wallet
        WHERE state.ctid = wallet.place AND state.points <> wallet.points;

        IF array_position(v_wallet_rows, NULL) IS NOT NULL THEN
            INSERT INTO ledger.customer_state (book_id, customer, points, lot_until)
            SELECT p_book_ids[wallet.book], wallet.customer, wallet.points, wallet.lot_until
            FROM (
                SELECT
                    unnest(p_wallet_books) AS book, unnest(p_wallet_customers) AS customer, unnest(balances) AS points,
                    unnest(v_lot_until) AS lot_until, unnest(v_wallet_rows) AS place
            ) AS wallet
            WHERE wallet.place IS NULL AND wallet.points > 0;
        END IF;

        IF v_any_held THEN
            -- Their points fall due, too.
            INSERT INTO ledger.customer_state AS state (book_id, customer, hold_until)
            SELECT p_book_ids[p_wallet_books[held.wallet]], p_wallet_customers[held.wallet], min(held.due_at)
            FROM (
                SELECT p_wallet_ix[item.ix] AS wallet, p_due_at[item.ix] AS due_at
                FROM generate_series(1, v_items) AS item (ix)
                WHERE v_write[item.ix] <> c_leave AND outcomes[item.ix] = c_held_back
            ) AS held
            GROUP BY held.wallet
            ON CONFLICT (book_id, customer) DO UPDATE SET hold_until = least(state.hold_until, excluded.hold_until);
        END IF;

        IF array_remove(v_use_rows, NULL) <> '{}' THEN
            UPDATE ledger.cap_use
            SET grants = use.grants, points = use.points
            FROM (SELECT unnest(v_use_rows) AS place, unnest(v_use_grants) AS grants, unnest(v_use_points) AS points) AS use
            WHERE cap_use.ctid = use.place AND cap_use.grants <> use.grants;
        END IF;

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

        IF v_tallies > 0 THEN
            PERFORM ledger.keep_recent_grants_v1(
                p_book_ids, p_wallet_books, p_wallet_customers, p_recent_wallets, p_recent_campaigns, p_recent_caps,
                v_clocks, v_recent_added, v_grant_recents, v_grant_at, v_grant_points);
        END IF;
    END IF;

    IF v_any_paid OR v_place IS NOT NULL THEN
        -- 9. Move the heads.
        UPDATE ledger.head
        SET seq = book.seq, places = book.places, posted_at = book.posted_at
        FROM (
            SELECT
                unnest(p_book_ids) AS book_id, unnest(balance_seqs) AS seq, unnest(v_places) AS places, unnest(v_clocks) AS posted_at
        ) AS book
        WHERE head.book_id = book.book_id AND (head.seq < book.seq OR head.places < book.places);
    END IF;

    -- 10. Strong acts leave proofs, and what waited for one is paid: after the batch, in the same transaction.
    IF cardinality(p_proof_items) > 0 THEN
        v_proved := '{}';
        PERFORM ledger.leave_proofs_v1(
            p_book_ids, p_kind_books, p_kind_campaigns, p_kind_grades, p_kind_ix, p_proof_items, p_proof_keys, outcomes, v_clocks);
        FOR v_found IN
            SELECT proved.item, proved.kind, proved.key, proved.grade
            FROM ledger.proved_events_v1(
                p_book_ids, p_kind_books, p_kind_campaigns, p_kind_grades, p_wallet_customers, p_keys, p_kind_ix, p_wallet_ix,
                p_proof_items, p_proof_keys, p_proof_needs, p_wait_items, p_wait_groups, p_wait_keys, p_wait_others,
                outcomes, keys
            ) AS proved
        LOOP
            v_book := p_kind_books[v_found.kind];
            v_wallet := p_wallet_ix[v_found.item];
            SELECT head.* INTO v_head FROM ledger.head WHERE head.book_id = p_book_ids[v_book];
            v_head.posted_at := v_clocks[v_book];
            CONTINUE WHEN ledger.pay_waiting_v1(
                v_head, p_kind_campaigns[v_found.kind], v_found.key, p_wallet_customers[v_wallet], v_found.grade) IS NULL;
            v_proved := v_proved || v_found.key;
            -- The customer's sums have changed: the answer below adds up their lots.
            v_lot_until[v_wallet] := '-infinity';
        END LOOP;

        IF v_proved <> '{}' THEN
            SELECT array_agg(head.seq ORDER BY head.book_id) INTO balance_seqs
            FROM ledger.head WHERE head.book_id = ANY (p_book_ids);
            FOR v_found IN
                SELECT item.ix, event.outcome, event.points, event.seq
                FROM (
                    SELECT
                        unnest(p_keys) AS key, unnest(p_kind_ix) AS kind, unnest(outcomes) AS outcome,
                        generate_series(1, v_items) AS ix
                ) AS item
                JOIN ledger.event
                    ON event.book_id = p_book_ids[p_kind_books[item.kind]]
                    AND event.campaign_no = p_kind_campaigns[item.kind]
                    AND event.key = coalesce(keys[item.ix], item.key)
                WHERE item.outcome = c_waiting AND event.key = ANY (v_proved)
            LOOP
                outcomes[v_found.ix] := v_found.outcome;
                v_points[v_found.ix] := v_found.points;
                seqs[v_found.ix] := v_found.seq;
            END LOOP;
        END IF;
    END IF;

    -- 11. Answer, with what each customer can spend now. Only where something is due are their lots added up.
    IF NOT (v_latest_day <= ALL (v_lot_until) AND v_latest_clock < ALL (v_hold_until)) THEN
        FOR v_ix IN 1 .. v_heads_known LOOP
            v_todays[v_ix] := (v_clocks[v_ix] AT TIME ZONE v_zones[v_ix])::date;
        END LOOP;
        FOR v_wallet IN 1 .. cardinality(p_wallet_books) LOOP
            v_book := p_wallet_books[v_wallet];
            IF v_lot_until[v_wallet] < v_todays[v_book] OR v_hold_until[v_wallet] <= v_clocks[v_book] THEN
                balances[v_wallet] := (
                    SELECT spendable.points
                    FROM ledger.spendable_v1(
                        p_book_ids[v_book], p_wallet_customers[v_wallet], v_clocks[v_book], v_todays[v_book],
                        v_zones[v_book], v_graces[v_book]::integer, true
                    ) AS spendable
                );
            END IF;
        END LOOP;
    END IF;
    points := v_points;
END
$function$;
