-- The points of a purchase of p_amount: by its amount, rounded down; or p_fixed of any, where p_per_points is NULL.

CREATE OR REPLACE FUNCTION ledger.earned_v1(p_amount bigint, p_per_points bigint, p_per_minor_units bigint, p_fixed bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_per_points IS NOT NULL THEN div(p_amount::numeric * p_per_points, p_per_minor_units)::bigint
    WHEN p_amount > 0 THEN p_fixed
    ELSE 0
END;
