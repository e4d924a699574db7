-- What each role may do with the service's tables and functions, as it must be: run after every change, and when a restored
-- database has lost it. A migration that adds a table, a column that is written, or a function adds its rights here too; a test
-- compares. What is not granted here is nobody's but the owner's.

DO $rights$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN
        SELECT class.oid::regclass::text FROM pg_catalog.pg_class AS class
        WHERE class.relnamespace = 'rewards'::regnamespace AND class.relkind IN ('r', 'p', 'S')
    LOOP
        EXECUTE pg_catalog.format(
            'REVOKE ALL ON %s FROM PUBLIC, rewards_application, rewards_worker, rewards_reader', v_name
        );
    END LOOP;
    FOR v_name IN
        SELECT proc.oid::regprocedure::text FROM pg_catalog.pg_proc AS proc WHERE proc.pronamespace = 'rewards'::regnamespace
    LOOP
        EXECUTE pg_catalog.format(
            'REVOKE ALL ON FUNCTION %s FROM PUBLIC, rewards_application, rewards_worker, rewards_reader', v_name
        );
    END LOOP;
    -- A day's partition is emptied and taken again, so nobody needs the right to make or drop a table.
    FOR v_name IN
        SELECT inherits.inhrelid::regclass::text FROM pg_catalog.pg_inherits AS inherits
        WHERE inherits.inhparent IN (
            'rewards.touch'::regclass, 'rewards.envelope'::regclass, 'rewards.envelope_outcome'::regclass
        )
    LOOP
        EXECUTE pg_catalog.format('GRANT TRUNCATE ON %s TO rewards_worker', v_name);
    END LOOP;
END
$rights$;

GRANT USAGE ON SCHEMA rewards TO rewards_application, rewards_worker, rewards_reader;

-- The API.
GRANT SELECT ON
    rewards.alembic_version, rewards.audit_trail, rewards.brand, rewards.link_host, rewards.touch_count, rewards.touch_reader, rewards.verification
TO rewards_application;

GRANT SELECT, INSERT, UPDATE (name, campaign_no, withdrawn, changed_at, changed_by) ON rewards.adjustment_reason
TO rewards_application;

GRANT SELECT, INSERT, UPDATE (
    status, lines, gathered_to, checked, checked_at, refused, skipped, customers, expected_taken, expected_given,
    expected_shortfall, lines_hash, approval_no, started_at, started_by, begun, settled, made, failed, taken, given, shortfall,
    error, ended_at, leased_until, attempt
) ON rewards.correction_job TO rewards_application;

GRANT SELECT, INSERT, UPDATE (
    kind, customer, points, state, expected, expected_shortfall, moved, shortfall, correction_no, seq, code, detail
) ON rewards.correction_line TO rewards_application;

GRANT SELECT, INSERT ON
    rewards.batch_code, rewards.brand_logo, rewards.brand_point_value, rewards.campaign, rewards.campaign_version,
    rewards.answered_message, rewards.code_batch, rewards.consent, rewards.customer, rewards.destination, rewards.estimate,
    rewards.identity, rewards.link, rewards.link_code, rewards.message, rewards.link_revocation, rewards.minting_key, rewards.parted, rewards.preference, rewards.touch
TO rewards_application;

GRANT SELECT, INSERT, UPDATE (revoked_at, day, receipts, points, nonces) ON rewards.app_device TO rewards_application;

GRANT DELETE ON rewards.identity, rewards.link_revocation TO rewards_application;

GRANT SELECT, INSERT, DELETE, UPDATE (machine, files, waiting_since, reported_at) ON rewards.spool_report TO rewards_application;

GRANT UPDATE (customer, claimed_at) ON rewards.batch_code TO rewards_application;

GRANT UPDATE (
    name, points_name, accent_color, destination_hosts, point_value_version, consent_no, language, logo, home_url,
    link_base_url, app_links, goals, late_capture_grace_s, logo_dark, banner, font, corner_radius
) ON rewards.brand TO rewards_application;

GRANT INSERT, DELETE, UPDATE (
    base_url, state, proven_by, verified_at, checked_at, next_check_at, missing_since, lapses_at, last_error
) ON rewards.link_host TO rewards_application;

