-- Makes a key of the caller's brand and records it in the audit trail. Returns its number, or NULL when the caller may not:
-- a new key never has a scope, a grade of evidence, a life, a quota or a lateness beyond the caller's own, which is also the
-- lateness it gets where none is given. With a quota it draws on the caller's too, and on those that the caller draws on:
-- at most eight. It belongs to the person whom the caller belongs to, if there is one.
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
        brand_id, name, prefix, secret_hash, scopes, max_evidence, expires_at, quota_per_minute, lateness_hours, made_by, quota_of,
        person_id
    ) VALUES (
        v_caller.brand_id, p_name, p_prefix, p_secret_hash, p_scopes, p_max_evidence, p_expires_at, p_quota_per_minute, v_lateness,
        v_caller.api_key_id, v_quota_of, v_caller.person_id
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

-- As key_of_hash_v2, and whose key it is: NULL is a system's. Locks nothing.
CREATE FUNCTION rewards.key_of_hash_v3(p_hash bytea)
RETURNS TABLE (
    api_key_id integer, brand_id integer, name text, scopes text[], max_evidence text,
    expires_at timestamptz, quota_per_minute integer, lateness_hours smallint, person_id integer
)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT api_key.api_key_id, api_key.brand_id, api_key.name, api_key.scopes, api_key.max_evidence,
        api_key.expires_at, api_key.quota_per_minute, api_key.lateness_hours, api_key.person_id
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp());
$function$;

-- Makes a key of a person for whoever has their invitation, and records it in the audit trail. An invitation is good for one
-- key. Returns the key's number, or NULL when there is no such invitation, or not any more.
-- Locks the person, and then the brand's end of the trail.
CREATE FUNCTION rewards.enrol_person_v1(p_invitation_hash bytea, p_secret_hash bytea, p_prefix text) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_person      rewards.person;
    v_api_key_id  integer;
BEGIN
    SELECT person.* INTO v_person
    FROM rewards.person
    WHERE person.invitation_hash = p_invitation_hash
        AND person.invitation_expires_at > clock_timestamp()
        AND person.disabled_at IS NULL
    FOR UPDATE;
    IF v_person.person_id IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE rewards.person
    SET invitation_hash = NULL, invitation_expires_at = NULL, enrolled_at = coalesce(person.enrolled_at, clock_timestamp())
    WHERE person.person_id = v_person.person_id;
    INSERT INTO rewards.api_key (brand_id, name, prefix, secret_hash, scopes, max_evidence, person_id)
    VALUES (v_person.brand_id, v_person.name, p_prefix, p_secret_hash, v_person.scopes, 'C', v_person.person_id)
    RETURNING api_key.api_key_id INTO v_api_key_id;

    PERFORM pg_advisory_xact_lock(1635083380, v_person.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_person.brand_id, v_api_key_id, 'person.enrol', 'per_' || v_person.person_id,
        jsonb_build_object('name', v_person.name, 'roles', v_person.roles, 'key', 'key_' || v_api_key_id)
    );
    RETURN v_api_key_id;
END
$function$;

-- Disables a person of a brand for good: no invitation of theirs is good any more, and their keys are revoked, with the minting
-- keys these registered. Recorded once, as p_by's; NULL is the operator. Returns false when the brand has no such person.
-- Locks the person and all their keys, and then the brand's end of the trail.
CREATE FUNCTION rewards.disable_person_v1(p_brand_id integer, p_person_id integer, p_by integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_person  rewards.person;
    v_keys    integer[] := ARRAY[]::integer[];
    v_found   integer[];
BEGIN
    SELECT person.* INTO v_person
    FROM rewards.person
    WHERE person.person_id = p_person_id AND person.brand_id = p_brand_id
    FOR UPDATE;
    IF v_person.person_id IS NULL THEN
        RETURN false;
    END IF;
    LOOP
        -- A key that is making another holds a lock on its own row: what it made is seen once that is released.
        SELECT array_agg(held.api_key_id) INTO v_found
        FROM (
            SELECT api_key.api_key_id FROM rewards.api_key
            WHERE api_key.person_id = p_person_id AND api_key.api_key_id <> ALL (v_keys)
            ORDER BY api_key.api_key_id
            FOR NO KEY UPDATE
        ) AS held;
        EXIT WHEN v_found IS NULL;
        v_keys := v_keys || v_found;
    END LOOP;

    PERFORM rewards.take_back_key_v1(p_brand_id, held.api_key_id, ARRAY['keys', 'minting_keys'], p_by)
    FROM unnest(v_keys) AS held (api_key_id);

    IF v_person.disabled_at IS NULL THEN
        UPDATE rewards.person
        SET disabled_at = clock_timestamp(), invitation_hash = NULL, invitation_expires_at = NULL
        WHERE person.person_id = p_person_id;
        PERFORM pg_advisory_xact_lock(1635083380, p_brand_id);
        INSERT INTO rewards.audit_trail (brand_id, api_key_id, by_operator, act, subject, before)
        VALUES (
            p_brand_id, p_by, p_by IS NULL, 'person.disable', 'per_' || p_person_id,
            jsonb_build_object('name', v_person.name, 'roles', v_person.roles)
        );
    END IF;
    RETURN true;
END
$function$;

-- As disable_person_v1, for the key of this hash; NULL when the caller may not.
CREATE FUNCTION rewards.disable_person_v2(p_caller_hash bytea, p_person_id integer) RETURNS boolean
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
    RETURN rewards.disable_person_v1(v_caller.brand_id, p_person_id, v_caller.api_key_id);
END
$function$;

REVOKE ALL ON FUNCTION
    rewards.key_of_hash_v3, rewards.enrol_person_v1, rewards.disable_person_v1, rewards.disable_person_v2
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.key_of_hash_v3, rewards.enrol_person_v1, rewards.disable_person_v2 TO rewards_application;

GRANT SELECT (person_id) ON rewards.api_key TO rewards_application;

GRANT SELECT (
    person_id, brand_id, name, roles, scopes, invited_at, invitation_expires_at, enrolled_at, disabled_at
) ON rewards.person TO rewards_application;
