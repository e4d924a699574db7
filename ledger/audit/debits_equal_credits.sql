-- Over all accounts, debits equal credits.

SELECT count(*), (coalesce(sum(account.debits), 0) <> coalesce(sum(account.credits), 0))::integer::bigint,
    ARRAY[]::text[]
FROM ledger.account WHERE account.book_id = $1
