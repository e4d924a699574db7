-- Who made a key is in the audit trail since there are keys that make keys.
UPDATE rewards.api_key SET made_by = entry.api_key_id
FROM rewards.audit_trail AS entry
WHERE entry.act = 'key.create' AND entry.api_key_id IS NOT NULL AND entry.subject = 'key_' || api_key.api_key_id
    AND entry.brand_id = api_key.brand_id;

-- A key draws on the quotas of those that it comes from, as far up as they have one.
WITH RECURSIVE line AS (
    SELECT api_key.api_key_id, api_key.made_by, ARRAY[]::integer[] AS quota_of
    FROM rewards.api_key
    WHERE api_key.quota_per_minute IS NOT NULL AND api_key.made_by IS NOT NULL
    UNION ALL
    SELECT line.api_key_id, maker.made_by, maker.api_key_id || line.quota_of
    FROM line
    JOIN rewards.api_key AS maker ON maker.api_key_id = line.made_by
    WHERE maker.quota_per_minute IS NOT NULL
), longest AS (
    SELECT DISTINCT ON (line.api_key_id) line.api_key_id, line.quota_of
    FROM line
    ORDER BY line.api_key_id, cardinality(line.quota_of) DESC
)
UPDATE rewards.api_key SET quota_of = longest.quota_of
FROM longest
WHERE longest.api_key_id = api_key.api_key_id;

-- A minting key lives no longer than the key that registered it.
UPDATE rewards.minting_key SET expires_at = api_key.expires_at
FROM rewards.api_key
WHERE api_key.api_key_id = minting_key.registered_by AND api_key.expires_at IS NOT NULL;

-- Makes a key of the caller's brand and records it in the audit trail. Returns its number, or NULL when the caller may not:
-- a new key never has a scope, a grade of evidence, a life, a quota or a lateness beyond the caller's own, which is also the
-- lateness it gets where none is given. With a quota it draws on the caller's too, and on those that the caller draws on:
-- at most eight.
-- Locks the caller's row, so that a key that is being revoked makes no other, and then the brand's end of the trail.
CREATE OR REPLACE FUNCTION rewards.create_key_v2(
    p_caller_hash       bytea,
    p_secret_hash       bytea,
    p_prefix            text,
    p_name              text,
    p_scopes            text[],
    p_max_evidence      text,
    p_expires_at        timestamptz,
    p_quota_per_minute  integer,
    p_lateness_hours    smallint
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    c_quotas_max   CONSTANT integer := 8;
    v_caller       rewards.api_key;
    v_api_key_id   integer;
    v_lateness     smallint;
    v_quota_of     integer[] := ARRAY[]::integer[];
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp())
    FOR SHARE;
    v_lateness := coalesce(p_lateness_hours, v_caller.lateness_hours);
    IF v_caller.quota_per_minute IS NOT NULL THEN
        v_quota_of := v_caller.quota_of || v_caller.api_key_id;
    END IF;
    IF v_caller.api_key_id IS NULL
        OR NOT 'keys:write' = ANY (v_caller.scopes)
        OR coalesce(cardinality(p_scopes), 0) = 0
        OR NOT p_scopes <@ v_caller.scopes
        OR p_max_evidence COLLATE "C" < v_caller.max_evidence COLLATE "C"
        OR coalesce(p_expires_at, 'infinity') > coalesce(v_caller.expires_at, 'infinity')
        OR coalesce(p_quota_per_minute, 2147483647) > coalesce(v_caller.quota_per_minute, 2147483647)
        OR v_lateness > v_caller.lateness_hours
        OR cardinality(v_quota_of) > c_quotas_max
    THEN
        RETURN NULL;
    END IF;

    INSERT INTO rewards.api_key (
        brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at, quota_per_minute, lateness_hours, made_by, quota_of
    ) VALUES (
        v_caller.brand_id, p_name, p_prefix, p_secret_hash, p_scopes, p_max_evidence, p_expires_at, p_quota_per_minute, v_lateness,
        v_caller.api_key_id, v_quota_of
    ) RETURNING api_key.api_key_id INTO v_api_key_id;

    PERFORM pg_advisory_xact_lock(1635083380, v_caller.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_caller.brand_id, v_caller.api_key_id, 'key.create', 'key_' || v_api_key_id,
        jsonb_build_object(
            'name', p_name, 'prefix', p_prefix, 'scopes', p_scopes, 'max_evidence', p_max_evidence,
            'expires_at', p_expires_at, 'quota_per_minute', p_quota_per_minute, 'lateness_hours', v_lateness
        )
    );
    RETURN v_api_key_id;
