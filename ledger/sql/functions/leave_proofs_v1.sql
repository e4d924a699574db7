-- Leaves the proofs of a batch of grants: of each strong item one, unless nothing was recorded of it. A proof that is there already
-- stays unless the new one is stronger. The heads of the books are locked by the caller.

CREATE OR REPLACE FUNCTION ledger.leave_proofs_v1(
    p_book_ids        integer[],
    p_kind_books      integer[],
    p_kind_campaigns  integer[],
    p_kind_grades     "char"[],
    p_kind_ix         integer[],
    p_proof_items     integer[],  -- by item; the customer's own key first
    p_proof_keys      bytea[],
    p_outcomes        smallint[],
    p_clocks          timestamptz[]
) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $function$
#variable_conflict use_column
DECLARE
    c_stale_customer  CONSTANT smallint := 5;
    c_not_funded      CONSTANT smallint := 9;
    c_weakest_proof   CONSTANT "char" := 'B';
BEGIN
    INSERT INTO ledger.proof AS proof (book_id, campaign_no, key, grade, proved_at)
    SELECT DISTINCT ON (book_id, campaign_no, key)
        p_book_ids[p_kind_books[left_by.kind]] AS book_id, p_kind_campaigns[left_by.kind] AS campaign_no, left_by.key AS key,
        p_kind_grades[left_by.kind], p_clocks[p_kind_books[left_by.kind]]
    FROM (
        -- Under the customer's own key alone: what others proved before they were merged stays theirs after a split.
        SELECT p_kind_ix[strong.item] AS kind, strong.key
        FROM (
            SELECT
                unnest(p_proof_items) AS item, unnest(p_proof_keys) AS key, generate_series(1, cardinality(p_proof_items)) AS n
        ) AS strong
        WHERE p_proof_items[strong.n - 1] IS DISTINCT FROM strong.item
            AND p_outcomes[strong.item] <> c_stale_customer AND p_outcomes[strong.item] <> c_not_funded
    ) AS left_by
    WHERE p_kind_grades[left_by.kind] <= c_weakest_proof
    ORDER BY book_id, campaign_no, key, p_kind_grades[left_by.kind]
    ON CONFLICT (book_id, campaign_no, key)
        DO UPDATE SET grade = excluded.grade, proved_at = excluded.proved_at
        WHERE proof.grade > excluded.grade;
END
$function$;
