-- A transfer's accounting date, of its own columns and the zone of its book: of what fell due, the business date on which it did; of
-- all else, the day it was posted. Expressions only, so that callers inline them.
--
-- An expiry from before due_on bears the last day in the id of its lot (see schema/0012_accounting_dates.sql).

-- Of what fell due, the day; NULL of all else.
CREATE OR REPLACE FUNCTION ledger.fell_due_on_v1(p_due_on date, p_verb smallint, p_debit bytea) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(p_due_on, CASE p_verb WHEN 10 THEN ledger.account_expires_on_v1(p_debit) END);

CREATE OR REPLACE FUNCTION ledger.accounting_date_v1(
    p_due_on     date,
    p_verb       smallint,
    p_debit      bytea,
    p_posted_at  timestamptz,
    p_time_zone  text
) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    ledger.fell_due_on_v1(p_due_on, p_verb, p_debit),
    (p_posted_at AT TIME ZONE p_time_zone)::date
);

-- A transfer's verb: a time-out from before it had one of its own is a void that fell due.
CREATE OR REPLACE FUNCTION ledger.transfer_verb_v1(p_verb smallint, p_due_on date) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE WHEN p_verb = 8 AND p_due_on IS NOT NULL THEN 16 ELSE p_verb END)::smallint;
