-- A time as RFC 3339 in UTC with microseconds, the one form in which times are shown.

CREATE OR REPLACE FUNCTION ledger.rfc3339_v1(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
