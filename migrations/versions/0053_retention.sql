-- Removes looks at customers from before p_before from the audit trail, of the p_limit entries that follow p_reached; never one of the
-- last year, and nothing else: what was done stays. Returns how far it has come, p_reached if there is nothing to do. Locks what it removes.
CREATE FUNCTION rewards.forget_looks_v1(p_reached bigint, p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_before   CONSTANT timestamptz := least(p_before, clock_timestamp() - interval '365 days');
    v_reached  bigint;
BEGIN
    SELECT coalesce(min(page.entry_no) FILTER (WHERE page.happened_at >= v_before) - 1, max(page.entry_no), p_reached)
    INTO v_reached
    FROM (
        SELECT entry.entry_no, entry.happened_at FROM rewards.audit_trail AS entry
        WHERE entry.entry_no > p_reached
        ORDER BY entry.entry_no
        LIMIT p_limit
    ) AS page;
    DELETE FROM rewards.audit_trail AS entry
    WHERE entry.entry_no > p_reached AND entry.entry_no <= v_reached AND entry.act = 'customer.look';
    RETURN v_reached;
END
$function$;

-- Removes where customers said what they consent to, of the p_limit statements from before p_before that follow p_reached: what they said,
-- and when, stays. Returns how far it has come. Locks what it changes.
CREATE FUNCTION rewards.forget_consent_texts_v1(p_reached bigint, p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_reached  bigint;
BEGIN
    SELECT coalesce(min(page.consent_no) FILTER (WHERE page.recorded_at >= p_before) - 1, max(page.consent_no), p_reached)
    INTO v_reached
    FROM (
        SELECT consent.consent_no, consent.recorded_at FROM rewards.consent
        WHERE consent.consent_no > p_reached
        ORDER BY consent.consent_no
        LIMIT p_limit
    ) AS page;
    UPDATE rewards.consent SET source = 'erased ' || consent.consent_no
    WHERE consent.consent_no > p_reached AND consent.consent_no <= v_reached;
    RETURN v_reached;
END
$function$;

-- Removes what was asked for customers, with note and answer, of the p_limit approvals from before p_before that follow p_reached: who
-- asked, who decided and when stays. One that waits is never as old. Returns how far it has come. Locks what it changes.
CREATE FUNCTION rewards.forget_approvals_v1(p_reached bigint, p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_before   CONSTANT timestamptz := least(p_before, clock_timestamp() - interval '91 days');
    v_reached  bigint;
BEGIN
    SELECT coalesce(min(page.approval_no) FILTER (WHERE page.asked_at >= v_before) - 1, max(page.approval_no), p_reached)
    INTO v_reached
    FROM (
        SELECT approval.approval_no, approval.asked_at FROM rewards.approval
        WHERE approval.approval_no > p_reached
        ORDER BY approval.approval_no
        LIMIT p_limit
    ) AS page;
    UPDATE rewards.approval SET body = '{}', key = '', note = NULL, result = NULL
    WHERE approval.approval_no > p_reached AND approval.approval_no <= v_reached
        AND approval.customer IS NOT NULL AND approval.kind <> 'customer.erase';
    RETURN v_reached;
END
$function$;

-- Deletes at most p_limit links that expired before p_before. Returns how many. Locks what it deletes.
CREATE FUNCTION rewards.forget_links_v1(p_before timestamptz, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_deleted  integer;
BEGIN
    DELETE FROM rewards.link
    WHERE link.link_id = ANY (ARRAY(
        SELECT old.link_id FROM rewards.link AS old
        WHERE old.minted_at < p_before AND old.expires_at < least(p_before, clock_timestamp() - interval '90 days')
        LIMIT p_limit
    ));
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$function$;
