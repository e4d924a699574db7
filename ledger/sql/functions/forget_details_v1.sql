-- Removes what is personal of the details of events, redemptions, steps, corrections, returns and notices of offers from before p_before:
-- of the next p_limit transfers, and of the next p_limit decisions without transfers and notices, after what has been forgotten. The hash of it stays where there is one
-- (see ledger/details.py), and so does all that is not personal. What still waits for evidence or approval keeps its details.
-- Returns whether it has come further. Locks the book's head: only who has it writes to these rows.

CREATE OR REPLACE FUNCTION ledger.forget_details_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_before    timestamptz,
    p_limit     integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_head        ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_from        bigint;
    v_from_place  bigint;
    v_before      timestamptz;
    v_seq         bigint;
    v_place       bigint;
BEGIN
    SELECT forgotten.seq, forgotten.place, greatest(forgotten.before, p_before)
    INTO v_from, v_from_place, v_before
    FROM ledger.forgotten WHERE forgotten.book_id = p_book_id;
    v_from := coalesce(v_from, 0);
    v_from_place := coalesce(v_from_place, 0);
    v_before := coalesce(v_before, p_before);
    SELECT coalesce(max(page.seq), v_from) INTO v_seq
    FROM (
        SELECT transfer.seq, transfer.posted_at FROM ledger.transfer
        WHERE transfer.book_id = p_book_id AND transfer.seq > v_from
        ORDER BY transfer.seq
        LIMIT p_limit
    ) AS page
    WHERE page.posted_at < p_before;
    SELECT coalesce(max(page.place), v_from_place) INTO v_place
    FROM (
        (
            SELECT event.place, event.decided_at FROM ledger.event
            WHERE event.book_id = p_book_id AND event.place > v_from_place
            ORDER BY event.place
            LIMIT p_limit
        )
        UNION ALL
        (
            SELECT notice.place, notice.noted_at FROM ledger.offer_notice AS notice
            WHERE notice.book_id = p_book_id AND notice.place > v_from_place
            ORDER BY notice.place
            LIMIT p_limit
        )
        ORDER BY place
        LIMIT p_limit
    ) AS page
    WHERE page.decided_at < p_before;
    INSERT INTO ledger.forgotten (book_id, seq, place, before) VALUES (p_book_id, v_seq, v_place, v_before)
    ON CONFLICT (book_id) DO UPDATE SET seq = excluded.seq, place = excluded.place, before = excluded.before;

    UPDATE ledger.event
    SET message_id = NULL, qualifier = NULL, metadata = NULL, terms = NULL, salt = NULL,
        personal_hash = ledger.personal_hash_v1(
            event.salt, ARRAY[event.message_id, coalesce(event.qualifier, ''), event.metadata])
    FROM (
        SELECT told.campaign_no, told.key
        FROM (
            SELECT transfer.campaign_no, transfer.event_key AS key
            FROM ledger.transfer
            WHERE transfer.book_id = p_book_id AND transfer.seq > v_from AND transfer.seq <= v_seq
                AND transfer.verb IN (
                    ledger.verb_v1('grant'), ledger.verb_v1('hold_back'), ledger.verb_v1('mature'), ledger.verb_v1('reject'))
            UNION ALL
            SELECT decided.campaign_no, decided.key
            FROM ledger.event AS decided
            WHERE decided.book_id = p_book_id AND decided.place > v_from_place AND decided.place <= v_place
            UNION ALL
            -- An act that waited until its offer lapsed has the place at which it began to wait.
            SELECT notice.campaign_no, notice.key
            FROM ledger.offer_notice AS notice
            WHERE notice.book_id = p_book_id AND notice.place > v_from_place AND notice.place <= v_place
        ) AS told
        CROSS JOIN LATERAL (
            SELECT 1
            FROM ledger.event AS kept
            WHERE kept.book_id = p_book_id AND kept.campaign_no = told.campaign_no AND kept.key = told.key
                AND kept.salt IS NOT NULL AND (kept.place IS NOT NULL OR kept.seq <= v_seq)
                AND kept.outcome NOT IN (ledger.grant_outcome_v1('waiting'), ledger.grant_outcome_v1('held_back'))
            LIMIT 1
        ) AS known
    ) AS told
    WHERE event.book_id = p_book_id AND event.campaign_no = told.campaign_no AND event.key = told.key;

    UPDATE ledger.offer_notice AS notice
    SET offer_group = NULL, message_id = NULL
    WHERE notice.book_id = p_book_id AND notice.place > v_from_place AND notice.place <= v_place;

    UPDATE ledger.redemption_step AS step
    SET ref = NULL, salt = NULL, personal_hash = ledger.personal_hash_v1(step.salt, ARRAY[step.ref])
    WHERE step.book_id = p_book_id AND step.seq > v_from AND step.seq <= v_seq AND step.salt IS NOT NULL;

    -- A redemption's id is the seq of its first transfer.
    UPDATE ledger.redemption
    SET order_ref = NULL, salt = NULL, personal_hash = ledger.personal_hash_v1(redemption.salt, ARRAY[redemption.order_ref])
    WHERE redemption.book_id = p_book_id AND redemption.id > v_from AND redemption.id <= v_seq AND redemption.salt IS NOT NULL;

    UPDATE ledger.correction
    SET reference = NULL, note = NULL, salt = NULL,
        personal_hash = ledger.personal_hash_v1(correction.salt, ARRAY[correction.reference, correction.note])
    FROM (
        SELECT kept.correction_no
        FROM ledger.correction AS kept
        WHERE kept.book_id = p_book_id AND kept.salt IS NOT NULL AND kept.posted_at < v_before
        ORDER BY kept.correction_no
        LIMIT p_limit
    ) AS old
    WHERE correction.book_id = p_book_id AND correction.correction_no = old.correction_no;

    UPDATE ledger.purchase_return
    SET return_key = int8send(purchase_return.correction_no), request_hash = NULL, answer = NULL
    FROM (
        SELECT kept.correction_no
        FROM ledger.purchase_return AS kept
        JOIN ledger.correction ON correction.book_id = p_book_id AND correction.correction_no = kept.correction_no
        WHERE kept.book_id = p_book_id AND kept.answer IS NOT NULL AND correction.posted_at < v_before
        ORDER BY kept.correction_no
        LIMIT p_limit
    ) AS old
    WHERE purchase_return.book_id = p_book_id AND purchase_return.correction_no = old.correction_no;
    RETURN v_seq > v_from OR v_place > v_from_place;
END
$function$;
