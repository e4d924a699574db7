-- A key that mints links and funds campaigns can pay itself, so it no longer funds. Whoever decided refusals again with
-- campaigns:write goes on doing so with grants:approve, unless that key also mints or funds. Each change is in the audit trail.

WITH held AS (
    SELECT api_key.api_key_id, api_key.brand_id, api_key.scopes AS before,
        array_remove(api_key.scopes, 'funds:write') AS after
    FROM rewards.api_key
    WHERE api_key.scopes @> ARRAY['funds:write'] AND api_key.scopes && ARRAY['grants:write', 'links:write']
    UNION ALL
    SELECT api_key.api_key_id, api_key.brand_id, api_key.scopes, api_key.scopes || 'grants:approve'::text
    FROM rewards.api_key
    WHERE api_key.scopes @> ARRAY['campaigns:write']
        AND NOT api_key.scopes && ARRAY['funds:write', 'grants:write', 'links:write', 'grants:approve']
        AND api_key.revoked_at IS NULL
), changed AS (
    UPDATE rewards.api_key SET scopes = held.after
    FROM held
    WHERE api_key.api_key_id = held.api_key_id
)
INSERT INTO rewards.audit_trail (brand_id, by_operator, act, subject, before, after)
SELECT held.brand_id, true, 'key.change', 'key_' || held.api_key_id,
    jsonb_build_object('scopes', held.before), jsonb_build_object('scopes', held.after)
FROM held
ORDER BY held.api_key_id;

ALTER TABLE rewards.api_key DROP CONSTRAINT api_key_never_both_funds_and_grants;

ALTER TABLE rewards.api_key ADD CONSTRAINT api_key_mints_or_funds_or_approves CHECK (
    NOT (scopes && ARRAY['grants:write', 'links:write'] AND scopes && ARRAY['funds:write', 'grants:approve'])
    AND NOT scopes @> ARRAY['funds:write', 'grants:approve']
);
