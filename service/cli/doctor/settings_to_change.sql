-- The server's settings that the service should not run with: what is off, and what is no more than PostgreSQL's own default.
-- A row a setting, with its value as PostgreSQL shows it.
SELECT name, pg_catalog.current_setting(name) AS value
FROM pg_catalog.pg_settings
WHERE (name IN ('full_page_writes', 'data_checksums', 'autovacuum') AND setting = 'off')
    OR (CASE WHEN name IN ('shared_buffers', 'max_wal_size', 'checkpoint_timeout') THEN setting::bigint <= boot_val::bigint END)
ORDER BY name
