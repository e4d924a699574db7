-- Notes that offers have lapsed, or that messages which made them will not arrive, unless the offer was decided before.
--
-- In    items as a JSON array of objects, at most some hundred: kind (see offer_notice_v1), campaign, version, customer, generation
--       (the customer's, as the caller knows it), keys (hex: under which the offer may be decided, the customer's own first), notices
--       (hex: keys of the notice, in the same way), group, channel, message, and at (when it lapsed or was known, as text).
-- Out   by item, in order: what the offer was decided as (see GrantOutcome), 5 (stale_customer: nothing was done), or 0 if it is open;
--       and whether the notice was given now.
-- Locks the book's head: only who has it decides events.

CREATE OR REPLACE FUNCTION ledger.note_offers_v1(
    p_brand_id  integer,
    p_book_id   integer,
    p_now       timestamptz,
    p_items     text,
    OUT decided smallint[],
    OUT noted   boolean[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $function$
DECLARE
    c_lapsed_notice CONSTANT smallint := ledger.offer_notice_v1('lapsed');
    c_lapsed        CONSTANT smallint := ledger.grant_outcome_v1('offer_lapsed');
    c_weakest       CONSTANT "char" := 'D';
    c_no_rule       CONSTANT smallint := -1;
    -- What is decided again when the offer lapses: what waits, or was refused for a cap or the budget.
    c_open          CONSTANT smallint[] := ARRAY[
        ledger.grant_outcome_v1('waiting'), ledger.grant_outcome_v1('cap_reached'),
        ledger.grant_outcome_v1('group_cap_reached'), ledger.grant_outcome_v1('budget_exhausted')];
    v_head          ledger.head := ledger.lock_head_v1(p_brand_id, p_book_id, p_now);
    v_places        CONSTANT bigint := v_head.places;
    v_item          record;
    v_decided       smallint;
    v_noted         boolean;
BEGIN
    decided := '{}';
    noted := '{}';
    FOR v_item IN
        SELECT
            (listed.item ->> 'kind')::smallint AS kind, (listed.item ->> 'campaign')::integer AS campaign_no,
            (listed.item ->> 'version')::integer AS version, (listed.item ->> 'customer')::bigint AS customer,
            (listed.item ->> 'generation')::bigint AS generation, (listed.item ->> 'at')::timestamptz AS at,
            listed.item ->> 'group' AS offer_group, listed.item ->> 'channel' AS channel, listed.item ->> 'message' AS message_id,
            ARRAY(SELECT decode(given.key, 'hex') FROM jsonb_array_elements_text(listed.item -> 'keys') AS given (key)) AS keys,
            ARRAY(SELECT decode(given.key, 'hex') FROM jsonb_array_elements_text(listed.item -> 'notices') AS given (key)) AS notices
        FROM jsonb_array_elements(p_items::jsonb) WITH ORDINALITY AS listed (item, place)
        ORDER BY listed.place
    LOOP
        v_noted := false;
        SELECT ledger.grant_outcome_v1('stale_customer') INTO v_decided
        FROM (SELECT) AS one
        LEFT JOIN ledger.customer_state AS state ON state.book_id = p_book_id AND state.customer = v_item.customer
        WHERE coalesce(state.frozen, false) OR coalesce(state.generation, 0) <> v_item.generation;
        IF v_decided IS NULL THEN
            SELECT event.outcome INTO v_decided
            FROM unnest(v_item.keys) AS wanted (key)
            JOIN ledger.event
                ON event.book_id = p_book_id AND event.campaign_no = v_item.campaign_no AND event.key = wanted.key
            WHERE event.outcome <> ALL (c_open)
            -- Claimed before it lapsed under another name.
            ORDER BY event.outcome = c_lapsed, event.seq
            LIMIT 1;
        END IF;
        IF v_decided IS NULL AND NOT EXISTS (
            SELECT FROM unnest(v_item.notices) AS wanted (key)
            JOIN ledger.offer_notice AS given
                ON given.book_id = p_book_id AND given.campaign_no = v_item.campaign_no AND given.key = wanted.key
        ) THEN
            v_noted := true;
            v_head.places := v_head.places + 1;
            INSERT INTO ledger.offer_notice (
                book_id, place, customer, seq, noted_at, campaign_no, kind, key, channel, offer_group, message_id
            ) VALUES (
                p_book_id, v_head.places, v_item.customer, v_head.seq, v_head.posted_at, v_item.campaign_no, v_item.kind,
                v_item.notices[1], v_item.channel, v_item.offer_group, v_item.message_id
            );
            IF v_item.kind = c_lapsed_notice THEN
                -- An act that waited or was refused keeps its place and its details: that is what became of it.
                INSERT INTO ledger.event AS event (
                    book_id, campaign_no, key, customer, seq, points, window_at, decided_at, campaign_version, principal, outcome,
                    rule, grade, action, channel, source
                ) VALUES (
                    p_book_id, v_item.campaign_no, v_item.keys[1], v_item.customer, v_head.seq, 0, v_item.at, v_head.posted_at,
                    v_item.version, 0, c_lapsed, c_no_rule, c_weakest, 'lapse', coalesce(v_item.channel, ''), 'offer'
                )
                ON CONFLICT (book_id, campaign_no, key) DO UPDATE SET outcome = c_lapsed, terms = NULL;
                v_decided := c_lapsed;
            END IF;
        END IF;
        decided := decided || coalesce(v_decided, 0::smallint);
        noted := noted || v_noted;
    END LOOP;
    IF v_head.places > v_places THEN
        UPDATE ledger.head SET places = v_head.places, posted_at = v_head.posted_at WHERE head.book_id = p_book_id;
    END IF;
END
$function$;
