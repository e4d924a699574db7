-- How many bytes the files of a brand's exports take, :brand_id.

SELECT coalesce(sum((file.line ->> 'size_bytes')::bigint), 0)::bigint
FROM rewards.export_job
CROSS JOIN LATERAL jsonb_array_elements(export_job.files) AS file (line)
WHERE export_job.stored AND export_job.brand_id = :brand_id
