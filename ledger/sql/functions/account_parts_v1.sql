-- What an account id says, for the columns that repeat it, and ids made from what they say (see ledger/chart.py). Expressions only,
-- so that callers inline them.

-- Kinds have numbers; by name, as chart.Kind has them. An unknown name is NULL.
CREATE OR REPLACE FUNCTION ledger.kind_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'lot' THEN 1
    WHEN 'pending' THEN 2
    WHEN 'held' THEN 3
    WHEN 'spent' THEN 4
    WHEN 'budget' THEN 5
    WHEN 'unlimited_budget' THEN 6
    WHEN 'issuance' THEN 7
    WHEN 'breakage' THEN 8
    WHEN 'adjustment' THEN 9
    WHEN 'opening' THEN 10
    WHEN 'loss' THEN 11
    WHEN 'transit' THEN 12
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.account_kind_v1(p_id bytea) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (get_byte(p_id, 11) >> 4)::smallint;

CREATE OR REPLACE FUNCTION ledger.account_expires_on_v1(p_id bytea) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN substring(p_id FROM 13) = '\xffffffff'::bytea THEN 'infinity'::date
    ELSE date '2000-01-01'
        + ((get_byte(p_id, 12) << 24) | (get_byte(p_id, 13) << 16) | (get_byte(p_id, 14) << 8) | get_byte(p_id, 15))
END;

CREATE OR REPLACE FUNCTION ledger.account_class_v1(p_id bytea) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN get_byte(p_id, 11) & 15;

-- The same account of another kind.
CREATE OR REPLACE FUNCTION ledger.account_with_kind_v1(p_id bytea, p_kind text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN set_byte(p_id, 11, (ledger.kind_v1(p_kind) << 4) | (get_byte(p_id, 11) & 15));

-- The first 11 bytes of every account of an owner, by the owner's tag or for each tag. Written out: what is planned for one of
-- these is planned for each that it would call.
CREATE OR REPLACE FUNCTION ledger.account_owner_v1(p_tag integer, p_number bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(int4send(p_tag) FROM 4) || '\x0000'::bytea || int8send(p_number);

CREATE OR REPLACE FUNCTION ledger.house_owner_v1() RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\x000000'::bytea || int8send(0);

CREATE OR REPLACE FUNCTION ledger.customer_owner_v1(p_number bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\x010000'::bytea || int8send(p_number);

CREATE OR REPLACE FUNCTION ledger.campaign_owner_v1(p_number integer) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\x020000'::bytea || int8send(p_number);

CREATE OR REPLACE FUNCTION ledger.redemption_owner_v1(p_number bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\x030000'::bytea || int8send(p_number);

-- Where an owner's accounts of a kind begin, and those of the kind before it end.
CREATE OR REPLACE FUNCTION ledger.accounts_from_v1(p_owner bytea, p_kind text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_owner || CASE p_kind
    WHEN 'lot' THEN '\x10'::bytea
    WHEN 'pending' THEN '\x20'::bytea
    WHEN 'held' THEN '\x30'::bytea
    WHEN 'spent' THEN '\x40'::bytea
    WHEN 'budget' THEN '\x50'::bytea
END;

-- p_kind_and_class is the 12th byte.
CREATE OR REPLACE FUNCTION ledger.account_id_v1(p_owner bytea, p_kind_and_class integer, p_expires_on date) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_owner || substring(int4send(p_kind_and_class) FROM 4) || CASE
    WHEN p_expires_on = 'infinity'::date THEN '\xffffffff'::bytea
    ELSE int4send(p_expires_on - date '2000-01-01')
END;

CREATE OR REPLACE FUNCTION ledger.account_id_v2(p_owner bytea, p_kind text, p_class integer, p_expires_on date) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ledger.account_id_v1(p_owner, (ledger.kind_v1(p_kind) << 4) | p_class, p_expires_on);