END
$function$;

-- Takes up to p_wanted items out of the running minute of a key's quota and of all quotas it draws on, as many as each of them
-- has left. Returns how many were taken, what is left for everybody, and how long the minute lasts; no row when the key has no
-- quota. Locks the counters, in the order of the keys.
CREATE OR REPLACE FUNCTION rewards.lease_quota_v1(p_api_key_id integer, p_wanted integer)
RETURNS TABLE (taken integer, remaining integer, lasts_s double precision)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_keys    integer[];
    v_minute  timestamptz;
    v_now     timestamptz;
    v_left    integer;
    v_taken   integer;
BEGIN
    SELECT api_key.quota_of || api_key.api_key_id INTO v_keys
    FROM rewards.api_key
    WHERE api_key.api_key_id = p_api_key_id AND api_key.quota_per_minute IS NOT NULL;
    IF v_keys IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO rewards.key_quota (api_key_id, minute, used)
    SELECT key.api_key_id, '-infinity', 0 FROM unnest(v_keys) AS key (api_key_id) ORDER BY key.api_key_id
    ON CONFLICT DO NOTHING;
    PERFORM FROM rewards.key_quota WHERE key_quota.api_key_id = ANY (v_keys) ORDER BY key_quota.api_key_id FOR UPDATE;
    -- Read under the locks, so that minutes never go back.
    v_now := clock_timestamp();
    SELECT greatest(date_trunc('minute', v_now), max(key_quota.minute)) INTO v_minute
    FROM rewards.key_quota
    WHERE key_quota.api_key_id = ANY (v_keys);
    SELECT greatest(0, min(api_key.quota_per_minute - CASE WHEN key_quota.minute = v_minute THEN key_quota.used ELSE 0 END))
    INTO v_left
    FROM rewards.key_quota
    JOIN rewards.api_key USING (api_key_id)
    WHERE key_quota.api_key_id = ANY (v_keys);
    v_taken := greatest(0, least(p_wanted, v_left));
    UPDATE rewards.key_quota
    SET used = v_taken + CASE WHEN key_quota.minute = v_minute THEN key_quota.used ELSE 0 END, minute = v_minute
    WHERE key_quota.api_key_id = ANY (v_keys);
    RETURN QUERY SELECT
        v_taken, v_left - v_taken, extract(epoch FROM v_minute + interval '1 minute' - v_now)::double precision;
END
$function$;

-- Revokes a key of a brand and, as far as p_also names it, what it made: 'keys' that it issued, and all that those made;
-- 'minting_keys', whose links earn nothing any more; 'links', with their codes, links to pages and batches of codes, also those
-- to come. Records each act once, as p_revoked_by's; NULL is the operator. Returns false when the brand has no such key.
-- Locks the keys, in their order, and then the brand's end of the trail.
CREATE FUNCTION rewards.take_back_key_v1(p_brand_id integer, p_api_key_id integer, p_also text[], p_revoked_by integer)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_keys   integer[] := ARRAY[p_api_key_id];
    v_found  integer[];
