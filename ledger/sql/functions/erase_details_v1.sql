-- Erases what is personal of the details of at most p_limit events, redemptions, steps, corrections, returns and notices of offers of customers who are erased. The hash of it
-- stays where there is one (see ledger/details.py), and so does all that is not personal.
-- Returns how many were erased; 0: none are left. Locks the book's head: only who has it writes to these rows.

CREATE OR REPLACE FUNCTION ledger.erase_details_v1(
    p_brand_id   integer,
    p_book_id    integer,
    p_now        timestamptz,
    p_customers  bigint[],
    p_limit      integer
) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    v_head    ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_erased  bigint[];
    v_count   integer;
    v_total   integer := 0;
BEGIN
    SELECT array_agg(state.customer) INTO v_erased
    FROM ledger.customer_state AS state
    WHERE state.book_id = p_book_id AND state.customer = ANY (p_customers) AND state.erased;

    UPDATE ledger.event
    SET message_id = NULL, qualifier = NULL, metadata = NULL, terms = NULL, salt = NULL,
        personal_hash = ledger.personal_hash_v1(
            event.salt, ARRAY[event.message_id, coalesce(event.qualifier, ''), event.metadata])
    FROM (
        SELECT known.campaign_no, known.key
        FROM unnest(v_erased) AS erased (customer)
        CROSS JOIN LATERAL (
            SELECT transfer.campaign_no, transfer.event_key AS key
            FROM ledger.transfer
            WHERE transfer.book_id = p_book_id AND transfer.customer = erased.customer
                AND transfer.verb IN (ledger.verb_v1('grant'), ledger.verb_v1('hold_back'))
            UNION ALL
            SELECT decided.campaign_no, decided.key
            FROM ledger.event AS decided
            WHERE decided.book_id = p_book_id AND decided.customer = erased.customer AND decided.place IS NOT NULL
        ) AS told
        CROSS JOIN LATERAL (
            SELECT kept.campaign_no, kept.key
            FROM ledger.event AS kept
            WHERE kept.book_id = p_book_id AND kept.campaign_no = told.campaign_no AND kept.key = told.key
                AND kept.salt IS NOT NULL
            LIMIT 1
        ) AS known
        LIMIT p_limit
    ) AS told
    WHERE event.book_id = p_book_id AND event.campaign_no = told.campaign_no AND event.key = told.key;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_total := v_total + v_count;

    UPDATE ledger.redemption_step AS step
    SET ref = NULL, salt = NULL, personal_hash = ledger.personal_hash_v1(step.salt, ARRAY[step.ref])
    FROM (
        SELECT kept.seq
        FROM unnest(v_erased) AS erased (customer)
        JOIN ledger.redemption ON redemption.book_id = p_book_id AND redemption.customer = erased.customer
        JOIN ledger.redemption_step AS kept ON kept.book_id = p_book_id AND kept.redemption = redemption.id
        WHERE kept.salt IS NOT NULL
        LIMIT p_limit
    ) AS told
    WHERE step.book_id = p_book_id AND step.seq = told.seq;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_total := v_total + v_count;

    UPDATE ledger.correction
    SET reference = NULL, note = NULL, salt = NULL,
        personal_hash = ledger.personal_hash_v1(correction.salt, ARRAY[correction.reference, correction.note])
    FROM (
        SELECT kept.correction_no
        FROM unnest(v_erased) AS erased (customer)
        JOIN ledger.correction AS kept ON kept.book_id = p_book_id AND kept.customer = erased.customer
        WHERE kept.salt IS NOT NULL
        LIMIT p_limit
    ) AS told
    WHERE correction.book_id = p_book_id AND correction.correction_no = told.correction_no;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_total := v_total + v_count;

    UPDATE ledger.offer_notice AS notice
    SET offer_group = NULL, message_id = NULL
    FROM (
        SELECT kept.campaign_no, kept.key
        FROM unnest(v_erased) AS erased (customer)
        JOIN ledger.offer_notice AS kept ON kept.book_id = p_book_id AND kept.customer = erased.customer
        WHERE kept.offer_group IS NOT NULL
        LIMIT p_limit
    ) AS told
    WHERE notice.book_id = p_book_id AND notice.campaign_no = told.campaign_no AND notice.key = told.key;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_total := v_total + v_count;

    UPDATE ledger.purchase_return
    SET return_key = int8send(purchase_return.correction_no), request_hash = NULL, answer = NULL
    FROM (
        SELECT kept.correction_no
        FROM unnest(v_erased) AS erased (customer)
        JOIN ledger.correction ON correction.book_id = p_book_id AND correction.customer = erased.customer
        JOIN ledger.purchase_return AS kept
            ON kept.book_id = p_book_id AND kept.correction_no = correction.correction_no
        WHERE kept.answer IS NOT NULL
        LIMIT p_limit
    ) AS told
    WHERE purchase_return.book_id = p_book_id AND purchase_return.correction_no = told.correction_no;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_total := v_total + v_count;

    UPDATE ledger.redemption
    SET order_ref = NULL, salt = NULL, personal_hash = ledger.personal_hash_v1(redemption.salt, ARRAY[redemption.order_ref])
    FROM (
        SELECT kept.id
        FROM unnest(v_erased) AS erased (customer)
        JOIN ledger.redemption AS kept ON kept.book_id = p_book_id AND kept.customer = erased.customer
        WHERE kept.salt IS NOT NULL
        LIMIT p_limit
    ) AS told
    WHERE redemption.book_id = p_book_id AND redemption.id = told.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_total + v_count;
END
$function$;
