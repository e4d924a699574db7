-- Locks those of the customers $1 who are not merged, until the end of the transaction, in the order of their numbers.

SELECT customer.customer, customer.generation
FROM rewards.customer
WHERE customer.customer = ANY($1::bigint[]) AND customer.merged_into IS NULL
ORDER BY customer.customer
FOR NO KEY UPDATE
