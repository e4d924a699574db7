-- All numbers of the customers of brand $1 whose consents were changed after the change $2, of at most $3 customers.

SELECT one.customer
FROM (
    SELECT customer.customer, customer.absorbed
    FROM rewards.customer
    WHERE customer.brand_id = $1 AND customer.consent_no > $2
    ORDER BY customer.consent_no
    LIMIT $3
) AS survivor
CROSS JOIN LATERAL (
    SELECT survivor.customer
    UNION ALL
    SELECT merged.customer
    FROM (SELECT customer.customer FROM rewards.customer WHERE customer.merged_into = survivor.customer OFFSET 0) AS merged
    WHERE survivor.absorbed > 0
) AS one
