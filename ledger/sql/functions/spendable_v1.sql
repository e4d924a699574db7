-- What a customer can spend: open lots, and what timed-out holds give back that no posting has given back yet, less what is then to be
-- taken back of it. Returns one row.
-- Locks nothing. p_any_due says whether the customer may have timed-out holds at all (customer_state.hold_until); most have
-- none.
--
-- A timed-out hold is released as of its deadline: points go to the lot they came from, or, if that was dead by then, to one
-- that lasts the book's grace from the deadline. So a late sweeper changes nothing.

CREATE OR REPLACE FUNCTION ledger.spendable_v1(
    p_book_id     integer,
    p_customer    bigint,
    p_clock       timestamptz,
    p_today       date,         -- p_clock's in the zone of the book
    p_time_zone   text,
    p_grace_days  integer,
    p_any_due     boolean
) RETURNS TABLE (points bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT (
        (
            SELECT coalesce(sum(lot.credits - lot.debits), 0)
            FROM ledger.account AS lot
            WHERE lot.book_id = p_book_id
                AND lot.id >= ledger.accounts_from_v1(ledger.customer_owner_v1(p_customer), 'lot')
                AND lot.id < ledger.accounts_from_v1(ledger.customer_owner_v1(p_customer), 'pending')
                AND lot.expires_on >= p_today
        )
        + CASE WHEN p_any_due THEN (
            SELECT coalesce(sum(held.points), 0)
            FROM ledger.open_holds_v1(p_book_id, p_customer) AS hold
            CROSS JOIN LATERAL (
                SELECT account.credits - account.debits AS points, account.expires_on
                FROM ledger.account
                WHERE account.book_id = p_book_id
                    AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held')
                    AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
                OFFSET 0  -- see balances_v1
            ) AS held
            WHERE hold.deadline <= p_clock
                AND CASE
                    WHEN held.expires_on >= (hold.deadline AT TIME ZONE p_time_zone)::date THEN held.expires_on
                    ELSE (hold.deadline AT TIME ZONE p_time_zone)::date + p_grace_days
                END >= p_today
        ) - ledger.clawed_back_when_due_v1(p_book_id, p_customer, p_clock, p_today, p_time_zone, p_grace_days) ELSE 0 END
    )::bigint
$function$;
