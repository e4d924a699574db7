-- Whether any of these subjects ($2) of a brand ($1) is revoked.
SELECT EXISTS (
    SELECT FROM rewards.link_revocation
    WHERE link_revocation.brand_id = $1 AND link_revocation.subject = ANY ($2::text[])
)
