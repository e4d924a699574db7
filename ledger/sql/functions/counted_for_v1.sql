-- For whom a cap counts that an event's terms list (see pay_waiting_v1): a group, all customers of the campaign together (0), or the one
-- customer. An expression only, so that callers inline it.

CREATE OR REPLACE FUNCTION ledger.counted_for_v1(p_cap jsonb, p_customer bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce((p_cap ->> 5)::bigint, CASE WHEN (p_cap ->> 4)::boolean THEN 0 ELSE p_customer END);
