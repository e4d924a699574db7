-- The balances that a close has stored add up to the lines of its trial balance, and these to zero.

SELECT count(*), count(*) FILTER (WHERE added.wrong), array_agg('close ' || added.ends_on) FILTER (WHERE added.wrong)
FROM (
    SELECT close.ends_on, close.version, (
        SELECT coalesce(bool_or(line.balance <> 0), false)
        FROM (
            SELECT part.line, sum(part.balance) AS balance
            FROM (
                SELECT ledger.account_line_v1(stored.account) AS line, stored.balance
                FROM ledger.close_balance AS stored
                WHERE stored.book_id = $1 AND stored.ends_on = close.ends_on AND stored.version = close.version
                UNION ALL
                SELECT each.line, each.debits - each.credits
                FROM unnest(close.lines, close.debits, close.credits) AS each (line, debits, credits)
            ) AS part
            GROUP BY part.line
        ) AS line
    ) OR (SELECT sum(debits) FROM unnest(close.debits) AS debits) <> (SELECT sum(credits) FROM unnest(close.credits) AS credits)
        AS wrong
    FROM ledger.close
    WHERE close.book_id = $1 AND close.state > 1  -- STORING
) AS added
