-- As far as they have been added up, the daily movements are what the log and its layers come to.

WITH issue AS MATERIALIZED (
    SELECT
        transfer.seq, transfer.verb, transfer.debit, transfer.credit, transfer.amount, transfer.campaign_no,
        ledger.accounting_date_v1(
            transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
        ) AS day,
        coalesce(event.channel, '') AS channel, coalesce(event.action, '') AS action, coalesce(event.grade::text, '') AS grade
    FROM ledger.transfer
    JOIN ledger.head ON head.book_id = $1
    JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
    LEFT JOIN ledger.event
        ON event.book_id = $1 AND event.campaign_no = transfer.campaign_no AND event.key = transfer.event_key
    WHERE transfer.book_id = $1 AND transfer.seq <= reader.daily_seq
        AND get_byte(transfer.credit, 11) >> 4 = 1 AND get_byte(transfer.debit, 11) >> 4 NOT IN (1, 3, 4, 12)
)
SELECT
    count(*), count(*) FILTER (WHERE (derived.*)::text IS DISTINCT FROM (kept.*)::text),
    array_agg(coalesce(derived.day, kept.day) || ' verb ' || coalesce(derived.verb, kept.verb))
    FILTER (WHERE (derived.*)::text IS DISTINCT FROM (kept.*)::text)
FROM (
    SELECT
        moved.day, date_trunc('month', moved.issued_on)::date AS issued_in, coalesce(moved.campaign_no, 0) AS campaign_no,
        moved.verb, get_byte(moved.debit, 11) AS debit, get_byte(moved.credit, 11) AS credit, moved.channel, moved.action,
        moved.grade, count(*) AS transfers, sum(moved.points)::bigint AS points, min(moved.seq) AS first_seq,
        max(moved.seq) AS last_seq
    FROM (
        SELECT
            issue.seq, issue.day, issue.day AS issued_on, issue.verb, issue.debit, issue.credit, issue.amount AS points,
            issue.campaign_no, issue.channel, issue.action, issue.grade
        FROM issue
        UNION ALL
        SELECT
            part.seq, left_on.day, coalesce(issue.day, left_on.day), transfer.verb, transfer.debit, transfer.credit, part.amount,
            part.campaign_no, coalesce(issue.channel, ''), '', ''
        FROM ledger.transfer_layer AS part
        JOIN ledger.head ON head.book_id = $1
        JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
        JOIN ledger.transfer ON transfer.book_id = $1 AND transfer.seq = part.seq
        CROSS JOIN LATERAL (
            SELECT ledger.accounting_date_v1(
                transfer.due_on, transfer.verb, transfer.debit, transfer.posted_at, head.time_zone
            ) AS day
        ) AS left_on
        LEFT JOIN issue ON issue.seq = part.layer
        WHERE part.book_id = $1 AND part.seq <= reader.daily_seq
            AND (get_byte(transfer.debit, 11) >> 4 IN (1, 3)) <> (get_byte(transfer.credit, 11) >> 4 IN (1, 3))
    ) AS moved
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
) AS derived
FULL JOIN (
    SELECT
        sums.day, sums.issued_in, sums.campaign_no, sums.verb, sums.debit, sums.credit, sums.channel, sums.action, sums.grade,
        sums.transfers, sums.points, sums.first_seq, sums.last_seq
    FROM ledger.daily_movement AS sums
    JOIN ledger.layer_reader AS reader ON reader.book_id = $1 AND NOT reader.clearing
    WHERE sums.book_id = $1
) AS kept
    ON kept.day = derived.day AND kept.issued_in = derived.issued_in AND kept.campaign_no = derived.campaign_no
    AND kept.verb = derived.verb AND kept.debit = derived.debit AND kept.credit = derived.credit
    AND kept.channel = derived.channel AND kept.action = derived.action AND kept.grade = derived.grade
