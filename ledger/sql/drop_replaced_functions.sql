-- Drops the functions that the files in functions/ no longer have: run after these, in the same transaction.
--
-- What is in the files is all there is: a function that was renamed, or had other parameters, must not stay callable beside it.
-- What the files have just replaced was written by this transaction, and everything else was not.

DO $drop$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT proc.oid
        FROM pg_catalog.pg_proc AS proc
        WHERE proc.pronamespace = 'ledger'::regnamespace AND proc.xmin <> pg_catalog.pg_current_xact_id()::xid
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', v_function);
    END LOOP;
END
$drop$;
