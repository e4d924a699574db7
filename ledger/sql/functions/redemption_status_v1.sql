-- Where a redemption stands at p_clock. A hold that has timed out is expired, whether or not its release has been posted.
-- An expression only, so that callers inline it.

CREATE OR REPLACE FUNCTION ledger.redemption_status_v1(
    p_closed_at  timestamptz,
    p_deadline   timestamptz,
    p_clock      timestamptz,
    p_captured   bigint,
    p_refunded   bigint
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN p_refunded > 0 AND p_refunded = p_captured AND (p_closed_at IS NOT NULL OR p_deadline <= p_clock) THEN 'refunded'
    WHEN p_refunded > 0 THEN 'partially_refunded'
    WHEN p_captured > 0 AND (p_closed_at IS NOT NULL OR p_deadline <= p_clock) THEN 'captured'
    WHEN p_captured > 0 THEN 'partially_captured'
    WHEN p_closed_at IS NULL AND p_deadline > p_clock THEN 'authorized'
    WHEN p_closed_at < p_deadline THEN 'voided'
    ELSE 'expired'
END;
