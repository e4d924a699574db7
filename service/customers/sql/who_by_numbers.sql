-- Whom numbers $1 of brand $2 stand for now. Unknown ones are left out.
--
-- Whatever the planner knew of the tables, each row is looked up by its key: OFFSET 0 keeps it from reading a table whole.

SELECT
    numbered.customer AS named, survivor.customer, survivor.confirmed, survivor.refused::text AS refused,
    CASE WHEN survivor.absorbed > 0 THEN ARRAY(
        SELECT member.customer FROM rewards.customer AS member
        WHERE member.merged_into = survivor.customer ORDER BY member.customer
    ) END AS former,
    survivor.verified,
    survivor.generation,
    CASE WHEN survivor.parted THEN ARRAY(
        SELECT DISTINCT once.other
        FROM (
            SELECT survivor.customer
            UNION ALL
            SELECT member.customer FROM rewards.customer AS member WHERE member.merged_into = survivor.customer
        ) AS mine
        CROSS JOIN LATERAL (SELECT parted.other FROM rewards.parted WHERE parted.customer = mine.customer OFFSET 0) AS once
        CROSS JOIN LATERAL (
            SELECT coalesce(other.merged_into, other.customer) AS survivor
            FROM rewards.customer AS other WHERE other.customer = once.other
            OFFSET 0
        ) AS now
        WHERE now.survivor <> survivor.customer
        ORDER BY once.other
    ) END AS past,
    survivor.erased_at IS NOT NULL AS erased
FROM unnest($1::bigint[]) AS wanted (number)
CROSS JOIN LATERAL (
    SELECT customer.* FROM rewards.customer WHERE customer.customer = wanted.number AND customer.brand_id = $2 OFFSET 0
) AS numbered
-- Who was never merged, as nearly everybody, is their own survivor and is not looked up a second time.
CROSS JOIN LATERAL (
    SELECT
        numbered.customer, numbered.confirmed, numbered.absorbed, numbered.verified, numbered.refused, numbered.generation,
        numbered.parted, numbered.erased_at
    WHERE numbered.merged_into IS NULL
    UNION ALL
    SELECT
        final.customer, final.confirmed, final.absorbed, final.verified, final.refused, final.generation, final.parted,
        final.erased_at
    FROM rewards.customer AS final
    WHERE final.customer = numbered.merged_into
    OFFSET 0
) AS survivor
