-- What an account is called in files and answers, from its id: kind, owner, class and last day, with colons between them, and of
-- these what the kind has. Parts of it under names of their own. Expressions only, so that callers inline them.

-- The customer's, campaign's or redemption's number; 0 for the house. Byte by byte: by way of hex digits it took twice as long.
CREATE OR REPLACE FUNCTION ledger.account_number_v1(p_id bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (get_byte(p_id, 3)::bigint << 56) | (get_byte(p_id, 4)::bigint << 48) | (get_byte(p_id, 5)::bigint << 40)
    | (get_byte(p_id, 6)::bigint << 32) | (get_byte(p_id, 7)::bigint << 24)
    | (get_byte(p_id, 8) << 16) | (get_byte(p_id, 9) << 8) | get_byte(p_id, 10);

CREATE OR REPLACE FUNCTION ledger.account_kind_name_v1(p_id bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE get_byte(p_id, 11) >> 4  -- as kind_v1 numbers them
    WHEN 1 THEN 'lot'
    WHEN 2 THEN 'pending'
    WHEN 3 THEN 'held'
    WHEN 4 THEN 'spent'
    WHEN 5 THEN 'budget'
    WHEN 6 THEN 'unlimited_budget'
    WHEN 7 THEN 'issuance'
    WHEN 8 THEN 'breakage'
    WHEN 9 THEN 'adjustment'
    WHEN 10 THEN 'opening'
    WHEN 11 THEN 'loss'
    WHEN 12 THEN 'transit'
END;

-- NULL where it means nothing: of budgets and of the issuance.
CREATE OR REPLACE FUNCTION ledger.account_class_name_v1(p_id bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT CASE
        WHEN ledger.account_kind_v1(p_id) NOT IN (
            ledger.kind_v1('budget'), ledger.kind_v1('unlimited_budget'), ledger.kind_v1('issuance')
        ) THEN
            CASE ledger.account_class_v1(p_id) WHEN 0 THEN 'engagement' WHEN 1 THEN 'purchase' WHEN 2 THEN 'third_party' END
    END
$function$;

-- NULL where it means nothing: of all but lots and what came from them. Its text is that of the connection's DateStyle.
CREATE OR REPLACE FUNCTION ledger.account_last_day_v1(p_id bytea) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $function$
    SELECT CASE
        WHEN ledger.account_kind_v1(p_id) NOT IN (ledger.kind_v1('lot'), ledger.kind_v1('held'), ledger.kind_v1('spent')) THEN NULL
        WHEN substring(p_id FROM 13) = '\xffffffff'::bytea THEN 'never'
        ELSE (
            date '2000-01-01'
            + ((get_byte(p_id, 12) << 24) | (get_byte(p_id, 13) << 16) | (get_byte(p_id, 14) << 8) | get_byte(p_id, 15))
        )::text
    END
$function$;

-- p_campaigns names campaigns by number; one that is not in it keeps its number.
CREATE OR REPLACE FUNCTION ledger.account_name_v1(p_id bytea, p_campaigns jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN ledger.account_kind_name_v1(p_id)
    || CASE get_byte(p_id, 0)
        WHEN 0 THEN ''
        WHEN 2 THEN ':' || coalesce(
            p_campaigns ->> ledger.account_number_v1(p_id)::text, ledger.account_number_v1(p_id)::text)
        ELSE ':' || ledger.account_number_v1(p_id)::text
    END
    || coalesce(':' || ledger.account_class_name_v1(p_id), '')
    || coalesce(':' || ledger.account_last_day_v1(p_id), '');
