-- One name for who owns what in our two schemas and which of our roles (or everybody) may do what with it. Rights that an operator
-- gave to roles of their own do not count. Reads the catalog alone, which everybody may.
WITH role AS (
    SELECT pg_roles.oid, pg_roles.rolname::text AS name
    FROM pg_catalog.pg_roles
    WHERE pg_roles.rolname IN ('ledger_owner', 'rewards_application', 'rewards_worker', 'rewards_reader')
    UNION ALL
    SELECT 0, 'PUBLIC'
),
thing AS (
    SELECT 'schema ' || nspname AS name, nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl
    FROM pg_catalog.pg_namespace
    WHERE nspname IN ('ledger', 'rewards')
    UNION ALL
    SELECT class.relnamespace::regnamespace || '.' || class.relname, class.relowner,
        coalesce(class.relacl, acldefault(CASE class.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", class.relowner))
    FROM pg_catalog.pg_class AS class
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = class.relnamespace
    WHERE nspname IN ('ledger', 'rewards') AND class.relkind IN ('r', 'p', 'S')
    UNION ALL
    SELECT class.relnamespace::regnamespace || '.' || class.relname || '.' || attribute.attname, class.relowner, attribute.attacl
    FROM pg_catalog.pg_attribute AS attribute
    JOIN pg_catalog.pg_class AS class ON class.oid = attribute.attrelid
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = class.relnamespace
    WHERE nspname IN ('ledger', 'rewards') AND attribute.attacl IS NOT NULL
    UNION ALL
    SELECT proc.pronamespace::regnamespace || '.' || proc.proname || '()', proc.proowner,
        coalesce(proc.proacl, acldefault('f', proc.proowner))
    FROM pg_catalog.pg_proc AS proc
    JOIN pg_catalog.pg_namespace ON pg_namespace.oid = proc.pronamespace
    WHERE nspname IN ('ledger', 'rewards')
),
line AS (
    SELECT thing.name || ' of ' || pg_get_userbyid(thing.owner) AS line FROM thing
    UNION ALL
    SELECT thing.name || ' ' || role.name || ' ' || privilege.privilege_type || ' ' || privilege.is_grantable
    FROM thing
    CROSS JOIN LATERAL aclexplode(thing.acl) AS privilege
    JOIN role ON role.oid = privilege.grantee
)
SELECT encode(sha256(convert_to(string_agg(line.line, E'\n' ORDER BY line.line COLLATE "C"), 'UTF8')), 'hex') FROM line
