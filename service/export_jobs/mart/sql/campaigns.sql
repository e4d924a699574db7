-- The versions of the brand's campaigns, $1, that there were by the end of the business date $2 of the time zone $3.

SELECT
    campaign.campaign_no, campaign.id AS campaign, version.version, version.name,
    CASE version.account_class WHEN 0 THEN 'engagement' WHEN 1 THEN 'purchase' WHEN 2 THEN 'third_party' END AS account_class,
    version.starts_at, version.ends_at, version.expires_after_months, version.created_at
FROM rewards.campaign
JOIN rewards.campaign_version AS version USING (campaign_no)
WHERE campaign.brand_id = $1::integer AND (version.created_at AT TIME ZONE $3::text)::date <= $2::date
ORDER BY campaign.campaign_no, version.version
