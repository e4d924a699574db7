-- Which events wait though a proof is there, once a batch of grants has left its proofs: items of the batch that wait, and events
-- that a strong item may pay. Returns one row an item and event: the item, its kind, the event's key, and the grade of the proof,
-- in the order of items, then of groups. Several rows may name one event. Writes nothing. The heads of the books are locked by the caller.

CREATE OR REPLACE FUNCTION ledger.proved_events_v1(
    p_book_ids          integer[],
    p_kind_books        integer[],
    p_kind_campaigns    integer[],
    p_kind_grades       "char"[],
    p_wallet_customers  bigint[],
    p_keys              bytea[],
    p_kind_ix           integer[],
    p_wallet_ix         integer[],
    p_proof_items       integer[],
    p_proof_keys        bytea[],
    p_proof_needs       "char"[],
    p_wait_items        integer[],  -- events that a strong item pays; those of one group are one event under several ids
    p_wait_groups       integer[],
    p_wait_keys         bytea[],
    p_wait_others       bigint[],   -- not 0: a customer who was once merged with this one; only decisions of that time count
    p_outcomes          smallint[],
    p_recorded_under    bytea[]     -- NULL, or by item: NULL, or the former key that its event is recorded under
) RETURNS TABLE (item integer, kind integer, key bytea, grade "char")
LANGUAGE plpgsql STABLE
AS $function$
#variable_conflict use_column
DECLARE
    c_waiting         CONSTANT smallint := 4;
    c_stale_customer  CONSTANT smallint := 5;
    c_not_funded      CONSTANT smallint := 9;
    v_counts          boolean[];  -- NULL, or by event that may wait: whether its decision counts
    v_found           record;
BEGIN
    IF 0 <> ANY (p_wait_others) THEN
        v_counts := ARRAY(SELECT other = 0 FROM unnest(p_wait_others) AS other);
        FOR v_found IN
            SELECT listed.n, listed.item, listed.other, known.seq, known.place
            FROM (
                SELECT
                    unnest(p_wait_items) AS item, unnest(p_wait_keys) AS key, unnest(p_wait_others) AS other,
                    generate_series(1, cardinality(p_wait_items)) AS n
            ) AS listed
            CROSS JOIN LATERAL (
                SELECT event.outcome, event.seq, event.place
                FROM ledger.event
                WHERE event.book_id = p_book_ids[p_kind_books[p_kind_ix[listed.item]]]
                    AND event.campaign_no = p_kind_campaigns[p_kind_ix[listed.item]]
                    AND event.key = listed.key
                LIMIT 1
            ) AS known
            WHERE listed.other <> 0 AND known.outcome <> c_waiting
        LOOP
            v_counts[v_found.n] := ledger.were_one_v1(
                p_book_ids[p_kind_books[p_kind_ix[v_found.item]]], p_wallet_customers[p_wallet_ix[v_found.item]], v_found.other,
                v_found.seq, v_found.place);
        END LOOP;
    END IF;

    RETURN QUERY
    SELECT proved.item, proved.kind, proved.key, proved.grade
    FROM (
        -- Items that wait, though somebody has proved to be there.
        SELECT
            weak.item, 0 AS grouped, coalesce(p_recorded_under[weak.item], p_keys[weak.item]) AS key, p_kind_ix[weak.item] AS kind,
            min(proof.grade::text)::"char" AS grade
        FROM (
            SELECT unnest(p_proof_items) AS item, unnest(p_proof_keys) AS key, unnest(p_proof_needs) AS needs
        ) AS weak
        JOIN ledger.proof
            ON proof.book_id = p_book_ids[p_kind_books[p_kind_ix[weak.item]]]
            AND proof.campaign_no = p_kind_campaigns[p_kind_ix[weak.item]]
            AND proof.key = weak.key
        WHERE p_outcomes[weak.item] = c_waiting AND proof.grade <= weak.needs
        GROUP BY weak.item
        UNION ALL
        -- Events that wait, and whose customer has just proved to be there: of several, under the customer's own key before others'.
        SELECT
            strong.item, strong.grouped, (array_agg(known.key ORDER BY strong.is_own DESC, known.seq, known.place))[1],
            p_kind_ix[strong.item], p_kind_grades[p_kind_ix[strong.item]]
        FROM (
            SELECT
                listed.item, listed.grouped, listed.key, coalesce(v_counts[listed.n], true) AS counts,
                listed.n = min(listed.n) OVER (PARTITION BY listed.item, listed.grouped) AS is_own
            FROM (
                SELECT
                    unnest(p_wait_items) AS item, unnest(p_wait_groups) AS grouped, unnest(p_wait_keys) AS key,
                    generate_series(1, cardinality(p_wait_items)) AS n
            ) AS listed
        ) AS strong
        CROSS JOIN LATERAL (
            SELECT event.key, event.outcome, event.seq, event.place
            FROM ledger.event
            WHERE event.book_id = p_book_ids[p_kind_books[p_kind_ix[strong.item]]]
                AND event.campaign_no = p_kind_campaigns[p_kind_ix[strong.item]]
                AND event.key = strong.key
            LIMIT 1
        ) AS known
        WHERE strong.counts
            AND p_outcomes[strong.item] <> c_stale_customer AND p_outcomes[strong.item] <> c_not_funded
        GROUP BY strong.item, strong.grouped
        HAVING bool_and(known.outcome = c_waiting)
    ) AS proved
    ORDER BY proved.item, proved.grouped;
END
$function$;
