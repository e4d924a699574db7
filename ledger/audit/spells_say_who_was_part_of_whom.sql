-- The spells in which a customer was merged follow each other, and the last is open exactly while they are merged.
--
-- During a spell nothing is posted on the customer but the merge that begins it.

SELECT count(*), count(*) FILTER (WHERE checked.wrong),
    array_agg('customer ' || checked.customer) FILTER (WHERE checked.wrong)
FROM (
    SELECT
        spell.customer,
        spell.spell_no <> row_number() OVER by_customer
            OR coalesce(
                lag(coalesce(spell.until_seq, 9223372036854775807)) OVER by_customer > spell.from_seq
                    OR lag(coalesce(spell.until_place, 9223372036854775807)) OVER by_customer > spell.from_place,
                false)
            OR coalesce(spell.until_seq, spell.from_seq) > head.seq
            OR EXISTS (
                SELECT FROM ledger.spell AS other
                WHERE other.book_id = $1 AND other.customer = spell.survivor
                    AND other.from_seq < coalesce(spell.until_seq, 9223372036854775807)
                    AND coalesce(other.until_seq, 9223372036854775807) > spell.from_seq
            )
            OR EXISTS (
                SELECT FROM ledger.transfer
                WHERE transfer.book_id = $1 AND transfer.customer = spell.customer AND transfer.seq > spell.from_seq
                    AND transfer.seq <= coalesce(spell.until_seq, 9223372036854775807)
                    AND (transfer.verb <> 13 OR coalesce(transfer.transaction_id, transfer.seq) <> spell.from_seq + 1)
            ) AS wrong
    FROM ledger.spell
    JOIN ledger.head ON head.book_id = $1
    WHERE spell.book_id = $1
    WINDOW by_customer AS (PARTITION BY spell.customer ORDER BY spell.spell_no)
    UNION ALL
    SELECT coalesce(state.customer, spell.customer), state.moved_to IS DISTINCT FROM spell.survivor
    FROM (
        SELECT * FROM ledger.customer_state WHERE customer_state.book_id = $1 AND customer_state.moved_to IS NOT NULL
    ) AS state
    FULL JOIN (SELECT * FROM ledger.spell WHERE spell.book_id = $1 AND spell.until_seq IS NULL) AS spell
        ON spell.customer = state.customer
) AS checked
