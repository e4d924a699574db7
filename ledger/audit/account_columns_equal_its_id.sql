-- An account's kind and last day are those in its id.

SELECT count(*), count(*) FILTER (WHERE wrong), array_agg(encode(checked.id, 'hex')) FILTER (WHERE wrong)
FROM (
    SELECT account.id, account.kind <> ledger.account_kind_v1(account.id)
        OR account.expires_on <> ledger.account_expires_on_v1(account.id) AS wrong
    FROM ledger.account WHERE account.book_id = $1
) AS checked