BEGIN
    PERFORM FROM rewards.api_key
    WHERE api_key.api_key_id = p_api_key_id AND api_key.brand_id = p_brand_id
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    WHILE 'keys' = ANY (p_also) LOOP
        -- A key that is making another holds a lock on its own row: what it made is seen once that is released.
        SELECT array_agg(made.api_key_id) INTO v_found
        FROM (
            SELECT api_key.api_key_id FROM rewards.api_key
            WHERE api_key.brand_id = p_brand_id AND api_key.made_by = ANY (v_keys) AND api_key.api_key_id <> ALL (v_keys)
            ORDER BY api_key.api_key_id
            FOR NO KEY UPDATE
        ) AS made;
        EXIT WHEN v_found IS NULL;
        v_keys := v_keys || v_found;
    END LOOP;

    PERFORM pg_advisory_xact_lock(1635083380, p_brand_id);
    WITH revoked AS (
        UPDATE rewards.api_key SET revoked_at = clock_timestamp()
        WHERE api_key.api_key_id = ANY (v_keys) AND api_key.revoked_at IS NULL
        RETURNING api_key.*
    )
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, by_operator, act, subject, before, after)
    SELECT p_brand_id, p_revoked_by, p_revoked_by IS NULL, 'key.revoke', 'key_' || revoked.api_key_id,
        jsonb_build_object('name', revoked.name, 'prefix', revoked.prefix, 'revoked_at', NULL),
        jsonb_build_object('name', revoked.name, 'prefix', revoked.prefix, 'revoked_at', revoked.revoked_at)
    FROM revoked
    ORDER BY revoked.api_key_id;

    IF 'minting_keys' = ANY (p_also) THEN
        WITH revoked AS (
            UPDATE rewards.minting_key SET revoked_at = clock_timestamp()
            WHERE minting_key.brand_id = p_brand_id AND minting_key.registered_by = ANY (v_keys) AND minting_key.revoked_at IS NULL
            RETURNING minting_key.key_no
        )
        INSERT INTO rewards.audit_trail (brand_id, api_key_id, by_operator, act, subject)
        SELECT p_brand_id, p_revoked_by, p_revoked_by IS NULL, 'minting_key.revoke', 'mk_' || revoked.key_no
        FROM revoked
        ORDER BY revoked.key_no;

        INSERT INTO rewards.link_revocation (brand_id, subject, named, revoked_by)
        SELECT p_brand_id, 'key -' || minting_key.key_no, 'mk_' || minting_key.key_no, p_revoked_by
        FROM rewards.minting_key
        WHERE minting_key.brand_id = p_brand_id AND minting_key.registered_by = ANY (v_keys)
        ORDER BY minting_key.key_no
        ON CONFLICT DO NOTHING;
    END IF;

    IF 'links' = ANY (p_also) THEN
        WITH revoked AS (
            INSERT INTO rewards.link_revocation (brand_id, subject, named, revoked_by)
            SELECT p_brand_id, 'key ' || api_key.api_key_id, 'key_' || api_key.api_key_id, p_revoked_by
            FROM rewards.api_key
            WHERE api_key.api_key_id = ANY (v_keys) AND 'links:write' = ANY (api_key.scopes)
            ORDER BY api_key.api_key_id
            ON CONFLICT DO NOTHING
            RETURNING link_revocation.*
        )
        INSERT INTO rewards.audit_trail (brand_id, api_key_id, by_operator, act, subject, after)
        SELECT p_brand_id, p_revoked_by, p_revoked_by IS NULL, 'links.revoke', 'key ' || revoked.named,
            jsonb_build_object('id', revoked.revocation_no, 'kind', 'key', 'named', revoked.named, 'revoked_at', revoked.revoked_at)
        FROM revoked
        ORDER BY revoked.revocation_no;
    END IF;
    RETURN true;
END
$function$;

-- As take_back_key_v1, for the key of this hash; NULL when the caller may not.
CREATE FUNCTION rewards.revoke_key_v2(p_caller_hash bytea, p_api_key_id integer, p_also text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_caller  rewards.api_key;
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp());
    IF v_caller.api_key_id IS NULL OR NOT 'keys:write' = ANY (v_caller.scopes) THEN
        RETURN NULL;
    END IF;
    RETURN rewards.take_back_key_v1(v_caller.brand_id, p_api_key_id, p_also, v_caller.api_key_id);
END
$function$;

REVOKE ALL ON FUNCTION rewards.take_back_key_v1, rewards.revoke_key_v2 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.revoke_key_v2 TO rewards_application;

GRANT SELECT (made_by, quota_of) ON rewards.api_key TO rewards_application;
