-- Lets a person with an invitation sign in to the console, as p_login with a password and one-time codes; both are NULL of somebody
-- who signs in by other means. The invitation makes the key with which they act there (see enrol_person_v1), of which nobody has
-- the text. A person who had lost their password is signed out everywhere, and has no passkeys any more. Returns the person, or
-- NULL when there is no such invitation, or not any more. Raises unique_violation when another person of the brand has the login.
-- Locks the person, then the brand's end of the trail, and then the login.
CREATE OR REPLACE FUNCTION rewards.enrol_console_v1(
    p_invitation_hash  bytea,
    p_secret_hash      bytea,
    p_login            text,
    p_password_hash    text,
    p_totp_secret      bytea
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_api_key_id  integer;
    v_api_key     rewards.api_key;
BEGIN
    v_api_key_id := rewards.enrol_person_v1(p_invitation_hash, p_secret_hash, 'console');
    -- A statement of its own: one does not see what a function that it calls has written.
    SELECT api_key.* INTO v_api_key FROM rewards.api_key WHERE api_key.api_key_id = v_api_key_id;
    IF v_api_key.api_key_id IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO rewards.console_login (person_id, brand_id, login, api_key_id, password_hash, totp_secret)
    VALUES (v_api_key.person_id, v_api_key.brand_id, p_login, v_api_key.api_key_id, p_password_hash, p_totp_secret)
    ON CONFLICT (person_id) DO UPDATE
    SET login = excluded.login, api_key_id = excluded.api_key_id, password_hash = excluded.password_hash,
        totp_secret = excluded.totp_secret, totp_step = 0, changed_at = now();
    DELETE FROM rewards.console_session WHERE console_session.person_id = v_api_key.person_id;
    DELETE FROM rewards.console_passkey WHERE console_passkey.person_id = v_api_key.person_id;
    RETURN v_api_key.person_id;
END
$function$;

-- Adds a passkey to the person whose session this is, and records it in the audit trail. Returns false when the session is over,
-- they have ten passkeys, or somebody has this one.
-- Locks the login, and then the brand's end of the trail.
CREATE FUNCTION rewards.add_console_passkey_v1(
    p_session_hash  bytea,
    p_credential_id bytea,
    p_credential    bytea,
    p_name          text
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    c_passkeys_max  CONSTANT integer := 10;
    v_login         rewards.console_login;
BEGIN
    SELECT console_login.* INTO v_login
    FROM rewards.console_session
    JOIN rewards.console_login ON console_login.person_id = console_session.person_id
    WHERE console_session.session_hash = p_session_hash AND console_session.expires_at > clock_timestamp()
    FOR NO KEY UPDATE OF console_login;
    IF v_login.person_id IS NULL
        OR (SELECT count(*) FROM rewards.console_passkey WHERE console_passkey.person_id = v_login.person_id) >= c_passkeys_max
    THEN
        RETURN false;
    END IF;
    INSERT INTO rewards.console_passkey (credential_id, person_id, name, credential, challenged_at)
    VALUES (p_credential_id, v_login.person_id, p_name, p_credential, clock_timestamp())
    ON CONFLICT (credential_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(1635083380, v_login.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_login.brand_id, v_login.api_key_id, 'person.passkey_add', 'per_' || v_login.person_id,
        jsonb_build_object('name', p_name)
    );
    RETURN true;
END
$function$;

-- Removes a passkey of the person whose session this is, and records it in the audit trail. Returns false when they have none
-- such.
-- Locks the passkey, and then the brand's end of the trail.
CREATE FUNCTION rewards.remove_console_passkey_v1(p_session_hash bytea, p_credential_id bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_login  rewards.console_login;
    v_name   text;
BEGIN
    SELECT console_login.* INTO v_login
    FROM rewards.console_session
    JOIN rewards.console_login ON console_login.person_id = console_session.person_id
    WHERE console_session.session_hash = p_session_hash AND console_session.expires_at > clock_timestamp();
    DELETE FROM rewards.console_passkey
    WHERE console_passkey.credential_id = p_credential_id AND console_passkey.person_id = v_login.person_id
    RETURNING console_passkey.name INTO v_name;
    IF v_name IS NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(1635083380, v_login.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, before)
    VALUES (
        v_login.brand_id, v_login.api_key_id, 'person.passkey_remove', 'per_' || v_login.person_id,
        jsonb_build_object('name', v_name)
    );
    RETURN true;
END
$function$;

-- The passkeys of the person whose session this is, oldest first. Locks nothing.
CREATE FUNCTION rewards.console_passkeys_v1(p_session_hash bytea)
RETURNS TABLE (credential_id bytea, name text, added_at timestamptz, last_used_at timestamptz)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT console_passkey.credential_id, console_passkey.name, console_passkey.added_at, console_passkey.last_used_at
    FROM rewards.console_session
    JOIN rewards.console_passkey ON console_passkey.person_id = console_session.person_id
    WHERE console_session.session_hash = p_session_hash
    ORDER BY console_passkey.added_at, console_passkey.credential_id;
$function$;

-- Whose a passkey is, and what its signatures are checked with. Locks nothing.
CREATE FUNCTION rewards.console_passkey_v1(p_credential_id bytea)
RETURNS TABLE (person_id integer, credential bytea)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT console_passkey.person_id, console_passkey.credential
    FROM rewards.console_passkey
    WHERE console_passkey.credential_id = p_credential_id;
$function$;

-- Notes that a passkey signed a challenge of p_challenged_at. Returns false when it has signed that one or a later one before: a
-- signature is good once.
-- Locks the passkey.
CREATE FUNCTION rewards.use_console_passkey_v1(p_credential_id bytea, p_challenged_at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    UPDATE rewards.console_passkey
    SET challenged_at = p_challenged_at, last_used_at = clock_timestamp()
    WHERE console_passkey.credential_id = p_credential_id AND console_passkey.challenged_at < p_challenged_at;
    RETURN FOUND;
END
$function$;

REVOKE ALL ON FUNCTION
    rewards.add_console_passkey_v1, rewards.console_passkey_v1, rewards.console_passkeys_v1, rewards.remove_console_passkey_v1,
    rewards.use_console_passkey_v1
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    rewards.add_console_passkey_v1, rewards.console_passkey_v1, rewards.console_passkeys_v1, rewards.remove_console_passkey_v1,
    rewards.use_console_passkey_v1
TO rewards_application;