GRANT UPDATE (current_version, paused_at) ON rewards.campaign TO rewards_application;

GRANT UPDATE (confirmed, merged_into, absorbed, verified, refused, consent_no, generation, parted)
ON rewards.customer TO rewards_application;

GRANT UPDATE (verified_by) ON rewards.identity TO rewards_application;

GRANT SELECT, INSERT, UPDATE (state, lapses_at, is_stated, ended_at) ON rewards.offer TO rewards_application;

GRANT SELECT, INSERT, UPDATE (delivered_at, opened_at, clicked_at, failed_at) ON rewards.offer_message TO rewards_application;

GRANT UPDATE (retired_at, revoked_at) ON rewards.minting_key TO rewards_application;

GRANT UPDATE (frequency, answered_at) ON rewards.preference TO rewards_application;

GRANT SELECT, INSERT, UPDATE (reply, said_at) ON rewards.reply_text TO rewards_application;

GRANT INSERT (brand_id, identity_no, method, proof, reason, happened_at, api_key_id)
ON rewards.verification TO rewards_application;

GRANT SELECT, INSERT, UPDATE (status, ended_at, deleted_at, files, attempt) ON rewards.export_job TO rewards_application;

GRANT USAGE ON SEQUENCE rewards.customer_generation TO rewards_application;

-- All of a key but its hash.
GRANT SELECT (
    api_key_id, brand_id, name, prefix, scopes, max_evidence, created_at, expires_at, revoked_at, last_used_at,
    quota_per_minute, lateness_hours, made_by, quota_of, person_id
) ON rewards.api_key TO rewards_application;

-- Who decides an approval is decided by functions: the application asks, and says what came of it.
GRANT SELECT ON rewards.approval TO rewards_application;

GRANT INSERT (
    brand_id, kind, subject, body, digest, amount, customer, key, request_key, exceeds, asked_by, expires_at
) ON rewards.approval TO rewards_application;

GRANT UPDATE (executed_at, result, error) ON rewards.approval TO rewards_application;

GRANT SELECT, INSERT ON
    rewards.approval_policy, rewards.approval_use, rewards.close_version, rewards.restatement
TO rewards_application;

GRANT UPDATE (last_used_at) ON rewards.api_key TO rewards_application;

-- All of a person but the hash of an invitation.
GRANT SELECT (
    person_id, brand_id, name, roles, scopes, invited_at, invitation_expires_at, enrolled_at, disabled_at
) ON rewards.person TO rewards_application;

-- The trail is appended to, under a key's name: an operator's entry and its time are not the application's to write.
GRANT INSERT (brand_id, api_key_id, act, subject, before, after, request) ON rewards.audit_trail TO rewards_application;

-- Who signs in to the console is decided by functions: nobody reads a password's hash but for one login.
GRANT EXECUTE ON FUNCTION
    rewards.add_console_passkey_v1, rewards.console_login_v1, rewards.console_passkey_v1, rewards.console_passkeys_v1,
    rewards.console_session_v1, rewards.end_console_session_v1, rewards.enrol_console_v1, rewards.enrol_console_v2,
    rewards.person_of_invitation_v1, rewards.person_of_subject_v1,
    rewards.remove_console_passkey_v1, rewards.start_console_session_v1, rewards.use_console_passkey_v1
TO rewards_application;

GRANT EXECUTE ON FUNCTION
    rewards.create_key_v1, rewards.create_key_v2, rewards.decide_approval_v1, rewards.disable_person_v2, rewards.enrol_person_v1,
    rewards.expire_approvals_v1, rewards.key_of_hash_v1, rewards.key_of_hash_v2, rewards.key_of_hash_v3, rewards.lease_quota_v1,
    rewards.line_of_key_v1, rewards.record_link_host_v1, rewards.revoke_key_v1, rewards.revoke_key_v2, rewards.set_issue_limit_v1,
    rewards.store_envelopes_v1
TO rewards_application;

GRANT SELECT ON rewards.identity_provider, rewards.tombstone TO rewards_application;

GRANT DELETE ON rewards.tombstone TO rewards_application;

