-- API keys that the API itself makes and revokes, within what the calling key holds.
--
-- The application role has no right to write rewards.api_key (but for last_used_at), nor to read a key's hash. It proves on
-- whose behalf it acts by the hash of the key that came with the request, which it cannot have from the database.

-- What is known of the valid key with this hash; no row when it is unknown, expired or revoked. Locks nothing.
CREATE FUNCTION rewards.key_of_hash_v1(p_hash bytea)
RETURNS TABLE (
    api_key_id integer, brand_id integer, name text, scopes text[], max_evidence text,
    expires_at timestamptz, quota_per_minute integer
)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT api_key.api_key_id, api_key.brand_id, api_key.name, api_key.scopes, api_key.max_evidence,
        api_key.expires_at, api_key.quota_per_minute
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp());
$function$;

-- Makes a key of the caller's brand and records it in the audit trail. Returns its number, or NULL when the caller may not:
-- a new key never has a scope, a grade of evidence, a life or a quota beyond the caller's own.
-- Locks the caller's row, so that a key that is being revoked makes no other, and then the brand's end of the trail.
CREATE FUNCTION rewards.create_key_v1(
    p_caller_hash       bytea,
    p_secret_hash       bytea,
    p_prefix            text,
    p_name              text,
    p_scopes            text[],
    p_max_evidence      text,
    p_expires_at        timestamptz,
    p_quota_per_minute  integer
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_caller      rewards.api_key;
    v_api_key_id  integer;
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp())
    FOR SHARE;
    IF v_caller.api_key_id IS NULL
        OR NOT 'keys:write' = ANY (v_caller.scopes)
        OR coalesce(cardinality(p_scopes), 0) = 0
        OR NOT p_scopes <@ v_caller.scopes
        OR p_max_evidence COLLATE "C" < v_caller.max_evidence COLLATE "C"
        OR coalesce(p_expires_at, 'infinity') > coalesce(v_caller.expires_at, 'infinity')
        OR coalesce(p_quota_per_minute, 2147483647) > coalesce(v_caller.quota_per_minute, 2147483647)
    THEN
        RETURN NULL;
    END IF;

    INSERT INTO rewards.api_key (
        brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at, quota_per_minute
    ) VALUES (
        v_caller.brand_id, p_name, p_prefix, p_secret_hash, p_scopes, p_max_evidence, p_expires_at, p_quota_per_minute
    ) RETURNING api_key.api_key_id INTO v_api_key_id;

    PERFORM pg_advisory_xact_lock(1635083380, v_caller.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_caller.brand_id, v_caller.api_key_id, 'key.create', 'key_' || v_api_key_id,
        jsonb_build_object(
            'name', p_name, 'prefix', p_prefix, 'scopes', p_scopes, 'max_evidence', p_max_evidence,
            'expires_at', p_expires_at, 'quota_per_minute', p_quota_per_minute
        )
    );
    RETURN v_api_key_id;
END
$function$;

-- Revokes a key of the caller's brand and records it, once. Returns false when the brand has no such key, NULL when the caller
-- may not. Locks as create_key_v1 does.
CREATE FUNCTION rewards.revoke_key_v1(p_caller_hash bytea, p_api_key_id integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_caller   rewards.api_key;
    v_revoked  rewards.api_key;
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp());
    IF v_caller.api_key_id IS NULL OR NOT 'keys:write' = ANY (v_caller.scopes) THEN
        RETURN NULL;
    END IF;

    UPDATE rewards.api_key SET revoked_at = clock_timestamp()
    WHERE api_key.api_key_id = p_api_key_id AND api_key.brand_id = v_caller.brand_id AND api_key.revoked_at IS NULL
    RETURNING api_key.* INTO v_revoked;
    IF v_revoked.api_key_id IS NULL THEN
        RETURN EXISTS (
            SELECT FROM rewards.api_key
            WHERE api_key.api_key_id = p_api_key_id AND api_key.brand_id = v_caller.brand_id
        );
    END IF;

    PERFORM pg_advisory_xact_lock(1635083380, v_caller.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, before, after)
    VALUES (
        v_caller.brand_id, v_caller.api_key_id, 'key.revoke', 'key_' || p_api_key_id,
        jsonb_build_object('name', v_revoked.name, 'prefix', v_revoked.prefix, 'revoked_at', NULL),
        jsonb_build_object('name', v_revoked.name, 'prefix', v_revoked.prefix, 'revoked_at', v_revoked.revoked_at)
    );
    RETURN true;
END
$function$;

-- Takes up to p_wanted items out of a key's quota for the running minute. Returns how many were taken, what the minute has
-- left for everybody, and how long it lasts; no row when the key has no quota. Locks the key's counter.
CREATE FUNCTION rewards.lease_quota_v1(p_api_key_id integer, p_wanted integer)
RETURNS TABLE (taken integer, remaining integer, lasts_s double precision)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    v_quota   integer;
    v_kept    rewards.key_quota;
    v_now     timestamptz;
    v_minute  timestamptz;
    v_taken   integer;
BEGIN
    SELECT api_key.quota_per_minute INTO v_quota FROM rewards.api_key WHERE api_key.api_key_id = p_api_key_id;
    IF v_quota IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO rewards.key_quota (api_key_id, minute, used) VALUES (p_api_key_id, '-infinity', 0) ON CONFLICT DO NOTHING;
    SELECT key_quota.* INTO v_kept FROM rewards.key_quota WHERE key_quota.api_key_id = p_api_key_id FOR UPDATE;
    -- Read under the lock, so that minutes never go back.
    v_now := clock_timestamp();
    v_minute := greatest(date_trunc('minute', v_now), v_kept.minute);
    IF v_kept.minute < v_minute THEN
        v_kept.used := 0;
    END IF;
    v_taken := greatest(0, least(p_wanted, v_quota - v_kept.used));
    UPDATE rewards.key_quota SET minute = v_minute, used = v_kept.used + v_taken
    WHERE key_quota.api_key_id = p_api_key_id;
    RETURN QUERY SELECT
        v_taken,
        greatest(0, v_quota - v_kept.used - v_taken),
        extract(epoch FROM v_minute + interval '1 minute' - v_now)::double precision;
END
$function$;

REVOKE ALL ON FUNCTION
    rewards.key_of_hash_v1, rewards.create_key_v1, rewards.revoke_key_v1, rewards.lease_quota_v1
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    rewards.key_of_hash_v1, rewards.create_key_v1, rewards.revoke_key_v1, rewards.lease_quota_v1
TO rewards_application;

-- All of a key but its hash.
REVOKE SELECT ON rewards.api_key FROM rewards_application, rewards_worker;

GRANT SELECT (
    api_key_id, brand_id, name, prefix, scopes, max_evidence, created_at, expires_at, revoked_at, last_used_at, quota_per_minute
) ON rewards.api_key TO rewards_application;

GRANT UPDATE (last_used_at) ON rewards.api_key TO rewards_application;

-- The trail is appended to, under a key's name: an operator's entry and its time are not the application's to write.
GRANT SELECT, INSERT (brand_id, api_key_id, act, subject, before, after, request)
ON rewards.audit_trail TO rewards_application;

GRANT SELECT ON rewards.audit_trail TO rewards_reader;
