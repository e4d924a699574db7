-- The roles $1, each with the roles that can log in and are members of it.

SELECT role.rolname::text,
    coalesce(array_agg(member.rolname::text ORDER BY member.rolname) FILTER (WHERE member.rolcanlogin), '{}')
FROM pg_catalog.pg_roles AS role
LEFT JOIN pg_catalog.pg_auth_members ON pg_auth_members.roleid = role.oid
LEFT JOIN pg_catalog.pg_roles AS member ON member.oid = pg_auth_members.member
WHERE role.rolname = ANY ($1)
GROUP BY 1 ORDER BY 1
