-- What leaves a merged customer reaches the survivor with the same class and last day, and nothing stays in transit.
--
-- The survivor is the one of that time.

SELECT count(*), count(*) FILTER (WHERE merge.wrong), array_agg('seq ' || merge.id) FILTER (WHERE merge.wrong)
FROM (
    SELECT part.id, bool_or(
        part.losers <> 1 OR part.points_out <> part.points_in OR NOT EXISTS (
            SELECT FROM ledger.spell
            WHERE spell.book_id = $1 AND spell.customer = part.loser AND spell.from_seq = part.id - 1
                AND (spell.survivor = part.survivor OR EXISTS (
                    -- Of a merge from before spells were kept only the last of the line is known.
                    SELECT FROM ledger.spell AS later
                    WHERE later.book_id = $1 AND later.customer = part.survivor AND later.survivor = spell.survivor
                ))
        )
    ) AS wrong
    FROM (
        SELECT
            leg.id, count(DISTINCT leg.customer) FILTER (WHERE leg.leaves) AS losers,
            coalesce(sum(leg.amount) FILTER (WHERE leg.leaves), 0) AS points_out,
            coalesce(sum(leg.amount) FILTER (WHERE NOT leg.leaves), 0) AS points_in,
            min(leg.customer) FILTER (WHERE leg.leaves) AS loser,
            min(leg.customer) FILTER (WHERE NOT leg.leaves) AS survivor
        FROM (
            SELECT
                coalesce(transfer.transaction_id, transfer.seq) AS id, transfer.customer, transfer.amount, side.leaves,
                substring(side.account FROM 12) AS kind_class_and_last_day
            FROM ledger.transfer
            CROSS JOIN LATERAL (
                SELECT get_byte(transfer.debit, 0) = 1 AS leaves,
                    CASE get_byte(transfer.debit, 0) WHEN 1 THEN transfer.debit ELSE transfer.credit END AS account
            ) AS side
            WHERE transfer.book_id = $1 AND transfer.verb = 13
        ) AS leg
        GROUP BY leg.id, leg.kind_class_and_last_day
    ) AS part
    GROUP BY part.id
    UNION ALL
    SELECT 0, true
    FROM ledger.account WHERE account.book_id = $1 AND account.kind = 12 AND account.debits <> account.credits
) AS merge
