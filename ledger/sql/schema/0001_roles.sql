-- The four roles. They belong to the cluster, not to the database, so they may exist already.
--
--   ledger_owner         owns every table and function; nobody logs in as it
--   rewards_application  the API: EXECUTE and SELECT on the books, never a table write
--   rewards_worker       the sweepers and sealers: the same, and the functions that tidy up
--   rewards_reader       exports, reports, audits: SELECT on the books only
--
-- The exception handlers settle a race: two databases of one cluster may be migrated at once.

DO $roles$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['ledger_owner', 'rewards_application', 'rewards_worker', 'rewards_reader']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS role WHERE role.rolname = v_role) THEN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', v_role);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$roles$;

-- Who made the role may grant it, and from PostgreSQL 16 on that alone does not let them act as it.
DO $membership$
DECLARE
    v_needed text := CASE WHEN pg_catalog.current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END;
BEGIN
    IF NOT pg_catalog.pg_has_role(CURRENT_USER, 'ledger_owner', v_needed) THEN
        EXECUTE pg_catalog.format('GRANT ledger_owner TO %I', CURRENT_USER);
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$membership$;

CREATE SCHEMA IF NOT EXISTS ledger;

ALTER SCHEMA ledger OWNER TO ledger_owner;

GRANT USAGE ON SCHEMA ledger TO rewards_application, rewards_worker, rewards_reader;
