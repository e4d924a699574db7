-- What each of many customers has now, in order: their lots as JSON, [class, last day or null, points] each, soonest to expire
-- first; what is held and what is held back; into whom they were merged, and their generation. No row at all if the book is not
-- the brand's. All are of the book's last transfer and one instant. Locks nothing.
--
-- Whatever the planner knew of the tables when the session began, rows are looked up by whom they belong to: a look-up that ends in
-- LIMIT or OFFSET has no other way.
--
-- Timed-out holds, dead lots and what was held back until now are shown as if what is due had been posted: see spendable_v1.

CREATE OR REPLACE FUNCTION ledger.balances_v1(p_book_id integer, p_brand_id integer, p_customers bigint[])
RETURNS TABLE (seq bigint, lots text, held bigint, pending bigint, moved_to bigint, generation bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET enable_hashagg = off  -- in a large book a table for thousands of lots is expected, and cleared for each customer
SET plan_cache_mode = force_generic_plan  -- making a plan takes four times as long as reading a balance
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        head.seq,
        coalesce(owned.lots::text, '[]'),
        coalesce(CASE WHEN known.hold_until < 'infinity' THEN (
            SELECT sum(held.points)
            FROM ledger.open_holds_v1(head.book_id, wanted.customer) AS hold
            CROSS JOIN LATERAL (
                SELECT account.credits - account.debits AS points
                FROM ledger.account
                WHERE account.book_id = head.book_id
                    AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held')
                    AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
                OFFSET 0
            ) AS held
            WHERE hold.deadline > clock.at
        ) END, 0)::bigint,
        (coalesce(owned.pending, 0) - coalesce(CASE WHEN known.hold_until <= clock.at THEN (
            SELECT sum(held_back.amount)
            FROM ledger.held_back_v1(head.book_id, wanted.customer) AS held_back
            WHERE held_back.due_at <= clock.at
        ) END, 0))::bigint,
        known.moved_to, coalesce(known.generation, 0)
    FROM ledger.head
    CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
    CROSS JOIN LATERAL unnest(p_customers) WITH ORDINALITY AS wanted (customer, place)
    LEFT JOIN LATERAL (
        SELECT state.hold_until, state.moved_to, state.generation
        FROM ledger.customer_state AS state
        WHERE state.book_id = head.book_id AND state.customer = wanted.customer
        LIMIT 1
    ) AS known ON true
    CROSS JOIN LATERAL (
        SELECT
            json_agg(json_build_array(part.class, nullif(part.expires_on, 'infinity'), part.points)
                ORDER BY part.expires_on, part.class) FILTER (WHERE part.kind = ledger.kind_v1('lot')) AS lots,
            sum(part.points) FILTER (WHERE part.kind = ledger.kind_v1('pending')) AS pending
        FROM (
            SELECT owned.kind, owned.class, owned.expires_on, sum(owned.points)::bigint AS points
            FROM (
                -- Lots and what is held back: kinds 1 and 2, which are one range.
                SELECT
                    account.kind, ledger.account_class_v1(account.id) AS class, account.expires_on,
                    account.credits - account.debits AS points
                FROM ledger.account
                WHERE account.book_id = head.book_id
                    AND account.id >= ledger.accounts_from_v1(ledger.customer_owner_v1(wanted.customer), 'lot')
                    AND account.id < ledger.accounts_from_v1(ledger.customer_owner_v1(wanted.customer), 'held')
                    AND account.credits > account.debits
                UNION ALL
                SELECT
                    ledger.kind_v1('lot'), ledger.account_class_v1(held.id),
                    CASE
                        WHEN held.expires_on >= (hold.deadline AT TIME ZONE head.time_zone)::date THEN held.expires_on
                        ELSE (hold.deadline AT TIME ZONE head.time_zone)::date + head.grace_days
                    END,
                    held.credits - held.debits
                FROM ledger.open_holds_v1(head.book_id, wanted.customer) AS hold
                CROSS JOIN LATERAL (
                    SELECT account.id, account.expires_on, account.credits, account.debits
                    FROM ledger.account
                    WHERE account.book_id = head.book_id
                        AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held')
                        AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
                        AND account.credits > account.debits
                    OFFSET 0
                ) AS held
                WHERE hold.deadline <= clock.at AND known.hold_until <= clock.at
                UNION ALL
                SELECT
                    ledger.kind_v1('lot'), ledger.account_class_v1(due.lot), ledger.account_expires_on_v1(due.lot), -due.points
                FROM ledger.due_claw_backs_v1(
                    head.book_id, wanted.customer, clock.at, head.time_zone, head.grace_days::integer
                ) AS due
                WHERE known.hold_until <= clock.at
            ) AS owned
            WHERE owned.expires_on >= (clock.at AT TIME ZONE head.time_zone)::date
            GROUP BY owned.kind, owned.class, owned.expires_on
            HAVING sum(owned.points) > 0
        ) AS part
    ) AS owned
    WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id
    ORDER BY wanted.place;
END
$function$;
