-- Whom an invitation is for that is still good: the person, their name and roles, and their brand. Locks nothing.
CREATE FUNCTION rewards.person_of_invitation_v1(p_invitation_hash bytea)
RETURNS TABLE (person_id integer, brand_id integer, name text, roles text[])
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT person.person_id, person.brand_id, person.name, person.roles
    FROM rewards.person
    WHERE person.invitation_hash = p_invitation_hash
        AND person.invitation_expires_at > clock_timestamp()
        AND person.disabled_at IS NULL;
$function$;

-- Lets a person with an invitation sign in to the console, as p_login with a password and one-time codes; both are NULL of somebody
-- who signs in by other means. The invitation makes the key with which they act there (see enrol_person_v1), of which nobody has
-- the text. A person who had lost their password is signed out everywhere. Returns the person, or NULL when there is no such
-- invitation, or not any more. Raises unique_violation when another person of the brand has the login.
-- Locks the person, then the brand's end of the trail, and then the login.
CREATE FUNCTION rewards.enrol_console_v1(
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
    RETURN v_api_key.person_id;
END
$function$;

-- How somebody signs in who calls themself p_login at the brand of this code, if they have a password and are not disabled.
-- Locks nothing.
CREATE FUNCTION rewards.console_login_v1(p_brand_code text, p_login text)
RETURNS TABLE (person_id integer, password_hash text, totp_secret bytea, totp_step bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT console_login.person_id, console_login.password_hash, console_login.totp_secret, console_login.totp_step
    FROM rewards.console_login
    JOIN rewards.brand ON brand.brand_id = console_login.brand_id
    JOIN rewards.person ON person.person_id = console_login.person_id
    WHERE brand.code = p_brand_code
        AND console_login.login = p_login
        AND console_login.password_hash IS NOT NULL
        AND person.disabled_at IS NULL;
$function$;

-- Signs a person in until p_expires_at, and records it in the audit trail. The one-time code was of p_totp_step, and no code of
-- then or before is good again; NULL: they have shown who they are as p_method says. Their sessions that are over are forgotten.
-- Returns false when they are disabled, or the code was used.
-- Locks the login, and then the brand's end of the trail.
CREATE FUNCTION rewards.start_console_session_v1(
    p_person_id     integer,
    p_session_hash  bytea,
    p_method        text,
    p_totp_step     bigint,
    p_expires_at    timestamptz
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_login  rewards.console_login;
BEGIN
    UPDATE rewards.console_login
    SET totp_step = coalesce(p_totp_step, console_login.totp_step)
    FROM rewards.person
    WHERE console_login.person_id = p_person_id
        AND person.person_id = p_person_id
        AND person.disabled_at IS NULL
        AND (p_totp_step IS NULL OR console_login.totp_step < p_totp_step)
    RETURNING console_login.* INTO v_login;
    IF v_login.person_id IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM rewards.console_session
    WHERE console_session.person_id = p_person_id AND console_session.expires_at <= clock_timestamp();
    INSERT INTO rewards.console_session (session_hash, person_id, expires_at)
    VALUES (p_session_hash, p_person_id, p_expires_at);
    PERFORM pg_advisory_xact_lock(1635083380, v_login.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_login.brand_id, v_login.api_key_id, 'person.sign_in', 'per_' || p_person_id,
        jsonb_build_object('method', p_method, 'until', p_expires_at)
    );
    RETURN true;
END
$function$;

-- Whose the session of this hash is, and the hash of the key with which they act: what functions take for the key itself. Nothing
-- when it has ended, was not used for p_idle_s seconds, or its person is disabled. That it is used is noted once a minute.
-- Locks the session when it notes that.
CREATE FUNCTION rewards.console_session_v1(p_session_hash bytea, p_idle_s integer)
RETURNS TABLE (person_id integer, roles text[], key_hash bytea, expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    UPDATE rewards.console_session
    SET last_seen_at = clock_timestamp()
    WHERE console_session.session_hash = p_session_hash
        AND console_session.last_seen_at < clock_timestamp() - interval '1 minute'
        AND console_session.last_seen_at > clock_timestamp() - make_interval(secs => p_idle_s);
    RETURN QUERY
    SELECT console_session.person_id, person.roles, api_key.secret_hash, console_session.expires_at
    FROM rewards.console_session
    JOIN rewards.console_login ON console_login.person_id = console_session.person_id
    JOIN rewards.person ON person.person_id = console_session.person_id
    JOIN rewards.api_key ON api_key.api_key_id = console_login.api_key_id
    WHERE console_session.session_hash = p_session_hash
        AND console_session.expires_at > clock_timestamp()
        AND console_session.last_seen_at > clock_timestamp() - make_interval(secs => p_idle_s)
        AND person.disabled_at IS NULL;
END
$function$;

-- Ends the session of this hash, or with p_everywhere all of its person's, and records it in the audit trail. Returns how many.
-- Locks them, and then the brand's end of the trail.
CREATE FUNCTION rewards.end_console_session_v1(p_session_hash bytea, p_everywhere boolean) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_login  rewards.console_login;
    v_ended  integer;
BEGIN
    SELECT console_login.* INTO v_login
    FROM rewards.console_session
    JOIN rewards.console_login ON console_login.person_id = console_session.person_id
    WHERE console_session.session_hash = p_session_hash;
    DELETE FROM rewards.console_session
    WHERE console_session.person_id = v_login.person_id
        AND (p_everywhere OR console_session.session_hash = p_session_hash);
    GET DIAGNOSTICS v_ended = ROW_COUNT;
    IF v_ended > 0 THEN
        PERFORM pg_advisory_xact_lock(1635083380, v_login.brand_id);
        INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
        VALUES (
            v_login.brand_id, v_login.api_key_id, 'person.sign_out', 'per_' || v_login.person_id,
            jsonb_build_object('sessions', v_ended)
        );
    END IF;
    RETURN v_ended;
END
$function$;

REVOKE ALL ON FUNCTION
    rewards.console_login_v1, rewards.console_session_v1, rewards.end_console_session_v1, rewards.enrol_console_v1,
    rewards.person_of_invitation_v1, rewards.start_console_session_v1
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    rewards.console_login_v1, rewards.console_session_v1, rewards.end_console_session_v1, rewards.enrol_console_v1,
    rewards.person_of_invitation_v1, rewards.start_console_session_v1
TO rewards_application;
