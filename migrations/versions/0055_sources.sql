-- A day's partition is emptied and taken again, so nobody needs the right to make or drop a table.
DO $$
DECLARE
    v_table  text;
    v_name   text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['envelope', 'envelope_outcome'] LOOP
        FOR slot IN 0..39 LOOP
            v_name := v_table || '_' || lpad(slot::text, 2, '0');
            EXECUTE format('CREATE TABLE rewards.%I PARTITION OF rewards.%I FOR VALUES IN (%s)', v_name, v_table, slot);
            EXECUTE format('GRANT TRUNCATE ON rewards.%I TO rewards_worker', v_name);
        END LOOP;
    END LOOP;
END $$;

-- Stores envelopes of any sources in the partition p_slot, numbered by source in the order in which they are given: what is
-- committed later has a higher number. Says of each source when it was last verified and last refused.
-- Locks the heads of the sources, in the order of their numbers.
CREATE FUNCTION rewards.store_envelopes_v1(
    p_slot         smallint,
    p_source_no    integer[],
    p_id           bytea[],
    p_received_at  timestamptz[],
    p_verdict      text[],
    p_reason       text[],
    p_bytes        integer[],
    p_key_day      date[],
    p_sealed       bytea[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM FROM rewards.source_head
    WHERE source_head.source_no = ANY (p_source_no)
    ORDER BY source_head.source_no
    FOR NO KEY UPDATE;

    INSERT INTO rewards.envelope (slot, source_no, envelope_no, id, received_at, verdict, reason, bytes, key_day, sealed)
    SELECT p_slot, given.source_no,
        source_head.last_no + row_number() OVER (PARTITION BY given.source_no ORDER BY given.n),
        given.id, given.received_at, given.verdict, given.reason, given.bytes, given.key_day, given.sealed
    FROM unnest(p_source_no, p_id, p_received_at, p_verdict, p_reason, p_bytes, p_key_day, p_sealed) WITH ORDINALITY
        AS given (source_no, id, received_at, verdict, reason, bytes, key_day, sealed, n)
    JOIN rewards.source_head ON source_head.source_no = given.source_no;

    UPDATE rewards.source_head SET
        last_no = source_head.last_no + stored.envelopes,
        verified_at = greatest(source_head.verified_at, stored.verified_at),
        refused_at = greatest(source_head.refused_at, stored.refused_at)
    FROM (
        SELECT given.source_no, count(*) AS envelopes,
            max(given.received_at) FILTER (WHERE given.verdict IN ('verified', 'unverified')) AS verified_at,
            max(given.received_at) FILTER (WHERE given.verdict NOT IN ('verified', 'unverified')) AS refused_at
        FROM unnest(p_source_no, p_received_at, p_verdict) AS given (source_no, received_at, verdict)
        GROUP BY given.source_no
    ) AS stored
    WHERE source_head.source_no = stored.source_no;
END
$function$;

REVOKE ALL ON FUNCTION rewards.store_envelopes_v1 FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rewards.store_envelopes_v1 TO rewards_application;

GRANT SELECT, INSERT, UPDATE (
    name, public_url, trust, campaign, daily_points_max, silent_after_hours, secrets, api_key_id, disabled_at
) ON rewards.source TO rewards_application;

GRANT SELECT, INSERT, UPDATE (last_no, verified_at, refused_at) ON rewards.source_head TO rewards_application;

GRANT SELECT, INSERT, UPDATE (read_no, began_at, day, points) ON rewards.source_reader TO rewards_application;

GRANT SELECT, INSERT ON rewards.envelope, rewards.envelope_key, rewards.envelope_outcome TO rewards_application;

GRANT SELECT, INSERT, UPDATE (read_no, done_at) ON rewards.source_replay TO rewards_application;

GRANT SELECT ON rewards.source_reader, rewards.envelope TO rewards_worker;

GRANT SELECT, DELETE ON rewards.envelope_key TO rewards_worker;
