-- Last days of points, which are ends of months. Expressions only, so that callers inline them.

-- The end of the month that lies so many months after a day's (see chart.month_end).
CREATE OR REPLACE FUNCTION ledger.month_end_v1(p_day date, p_months integer) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (date_trunc('month', p_day::timestamp) + make_interval(months => p_months + 1) - interval '1 day')::date;

-- How many months lie between those of two days.
CREATE OR REPLACE FUNCTION ledger.months_between_v1(p_from date, p_to date) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (12 * (extract(year FROM p_to) - extract(year FROM p_from)) + extract(month FROM p_to) - extract(month FROM p_from))::integer;

-- The last day of points that were to last until p_last_day if earned on p_earned_on, and are paid on p_paid_on: as long as if they
-- were earned then. It is never past.
CREATE OR REPLACE FUNCTION ledger.last_day_v1(p_last_day date, p_earned_on date, p_paid_on date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_last_day = 'infinity' THEN p_last_day
    WHEN p_last_day >= p_paid_on AND ledger.months_between_v1(p_earned_on, p_paid_on) = 0 THEN p_last_day
    ELSE greatest(
        ledger.month_end_v1(p_last_day, ledger.months_between_v1(p_earned_on, p_paid_on)), ledger.month_end_v1(p_paid_on, 0))
END;
