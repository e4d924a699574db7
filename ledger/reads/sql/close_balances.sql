-- What the version $3 of the close of a book $1 that ends on the day $2 has stored, by account: those after the account $4, $5 at most.

SELECT close_balance.account, close_balance.balance
FROM ledger.close_balance
WHERE close_balance.book_id = $1 AND close_balance.ends_on = $2 AND close_balance.version = $3 AND close_balance.account > $4
ORDER BY close_balance.account
LIMIT $5
