-- A split gives a customer back what they brought into the merge, with the same class and last day, and no more of it.
--
-- It comes from the survivor that the customer was part of up to then.

SELECT count(*), count(*) FILTER (WHERE split.wrong), array_agg(split.what) FILTER (WHERE split.wrong)
FROM (
    SELECT 'seq ' || part.id AS what, bool_or(
        part.customers <> 1 OR part.survivors <> 1 OR part.points_out <> part.points_in
        OR part.points_in > brought.points
        OR NOT EXISTS (
            SELECT FROM ledger.spell
            WHERE spell.book_id = $1 AND spell.customer = part.customer AND spell.survivor = part.survivor
                AND spell.until_seq = part.id - 1 AND spell.points_returned IS NOT NULL
        )
    ) AS wrong
    FROM (
        SELECT
            leg.id, leg.kind_class_and_last_day,
            count(DISTINCT leg.customer) FILTER (WHERE leg.leaves) AS survivors,
            count(DISTINCT leg.customer) FILTER (WHERE NOT leg.leaves) AS customers,
            coalesce(sum(leg.amount) FILTER (WHERE leg.leaves), 0) AS points_out,
            coalesce(sum(leg.amount) FILTER (WHERE NOT leg.leaves), 0) AS points_in,
            min(leg.customer) FILTER (WHERE leg.leaves) AS survivor,
            min(leg.customer) FILTER (WHERE NOT leg.leaves) AS customer
        FROM (
            SELECT
                coalesce(transfer.transaction_id, transfer.seq) AS id, transfer.customer, transfer.amount, side.leaves,
                substring(side.account FROM 12) AS kind_class_and_last_day
            FROM ledger.transfer
            CROSS JOIN LATERAL (
                SELECT get_byte(transfer.debit, 0) = 1 AS leaves,
                    CASE get_byte(transfer.debit, 0) WHEN 1 THEN transfer.debit ELSE transfer.credit END AS account
            ) AS side
            WHERE transfer.book_id = $1 AND transfer.verb = 15
        ) AS leg
        GROUP BY leg.id, leg.kind_class_and_last_day
    ) AS part
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(merged.amount), 0) AS points
        FROM ledger.transfer AS merged
        WHERE merged.book_id = $1 AND merged.customer = part.customer AND merged.verb = 13
            AND merged.debit = ledger.account_owner_v1(1, part.customer) || part.kind_class_and_last_day
            AND coalesce(merged.transaction_id, merged.seq) = (
                SELECT max(coalesce(merge.transaction_id, merge.seq)) FROM ledger.transfer AS merge
                WHERE merge.book_id = $1 AND merge.customer = part.customer AND merge.verb = 13 AND merge.seq < part.id
                    AND get_byte(merge.debit, 0) = 1
            )
    ) AS brought
    GROUP BY part.id
    UNION ALL
    SELECT 'customer ' || spell.customer, spell.points_returned <> coalesce((
        SELECT sum(returned.amount) FROM ledger.transfer AS returned
        WHERE returned.book_id = $1 AND returned.customer = spell.customer AND returned.verb = 15
            AND coalesce(returned.transaction_id, returned.seq) = spell.until_seq + 1
            AND substring(returned.credit FROM 1 FOR 11) = ledger.account_owner_v1(1, spell.customer)
            AND get_byte(returned.credit, 11) >> 4 = 1
    ), 0)
    FROM ledger.spell
    WHERE spell.book_id = $1 AND spell.points_returned IS NOT NULL
    UNION ALL
    SELECT 'customer ' || brought.customer, brought.amount > coalesce((
        SELECT sum(merged.amount) FROM ledger.transfer AS merged
        WHERE merged.book_id = $1 AND merged.customer = brought.customer AND merged.verb = 13
            AND merged.debit = ledger.account_owner_v1(1, brought.customer) || brought.lot
    ), 0) OR state.moved_to IS NULL
    FROM ledger.brought
    LEFT JOIN ledger.customer_state AS state ON state.book_id = $1 AND state.customer = brought.customer
    WHERE brought.book_id = $1
) AS split
