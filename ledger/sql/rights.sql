-- Who owns the book tables and who may read them, as it must be: run after every change, and when a restored database has
-- lost it. Nobody but the owner may write: all writing goes through the SECURITY DEFINER functions (functions/rights.sql).

DO $rights$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN
        SELECT class.oid::regclass AS name, class.relowner = 'ledger_owner'::regrole AS is_owned
        FROM pg_catalog.pg_class AS class
        WHERE class.relnamespace = 'ledger'::regnamespace AND class.relkind IN ('r', 'p')
    LOOP
        IF NOT v_table.is_owned THEN
            EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO ledger_owner', v_table.name);
        END IF;
        EXECUTE pg_catalog.format(
            'REVOKE ALL ON %s FROM PUBLIC, rewards_application, rewards_worker, rewards_reader', v_table.name
        );
    END LOOP;
END
$rights$;

GRANT SELECT ON ALL TABLES IN SCHEMA ledger TO rewards_application, rewards_worker, rewards_reader;

-- A report needs no idempotency answers; everything else of the books is numbers and ids.
REVOKE SELECT ON ledger.idempotency_key FROM rewards_reader;
