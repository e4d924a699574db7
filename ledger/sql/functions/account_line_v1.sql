-- The line of the trial balance that an account is added to: lots, and what customers and redemptions have otherwise, by kind,
-- class and last day; every other account by itself. The owner's number is zeros in a line of many. An expression, to be inlined.

CREATE OR REPLACE FUNCTION ledger.account_line_v1(p_id bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN get_byte(p_id, 0) IN (1, 3)
        THEN overlay(p_id PLACING '\x00000000000000000000'::bytea FROM 2 FOR 10)
    ELSE p_id
END;
