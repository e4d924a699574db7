-- The rows of accounts.csv for a range of accounts: $1 to $8 are what account_sums_v1 takes, $9 the campaigns' names by number
-- as JSON, $10 the same for a spreadsheet's cell. By id, as account_sums_v1 returns them.
--
-- The parts are what account_name_v1 puts together. A name begins with its kind, so it is never a formula.

SELECT
    concat_ws(':', part.kind, part.owner, part.class, part.last_day) AS account, part.kind, part.class,
    CASE part.tag WHEN 1 THEN part.number END AS customer,
    CASE part.tag WHEN 2 THEN coalesce($10::text::jsonb ->> part.number::text, part.owner) END AS campaign,
    CASE part.tag WHEN 3 THEN part.number END AS redemption,
    part.last_day AS expires_on, part.debits, part.credits, part.credits - part.debits AS balance
FROM (
    SELECT
        account.debits, account.credits, account.tag, account.number,
        CASE account.tag
            WHEN 0 THEN NULL
            WHEN 2 THEN coalesce($9::text::jsonb ->> account.number::text, account.number::text)
            ELSE account.number::text
        END AS owner,
        ledger.account_kind_name_v1(account.id) AS kind, ledger.account_class_name_v1(account.id) AS class,
        ledger.account_last_day_v1(account.id) AS last_day
    FROM (
        SELECT
            sums.id, sums.debits, sums.credits, get_byte(sums.id, 0) AS tag, ledger.account_number_v1(sums.id) AS number
        FROM ledger.account_sums_v1(
            $1::integer, $2::bigint, $3::bytea, $4::bytea, $5::bigint, $6::bytea[], $7::bigint[], $8::bigint[]
        ) AS sums
        OFFSET 0  -- so that each part is computed once
    ) AS account
    OFFSET 0
) AS part
