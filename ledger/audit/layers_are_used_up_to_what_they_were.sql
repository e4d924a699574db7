-- Of no layer goes more out of a redemption's account than has come in, and no more out of all lots than the transfer that brought the
-- layer in and what came back.

SELECT count(*), count(*) FILTER (WHERE summed.wrong), array_agg('layer ' || summed.layer) FILTER (WHERE summed.wrong)
FROM (
    SELECT moved.layer, bool_or(
        moved.points + CASE WHEN moved.account = '' THEN coalesce(issue.amount, 0) ELSE 0 END < 0
    ) AS wrong
    FROM (
        -- A merge moves layers from lot to lot, so all lots, and transit between them, are one account here.
        SELECT
            part.layer, CASE WHEN get_byte(side.account, 11) >> 4 IN (1, 12) THEN ''::bytea ELSE side.account END AS account,
            sum(side.points) AS points
        FROM ledger.transfer_layer AS part
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        JOIN ledger.transfer ON transfer.book_id = $1 AND transfer.seq = part.seq
        CROSS JOIN LATERAL (
            VALUES (transfer.debit, -part.amount), (transfer.credit, part.amount::bigint)
        ) AS side (account, points)
        WHERE part.book_id = $1 AND get_byte(side.account, 11) >> 4 IN (1, 3, 4, 12)
        GROUP BY 1, 2
    ) AS moved
    LEFT JOIN ledger.transfer AS issue ON issue.book_id = $1 AND issue.seq = moved.layer
    GROUP BY moved.layer
) AS summed
