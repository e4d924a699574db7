-- Lets a person with an invitation sign in to the console, as p_login with a password and one-time codes, or as p_subject of the
-- brand's identity provider; what does not apply is NULL. The invitation makes the key with which they act there (see
-- enrol_person_v1), of which nobody has the text. They are signed out everywhere, and have no passkeys any more. Returns the
-- person, or NULL when there is no such invitation, or not any more. Raises unique_violation when another person of the brand has
-- the login or is that subject.
-- Locks the person, then the brand's end of the trail, and then the login.
CREATE FUNCTION rewards.enrol_console_v2(
    p_invitation_hash  bytea,
    p_secret_hash      bytea,
    p_login            text,
    p_password_hash    text,
    p_totp_secret      bytea,
    p_subject          text
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
    INSERT INTO rewards.console_login (person_id, brand_id, login, api_key_id, password_hash, totp_secret, subject)
    VALUES (v_api_key.person_id, v_api_key.brand_id, p_login, v_api_key.api_key_id, p_password_hash, p_totp_secret, p_subject)
    ON CONFLICT (person_id) DO UPDATE
    SET login = excluded.login, api_key_id = excluded.api_key_id, password_hash = excluded.password_hash,
        totp_secret = excluded.totp_secret, totp_step = 0, subject = excluded.subject, changed_at = now();
    DELETE FROM rewards.console_session WHERE console_session.person_id = v_api_key.person_id;
    DELETE FROM rewards.console_passkey WHERE console_passkey.person_id = v_api_key.person_id;
    RETURN v_api_key.person_id;
END
$function$;

-- As enrol_console_v2, for a person who signs in without the brand's identity provider.
CREATE OR REPLACE FUNCTION rewards.enrol_console_v1(
    p_invitation_hash  bytea,
    p_secret_hash      bytea,
    p_login            text,
    p_password_hash    text,
    p_totp_secret      bytea
) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT rewards.enrol_console_v2(p_invitation_hash, p_secret_hash, p_login, p_password_hash, p_totp_secret, NULL);
$function$;

-- Who of a brand's people this subject of its identity provider is, if they are not disabled. Locks nothing.
CREATE FUNCTION rewards.person_of_subject_v1(p_brand_id integer, p_subject text) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    SELECT console_login.person_id
    FROM rewards.console_login
    JOIN rewards.person ON person.person_id = console_login.person_id
    WHERE console_login.brand_id = p_brand_id AND console_login.subject = p_subject AND person.disabled_at IS NULL;
$function$;

REVOKE ALL ON FUNCTION rewards.enrol_console_v2, rewards.person_of_subject_v1 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.enrol_console_v2, rewards.person_of_subject_v1 TO rewards_application;

GRANT SELECT ON rewards.identity_provider TO rewards_application;
