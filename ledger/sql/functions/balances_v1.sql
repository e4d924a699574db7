-- What each of many customers has now, in order: her lots as JSON, [class, last day or null, points] each, soonest to expire
-- first; what is held and what is held back; into whom she was merged, and her generation. No row at all if the book is not the brand's. All of them
-- are of the book's last transfer and one instant. Locks nothing.
--
-- Timed-out holds and dead lots are shown as if what is due had been posted: see spendable_v1.

CREATE OR REPLACE FUNCTION ledger.balances_v1(p_book_id integer, p_brand_id integer, p_customers bigint[])
RETURNS TABLE (seq bigint, lots text, held bigint, pending bigint, moved_to bigint, generation bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan  -- making a plan takes four times as long as reading a balance
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        head.seq,
        coalesce((
            SELECT json_agg(json_build_array(lot.class, nullif(lot.expires_on, 'infinity'), lot.points)
                ORDER BY lot.expires_on, lot.class)
            FROM (
                SELECT part.class, part.expires_on, sum(part.points)::bigint AS points
                FROM (
                    SELECT get_byte(account.id, 11) & 15 AS class, account.expires_on, account.credits - account.debits AS points
                    FROM ledger.account
                    WHERE account.book_id = head.book_id
                        AND account.id >= ledger.account_owner_v1(1, wanted.customer) || '\x10'::bytea
                        AND account.id < ledger.account_owner_v1(1, wanted.customer) || '\x20'::bytea
                        AND account.credits > account.debits
                    UNION ALL
                    SELECT
                        get_byte(held.id, 11) & 15,
                        CASE
                            WHEN held.expires_on >= (hold.deadline AT TIME ZONE head.time_zone)::date THEN held.expires_on
                            ELSE (hold.deadline AT TIME ZONE head.time_zone)::date + head.grace_days
                        END,
                        held.credits - held.debits
                    FROM ledger.redemption AS hold
                    JOIN ledger.account AS held
                        ON held.book_id = hold.book_id
                        AND held.id >= ledger.account_owner_v1(3, hold.id) || '\x30'::bytea
                        AND held.id < ledger.account_owner_v1(3, hold.id) || '\x40'::bytea
                        AND held.credits > held.debits
                    WHERE hold.book_id = head.book_id AND hold.customer = wanted.customer AND hold.closed_at IS NULL
                        AND hold.deadline <= clock.at
                ) AS part
                WHERE part.expires_on >= (clock.at AT TIME ZONE head.time_zone)::date
                GROUP BY part.class, part.expires_on
            ) AS lot
        )::text, '[]') AS lots,
        coalesce((
            SELECT sum(held.credits - held.debits)
            FROM ledger.redemption AS hold
            JOIN ledger.account AS held
                ON held.book_id = hold.book_id
                AND held.id >= ledger.account_owner_v1(3, hold.id) || '\x30'::bytea
                AND held.id < ledger.account_owner_v1(3, hold.id) || '\x40'::bytea
            WHERE hold.book_id = head.book_id AND hold.customer = wanted.customer AND hold.closed_at IS NULL AND hold.deadline > clock.at
        ), 0)::bigint AS held,
        coalesce((
            SELECT sum(account.credits - account.debits)
            FROM ledger.account
            WHERE account.book_id = head.book_id
                AND account.id >= ledger.account_owner_v1(1, wanted.customer) || '\x20'::bytea
                AND account.id < ledger.account_owner_v1(1, wanted.customer) || '\x30'::bytea
        ), 0)::bigint AS pending,
        known.moved_to, coalesce(known.generation, 0)
    FROM ledger.head
    CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
    CROSS JOIN LATERAL unnest(p_customers) WITH ORDINALITY AS wanted (customer, place)
    LEFT JOIN ledger.customer_state AS known ON known.book_id = head.book_id AND known.customer = wanted.customer
    WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id
    ORDER BY wanted.place;
END
$function$;
