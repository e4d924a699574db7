-- What a range of accounts was debited and credited, as columns in one row (see transfer_columns.sql): $1 to $8 are what
-- account_sums_v1 takes. By id, as it returns them.

SELECT
    count(*) AS rows,
    coalesce(sum(account.debits), 0)::bigint AS debited, coalesce(sum(account.credits), 0)::bigint AS credited,
    string_agg(account.id, '') AS id,
    string_agg(int8send(account.debits), '') AS debits,
    string_agg(int8send(account.credits), '') AS credits
FROM ledger.account_sums_v1(
    $1::integer, $2::bigint, $3::bytea, $4::bytea, $5::bigint, $6::bytea[], $7::bigint[], $8::bigint[]
) AS account
