-- How many of the points that a customer's timed-out holds give back are taken back at once, of those that could be spent today: see
-- due_claw_backs_v1, spendable_v1.

CREATE OR REPLACE FUNCTION ledger.clawed_back_when_due_v1(
    p_book_id     integer,
    p_customer    bigint,
    p_clock       timestamptz,
    p_today       date,
    p_time_zone   text,
    p_grace_days  integer
) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    RETURN (
        SELECT coalesce(sum(due.points), 0)
        FROM ledger.due_claw_backs_v1(p_book_id, p_customer, p_clock, p_time_zone, p_grace_days) AS due
        WHERE ledger.account_expires_on_v1(due.lot) >= p_today
    )::bigint;
END
$function$;
