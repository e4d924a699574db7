-- Locks those of the customers $1 who are neither merged nor erased, until the end of the transaction, in the order of their numbers.

SELECT customer.customer, customer.generation
FROM rewards.customer
WHERE customer.customer = ANY($1::bigint[]) AND customer.merged_into IS NULL AND customer.erased_at IS NULL
ORDER BY customer.customer
FOR NO KEY UPDATE
