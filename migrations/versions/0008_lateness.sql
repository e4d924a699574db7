-- How late a key's reports may come, known with the key and given on to the keys it makes. The functions of before remain for the
-- processes of before, for as long as those run.

-- What is known of the valid key with this hash; no row when it is unknown, expired or revoked. Locks nothing.
CREATE FUNCTION rewards.key_of_hash_v2(p_hash bytea)
RETURNS TABLE (
    api_key_id integer, brand_id integer, name text, scopes text[], max_evidence text,
    expires_at timestamptz, quota_per_minute integer, lateness_hours smallint
)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT api_key.api_key_id, api_key.brand_id, api_key.name, api_key.scopes, api_key.max_evidence,
        api_key.expires_at, api_key.quota_per_minute, api_key.lateness_hours
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp());
$function$;

-- Makes a key of the caller's brand and records it in the audit trail. Returns its number, or NULL when the caller may not:
-- a new key never has a scope, a grade of evidence, a life, a quota or a lateness beyond the caller's own, which is also the
-- lateness it gets where none is given.
-- Locks the caller's row, so that a key that is being revoked makes no other, and then the brand's end of the trail.
CREATE FUNCTION rewards.create_key_v2(
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
    v_caller      rewards.api_key;
    v_api_key_id  integer;
    v_lateness    smallint;
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp())
    FOR SHARE;
    v_lateness := coalesce(p_lateness_hours, v_caller.lateness_hours);
    IF v_caller.api_key_id IS NULL
        OR NOT 'keys:write' = ANY (v_caller.scopes)
        OR coalesce(cardinality(p_scopes), 0) = 0
        OR NOT p_scopes <@ v_caller.scopes
        OR p_max_evidence COLLATE "C" < v_caller.max_evidence COLLATE "C"
        OR coalesce(p_expires_at, 'infinity') > coalesce(v_caller.expires_at, 'infinity')
        OR coalesce(p_quota_per_minute, 2147483647) > coalesce(v_caller.quota_per_minute, 2147483647)
        OR v_lateness > v_caller.lateness_hours
    THEN
        RETURN NULL;
    END IF;

    INSERT INTO rewards.api_key (
        brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at, quota_per_minute, lateness_hours
    ) VALUES (
        v_caller.brand_id, p_name, p_prefix, p_secret_hash, p_scopes, p_max_evidence, p_expires_at, p_quota_per_minute, v_lateness
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

-- As create_key_v2; the new key's reports may come as late as the caller's.
CREATE OR REPLACE FUNCTION rewards.create_key_v1(
    p_caller_hash       bytea,
    p_secret_hash       bytea,
    p_prefix            text,
    p_name              text,
    p_scopes            text[],
    p_max_evidence      text,
    p_expires_at        timestamptz,
    p_quota_per_minute  integer
) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT rewards.create_key_v2(
        p_caller_hash, p_secret_hash, p_prefix, p_name, p_scopes, p_max_evidence, p_expires_at, p_quota_per_minute, NULL
    );
$function$;

REVOKE ALL ON FUNCTION rewards.key_of_hash_v2, rewards.create_key_v2 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.key_of_hash_v2, rewards.create_key_v2 TO rewards_application;

GRANT SELECT (lateness_hours) ON rewards.api_key TO rewards_application;
