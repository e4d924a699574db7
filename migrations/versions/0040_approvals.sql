ALTER TABLE rewards.api_key DROP CONSTRAINT api_key_mints_or_funds_or_approves;

ALTER TABLE rewards.api_key ADD CONSTRAINT api_key_mints_or_funds_or_approves CHECK (
    NOT (
        scopes && ARRAY['grants:write', 'links:write']
        AND scopes && ARRAY['funds:write', 'grants:approve', 'approvals:write']
    )
    AND NOT (scopes @> ARRAY['funds:write'] AND scopes && ARRAY['grants:approve', 'approvals:write'])
);

-- A key, the key that made it, and so on up to the first; each with the person whose it is. Locks nothing.
CREATE FUNCTION rewards.line_of_key_v1(p_api_key_id integer)
RETURNS TABLE (api_key_id integer, made_by integer, person_id integer)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
    WITH RECURSIVE line AS (
        SELECT api_key.api_key_id, api_key.made_by, api_key.person_id
        FROM rewards.api_key
        WHERE api_key.api_key_id = p_api_key_id
        UNION ALL
        SELECT api_key.api_key_id, api_key.made_by, api_key.person_id
        FROM line
        JOIN rewards.api_key ON api_key.api_key_id = line.made_by
    )
    SELECT line.api_key_id, line.made_by, line.person_id FROM line;
$function$;

-- Approves or declines an approval of the caller's brand, and records it in the audit trail. The caller is the key of this hash;
-- p_digest is what the caller has seen of the request. Returns what became of it, in order of precedence:
--   unauthorized    the key is not valid, or may not approve
--   not_found       the brand has no such approval
--   digest_differs  it is of another request
--   decided         it was decided the same way before: nothing changes
--   decided_before  it was decided the other way, or has expired
--   expired         its time is over
--   needs_a_person  to approve: the key is a system's
--   own_request     to approve: the caller and the maker are one person, or their keys have one in common that they come from
--   enrolled_later  to approve: the person enrolled after the request was made
--   maker_revoked   to approve: the key that made the request is not valid any more
--   decided_now     it is decided
-- Locks the approval, and then the brand's end of the trail.
CREATE FUNCTION rewards.decide_approval_v1(
    p_caller_hash  bytea,
    p_approval_no  bigint,
    p_digest       bytea,
    p_approves     boolean,
    p_note         text
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_decision  CONSTANT text := CASE WHEN p_approves THEN 'approved' ELSE 'declined' END;
    v_caller    rewards.api_key;
    v_approval  rewards.approval;
BEGIN
    SELECT api_key.* INTO v_caller
    FROM rewards.api_key
    WHERE api_key.secret_hash = p_caller_hash
        AND api_key.revoked_at IS NULL
        AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp())
    FOR SHARE;
    IF v_caller.api_key_id IS NULL OR NOT 'approvals:write' = ANY (v_caller.scopes) THEN
        RETURN 'unauthorized';
    END IF;
    SELECT approval.* INTO v_approval
    FROM rewards.approval
    WHERE approval.approval_no = p_approval_no AND approval.brand_id = v_caller.brand_id
    FOR NO KEY UPDATE;
    IF v_approval.approval_no IS NULL THEN
        RETURN 'not_found';
    ELSIF v_approval.digest <> p_digest THEN
        RETURN 'digest_differs';
    ELSIF v_approval.decision IS NOT NULL THEN
        RETURN CASE v_approval.decision WHEN v_decision THEN 'decided' WHEN 'expired' THEN 'expired' ELSE 'decided_before' END;
    ELSIF v_approval.expires_at <= clock_timestamp() THEN
        RETURN 'expired';
    END IF;
    IF p_approves THEN
        IF v_caller.person_id IS NULL THEN
            RETURN 'needs_a_person';
        ELSIF EXISTS (
            SELECT FROM rewards.line_of_key_v1(v_caller.api_key_id) AS checker
            JOIN rewards.line_of_key_v1(v_approval.asked_by) AS maker
                ON maker.api_key_id = checker.api_key_id OR maker.person_id = checker.person_id
        ) THEN
            RETURN 'own_request';
        ELSIF NOT EXISTS (
            SELECT FROM rewards.person
            WHERE person.person_id = v_caller.person_id AND person.enrolled_at < v_approval.asked_at
        ) THEN
            RETURN 'enrolled_later';
        ELSIF NOT EXISTS (
            SELECT FROM rewards.api_key
            WHERE api_key.api_key_id = v_approval.asked_by
                AND api_key.revoked_at IS NULL
                AND (api_key.expires_at IS NULL OR api_key.expires_at > clock_timestamp())
        ) THEN
            RETURN 'maker_revoked';
        END IF;
    END IF;

    UPDATE rewards.approval
    SET decision = v_decision, decided_by = v_caller.api_key_id, decided_at = clock_timestamp(), note = p_note
    WHERE approval.approval_no = p_approval_no;
    PERFORM pg_advisory_xact_lock(1635083380, v_caller.brand_id);
    INSERT INTO rewards.audit_trail (brand_id, api_key_id, act, subject, after)
    VALUES (
        v_caller.brand_id, v_caller.api_key_id, CASE WHEN p_approves THEN 'approval.approve' ELSE 'approval.decline' END,
        'apr_' || p_approval_no,
        jsonb_build_object(
            'kind', v_approval.kind, 'subject', v_approval.subject, 'amount', v_approval.amount,
            'digest', encode(v_approval.digest, 'hex'), 'note', p_note
        )
    );
    RETURN 'decided_now';
