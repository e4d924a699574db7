-- What an account id says, for the columns that repeat it. Expressions only, so that callers inline them.

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

-- The first 11 bytes of every account of a customer (tag 1) or a redemption (tag 3).
CREATE OR REPLACE FUNCTION ledger.account_owner_v1(p_tag integer, p_number bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(int4send(p_tag) FROM 4) || '\x0000'::bytea || int8send(p_number);

-- A lot: p_kind_and_class is the 12th byte.
CREATE OR REPLACE FUNCTION ledger.account_id_v1(p_owner bytea, p_kind_and_class integer, p_expires_on date) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN p_owner || substring(int4send(p_kind_and_class) FROM 4) || CASE
    WHEN p_expires_on = 'infinity'::date THEN '\xffffffff'::bytea
    ELSE int4send(p_expires_on - date '2000-01-01')
END;
