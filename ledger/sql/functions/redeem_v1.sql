-- `redeem_v2` as the processes of the version before call it: no hold may be captured late, and no step says when it happened.

CREATE OR REPLACE FUNCTION ledger.redeem_v1(
    p_brand_id      integer,
    p_book_id       integer,
    p_now           timestamptz,
    p_operations    smallint[],
    p_keys          bytea[],
    p_requests      bytea[],
    p_customers     bigint[],
    p_generations   bigint[],
    p_redemptions   bigint[],
    p_points        bigint[],
    p_finals        boolean[],
    p_captures      boolean[],
    p_hold_s        integer[],
    p_order_refs    text[],
    p_values        bigint[],
    p_value_points  bigint[],
    p_value_units   bigint[],
    p_stores        text[],
    p_terminals     text[],
    p_salts         bytea[],
    p_befores       bytea[],
    p_afters        bytea[],
    p_refs          text[],
    p_step_hashes   bytea[]
) RETURNS TABLE (outcome smallint, replayed boolean, answer jsonb)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT posted.outcome, posted.replayed, posted.answer
    FROM ledger.redeem_v2(
        p_brand_id, p_book_id, p_now, p_operations, p_keys, p_requests, p_customers, p_generations, p_redemptions, p_points,
        p_finals, p_captures, p_hold_s, p_order_refs, p_values, p_value_points, p_value_units, p_stores, p_terminals, p_salts,
        p_befores, p_afters, p_refs, p_step_hashes, NULL, NULL
    ) AS posted
$function$;
