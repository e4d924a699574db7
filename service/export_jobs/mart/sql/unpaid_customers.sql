-- The customers of the book $1 whose events wait or were refused, $2 < place <= $3.

SELECT DISTINCT event.customer
FROM ledger.event
WHERE event.book_id = $1::integer AND event.place > $2::bigint AND event.place <= $3::bigint
