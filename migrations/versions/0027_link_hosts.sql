-- Records in the audit trail what became of a brand's link host without anybody's key: a check did not find the proof, or the
-- host lapsed. Nothing else can be recorded so. The lock is that of every entry: they are numbered in the order of commits.
CREATE FUNCTION rewards.record_link_host_v1(
    p_brand_id  integer,
    p_act       text,
    p_host      text,
    p_before    jsonb,
    p_after     jsonb
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF p_act NOT IN ('link_host.missing', 'link_host.lapse') THEN
        RAISE EXCEPTION 'only what became of a link host is recorded here, not %', p_act USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_catalog.pg_advisory_xact_lock(1635083380, p_brand_id);
    INSERT INTO rewards.audit_trail (brand_id, by_operator, act, subject, before, after)
    VALUES (p_brand_id, true, p_act, p_host, p_before, p_after);
END;
$function$;

REVOKE ALL ON FUNCTION rewards.record_link_host_v1 FROM PUBLIC;
