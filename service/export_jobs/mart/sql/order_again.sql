-- Orders again, of the brand :brand_id, the first day that failed or was cancelled, and of which there is no other export that is done
-- or under way: the same day of the same transfers.

INSERT INTO rewards.export_job (
    brand_id, business_date, counts_from, formats, customers, sub_accounts, since_name, since_seq, since_posted_at, cut_name, cut_seq,
    cut_posted_at, request_hash
)
SELECT
    failed.brand_id, failed.business_date, failed.counts_from, failed.formats, failed.customers, failed.sub_accounts,
    failed.since_name, failed.since_seq, failed.since_posted_at, failed.cut_name, failed.cut_seq, failed.cut_posted_at,
    failed.request_hash
FROM rewards.export_job AS failed
WHERE failed.brand_id = :brand_id AND failed.business_date IS NOT NULL AND failed.status IN ('failed', 'cancelled')
    AND NOT EXISTS (
        SELECT FROM rewards.export_job AS made
        WHERE made.brand_id = :brand_id AND made.business_date = failed.business_date
            AND made.status IN ('queued', 'running', 'done', 'lost')
    )
ORDER BY failed.business_date, failed.export_no DESC
LIMIT 1
ON CONFLICT DO NOTHING
