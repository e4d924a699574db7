-- Into whom each of the customers $1 is merged, the survivor $2 first.

SELECT customer.customer, coalesce(customer.merged_into, customer.customer) AS survivor, customer.generation
FROM rewards.customer
WHERE customer.customer = ANY($1::bigint[])
ORDER BY customer.customer <> $2, customer.customer
