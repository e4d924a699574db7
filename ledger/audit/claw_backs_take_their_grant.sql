-- As far as the layers have been read, a claw-back has taken points of its own grant and of no other.

SELECT count(*), count(*) FILTER (WHERE taken.wrong), array_agg('seq ' || taken.seq) FILTER (WHERE taken.wrong)
FROM (
    SELECT
        transfer.seq,
        (issue.campaign_no, issue.event_key) IS DISTINCT FROM (transfer.campaign_no, transfer.event_key) AS wrong
    FROM ledger.transfer
    JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing AND transfer.seq <= reader.seq
    JOIN ledger.transfer_layer AS part ON part.book_id = $1 AND part.seq = transfer.seq
    LEFT JOIN ledger.transfer AS issue ON issue.book_id = $1 AND issue.seq = part.layer
    WHERE transfer.book_id = $1 AND transfer.verb = 11
) AS taken
