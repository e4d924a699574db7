-- Gives out a customer number for each of $3, which says whether they are confirmed, of brand $1 with the book $2.

INSERT INTO rewards.customer (brand_id, book_id, confirmed)
SELECT $1, $2, wanted.confirmed FROM unnest($3::boolean[]) AS wanted (confirmed)
RETURNING customer
