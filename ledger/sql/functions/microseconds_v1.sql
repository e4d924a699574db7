-- A time as the driver and the caps write it: microseconds since 2000-01-01.

CREATE OR REPLACE FUNCTION ledger.microseconds_v1(p_at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (extract(epoch FROM p_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint;
