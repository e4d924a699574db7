-- Whether a lot of a book $1 has its last day after the one through which the book is swept, and not after the day $2.

SELECT EXISTS (
    SELECT FROM ledger.account
    JOIN ledger.head ON head.book_id = $1
    WHERE account.book_id = $1
        AND account.kind = 1  -- LOT
        AND account.expires_on < 'infinity'
        AND account.expires_on > head.swept_through
        AND account.expires_on <= $2
)