END
$function$;

-- Lets up to p_limit approvals expire that nobody decided in time, and records each in the audit trail. Returns how many.
-- Locks them, in their order, and then the ends of their brands' trails, in order of the brands.
CREATE FUNCTION rewards.expire_approvals_v1(p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_found   bigint[];
    v_brands  integer[];
BEGIN
    SELECT array_agg(late.approval_no), array_agg(DISTINCT late.brand_id ORDER BY late.brand_id) INTO v_found, v_brands
    FROM (
        SELECT approval.approval_no, approval.brand_id FROM rewards.approval
        WHERE approval.decision IS NULL AND approval.expires_at <= clock_timestamp()
        ORDER BY approval.approval_no
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS late;
    IF v_found IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE rewards.approval SET decision = 'expired', decided_at = clock_timestamp()
    WHERE approval.approval_no = ANY (v_found);
    PERFORM pg_advisory_xact_lock(1635083380, brand.brand_id) FROM unnest(v_brands) AS brand (brand_id);
    INSERT INTO rewards.audit_trail (brand_id, by_operator, act, subject, after)
    SELECT approval.brand_id, true, 'approval.expire', 'apr_' || approval.approval_no,
        jsonb_build_object('kind', approval.kind, 'subject', approval.subject, 'amount', approval.amount)
    FROM rewards.approval
    WHERE approval.approval_no = ANY (v_found)
    ORDER BY approval.approval_no;
    RETURN cardinality(v_found);
END
$function$;

REVOKE ALL ON FUNCTION rewards.line_of_key_v1, rewards.decide_approval_v1, rewards.expire_approvals_v1 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    rewards.line_of_key_v1, rewards.decide_approval_v1, rewards.expire_approvals_v1
TO rewards_application;

GRANT SELECT ON rewards.approval TO rewards_application;

GRANT INSERT (
    brand_id, kind, subject, body, digest, amount, customer, key, request_key, exceeds, asked_by, expires_at
) ON rewards.approval TO rewards_application;

GRANT UPDATE (executed_at, result, error) ON rewards.approval TO rewards_application;

GRANT SELECT, INSERT ON rewards.approval_use, rewards.approval_policy TO rewards_application;