GRANT SELECT, INSERT (brand_id, customer, asked_by, approval_no, by_customer, erases_at), UPDATE (state) ON rewards.erasure
TO rewards_application;

-- What providers send.
GRANT SELECT, INSERT, UPDATE (
    name, public_url, trust, campaign, daily_points_max, silent_after_hours, secrets, api_key_id, disabled_at,
    shape, mapping, numbered_since
) ON rewards.source TO rewards_application;

GRANT SELECT, INSERT, UPDATE (last_no, verified_at, refused_at) ON rewards.source_head TO rewards_application;

GRANT SELECT, INSERT, UPDATE (read_no, began_at, day, points) ON rewards.source_reader TO rewards_application;

GRANT SELECT, INSERT, UPDATE (takes, state) ON rewards.replayed_event TO rewards_application;

GRANT SELECT, INSERT ON rewards.envelope, rewards.envelope_key, rewards.envelope_outcome TO rewards_application;

GRANT SELECT, INSERT, UPDATE (read_no, done_at, totals, lines_hash, error) ON rewards.source_replay TO rewards_application;

-- The worker.
GRANT SELECT ON
    rewards.alembic_version, rewards.brand, rewards.brand_point_value, rewards.campaign, rewards.campaign_version,
    rewards.customer, rewards.destination, rewards.identity, rewards.link, rewards.link_host, rewards.touch,
    rewards.touch_count, rewards.touch_reader
TO rewards_worker;

GRANT UPDATE (state, proven_by, checked_at, next_check_at, missing_since, lapses_at, last_error)
ON rewards.link_host TO rewards_worker;

GRANT EXECUTE ON FUNCTION rewards.record_link_host_v1 TO rewards_worker;

GRANT SELECT, UPDATE (
    status, leased_until, attempt, rows_read, rows_of, files, error, ended_at, deleted_at, stored
) ON rewards.export_job TO rewards_worker;

GRANT INSERT (
    brand_id, business_date, counts_from, formats, customers, sub_accounts, since_name, since_seq, since_posted_at, cut_name, cut_seq,
    cut_posted_at, request_hash
) ON rewards.export_job TO rewards_worker;

GRANT INSERT, UPDATE ON rewards.touch_count TO rewards_worker;

GRANT UPDATE ON rewards.touch_reader TO rewards_worker;

GRANT SELECT ON rewards.parted TO rewards_worker;

GRANT SELECT, UPDATE (state, erases_at, messages, erased_at) ON rewards.erasure TO rewards_worker;

GRANT SELECT (job_no, status, begun, settled) ON rewards.correction_job TO rewards_worker;

GRANT SELECT (job_no, line_no, customer) ON rewards.correction_line TO rewards_worker;

GRANT DELETE ON rewards.touch TO rewards_worker;

GRANT EXECUTE ON FUNCTION rewards.erase_customer_v1 TO rewards_worker;

GRANT SELECT, INSERT, UPDATE ON rewards.retention TO rewards_worker;

GRANT EXECUTE ON FUNCTION
    rewards.forget_approvals_v1, rewards.forget_consent_texts_v1, rewards.forget_links_v1, rewards.forget_looks_v1,
    rewards.forget_messages_v1, rewards.forget_offers_v1, rewards.forget_reply_texts_v1
TO rewards_worker;

GRANT SELECT ON rewards.source_reader, rewards.source_replay, rewards.envelope TO rewards_worker;

GRANT SELECT, DELETE ON rewards.replayed_event TO rewards_worker;

GRANT SELECT, DELETE ON rewards.envelope_key TO rewards_worker;

-- Reports.
GRANT SELECT (
    link_id, brand_id, campaign_no, campaign_version, customer, message_id, action, channel, label, kind, mode, minted_by,
    minted_at, sent_at, expires_at
) ON rewards.link TO rewards_reader;

GRANT SELECT ON
    rewards.alembic_version, rewards.audit_trail, rewards.brand, rewards.brand_point_value, rewards.campaign,
    rewards.adjustment_reason, rewards.campaign_version, rewards.close_version, rewards.estimate, rewards.link_host, rewards.restatement
TO rewards_reader;
