-- The digests and counts of a close are those of what it has stored.

SELECT count(*), count(*) FILTER (WHERE NOT read.same), array_agg('close ' || read.ends_on) FILTER (WHERE NOT read.same)
FROM (
    SELECT
        close.ends_on,
        close.lines_digest = (
            SELECT coalesce(sha256(string_agg(line.id || int8send(line.debits) || int8send(line.credits), '' ORDER BY line.id)),
                sha256(''))
            FROM unnest(close.lines, close.debits, close.credits) AS line (id, debits, credits)
        ) AND (close.balances_digest, close.accounts, close.customers) = (
            SELECT
                coalesce(sha256(string_agg(stored.account || int8send(stored.balance), '' ORDER BY stored.account)), sha256('')),
                count(*),
                count(DISTINCT substring(stored.account FROM 1 FOR 11)) FILTER (WHERE get_byte(stored.account, 0) = 1)
            FROM ledger.close_balance AS stored
            WHERE stored.book_id = $1 AND stored.ends_on = close.ends_on AND stored.version = close.version
        ) AS same
    FROM ledger.close
    WHERE close.book_id = $1 AND close.state > 1  -- STORING
) AS read
