-- An offer that has lapsed is decided so, and what is said of offers has places of its own.

SELECT count(*), count(*) FILTER (WHERE given.wrong), array_agg(encode(given.key, 'hex')) FILTER (WHERE given.wrong)
FROM (
    SELECT notice.key,
        notice.place > head.places OR notice.place = lag(notice.place) OVER by_place
            OR notice.seq < lag(notice.seq) OVER by_place OR decided.place IS NOT NULL
            OR (notice.kind = 1) <> (lapsed.outcome IS NOT DISTINCT FROM 11) AS wrong
    FROM ledger.offer_notice AS notice
    JOIN ledger.head ON head.book_id = $1
    LEFT JOIN ledger.event AS lapsed
        ON lapsed.book_id = $1 AND lapsed.campaign_no = notice.campaign_no AND lapsed.key = notice.key
    LEFT JOIN ledger.event AS decided ON decided.book_id = $1 AND decided.place = notice.place
    WHERE notice.book_id = $1
    WINDOW by_place AS (ORDER BY notice.place)
) AS given
