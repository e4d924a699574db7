-- How post_grants_v1 would decide on each of many items now, in order, each as if it were the only one. No row at all if the
-- book is not the brand's. All are of the book's last transfer and one instant. Writes nothing, locks nothing.
--
-- In    items as a JSON array of objects: campaign, customer, generation (the customer's, as the caller knows it), keys (of the event,
--       each [hex, 0], the customer's own first, then those under numbers merged into them; or [hex, number] of a customer they were
--       merged with for a time), at (when it counts, microseconds since 2000-01-01), waits, again, proofs (keys, hex, where a waiting
--       item looks for proof), needs (the weakest grade that will do); and of its terms points, unlimited, held and caps, as
--       pay_waiting_v1 has them.
-- Out   outcome (see GrantOutcome), points of the event, whether it was decided before; what each cap has counted, as JSON: grants,
--       points, and whether that is known; what the budget has left, NULL if it is unlimited; what the customer can spend; the
--       head's seq.

CREATE OR REPLACE FUNCTION ledger.quote_grants_v1(p_book_id integer, p_brand_id integer, p_items text)
RETURNS TABLE (
    outcome smallint, points bigint, replayed boolean, counted text, budget_left bigint, balance bigint, seq bigint
)
LANGUAGE plpgsql STABLE
-- Every look-up below is a probe of an index, whatever the statistics of a young table say.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
    c_granted           CONSTANT smallint := 1;
    c_cap_reached       CONSTANT smallint := 2;
    c_budget_exhausted  CONSTANT smallint := 3;
    c_waiting           CONSTANT smallint := 4;
    c_stale_customer    CONSTANT smallint := 5;
    c_held_back         CONSTANT smallint := 6;
    c_proof_only        CONSTANT smallint := 8;
    c_not_funded        CONSTANT smallint := 9;
    c_group_cap_reached CONSTANT smallint := 10;
BEGIN
    RETURN QUERY
    SELECT
        decided.outcome,
        CASE
            WHEN decided.outcome IN (c_stale_customer, c_proof_only, c_not_funded) THEN 0
            WHEN step.is_final THEN known.points
            WHEN decided.outcome IN (c_granted, c_held_back) THEN due.points
            ELSE 0
        END,
        -- An event that is decided again and refused as before is a replay.
        decided.outcome NOT IN (c_stale_customer, c_proof_only, c_not_funded)
            AND (
                step.is_decided
                OR coalesce(
                    known.outcome IN (c_cap_reached, c_budget_exhausted, c_group_cap_reached) AND known.outcome = decided.outcome,
                    false)
            ),
        shown.counted::text,
        budget.points_left,
        spendable.points,
        head.seq
    FROM ledger.head
    CROSS JOIN LATERAL (SELECT greatest(head.posted_at, clock_timestamp() + head.clock_offset) AS at OFFSET 0) AS clock
    CROSS JOIN LATERAL jsonb_array_elements(p_items::jsonb) WITH ORDINALITY AS listed (item, place)
    CROSS JOIN LATERAL (
        SELECT
            (listed.item ->> 'campaign')::integer AS campaign_no, (listed.item ->> 'customer')::bigint AS customer,
            (listed.item ->> 'at')::bigint AS at, (listed.item ->> 'points')::bigint AS points,
            (listed.item ->> 'waits')::boolean AS waits, (listed.item ->> 'again')::boolean AS again
        OFFSET 0
    ) AS item
    LEFT JOIN LATERAL (
        SELECT state.frozen, state.generation, state.hold_until
        FROM ledger.customer_state AS state
        WHERE state.book_id = head.book_id AND state.customer = item.customer
        LIMIT 1
    ) AS state ON true
    -- What is decided already: under several ids as post_grants_v1 has it.
    LEFT JOIN LATERAL (
        SELECT event.outcome, event.points, event.window_at, event.terms::jsonb AS terms
        FROM jsonb_array_elements(listed.item -> 'keys') WITH ORDINALITY AS asked (key, place)
        CROSS JOIN LATERAL (
            SELECT event.outcome, event.points, event.seq, event.place, event.window_at, event.terms
            FROM ledger.event
            WHERE event.book_id = head.book_id AND event.campaign_no = item.campaign_no
                AND event.key = decode(asked.key ->> 0, 'hex')
            LIMIT 1
        ) AS event
        WHERE (asked.key ->> 1)::bigint = 0
            OR (event.outcome <> c_waiting
                AND ledger.were_one_v1(head.book_id, item.customer, (asked.key ->> 1)::bigint, event.seq, event.place))
        ORDER BY
            CASE WHEN event.outcome IN (c_granted, c_held_back) THEN 1 WHEN event.outcome <> c_waiting THEN 2 ELSE 3 END,
            asked.place > 1, event.seq, event.place NULLS FIRST
        LIMIT 1
    ) AS known ON true
    CROSS JOIN LATERAL (
        SELECT
            known.outcome IS NOT NULL AND (known.outcome <> c_waiting OR item.waits)
                AND NOT (
                    item.again AND NOT item.waits AND known.outcome IN (c_cap_reached, c_budget_exhausted, c_group_cap_reached)
                ) AS is_decided,
            item.waits AND (known.outcome IS NULL OR (known.outcome = c_waiting AND known.terms IS NOT NULL)) AND EXISTS (
                SELECT
                FROM jsonb_array_elements_text(listed.item -> 'proofs') AS left_under (key)
                CROSS JOIN LATERAL (
                    SELECT proof.grade
                    FROM ledger.proof
                    WHERE proof.book_id = head.book_id AND proof.campaign_no = item.campaign_no
                        AND proof.key = decode(left_under.key, 'hex')
                    LIMIT 1
                ) AS proof
                WHERE proof.grade <= (listed.item ->> 'needs')::"char"
            ) AS is_proved
        OFFSET 0
    ) AS found
    -- What waits already and is proved is paid by its own terms.
    CROSS JOIN LATERAL (
        SELECT
            found.is_decided, found.is_proved, found.is_decided AND NOT found.is_proved AS is_final,
            found.is_decided AND found.is_proved AS has_own_terms
        OFFSET 0
    ) AS step
    CROSS JOIN LATERAL (
        SELECT
            (terms.json ->> 'points')::bigint AS points, (terms.json ->> 'unlimited')::boolean AS unlimited,
            (terms.json ->> 'held')::boolean AS held, terms.json -> 'caps' AS caps
        FROM (SELECT CASE WHEN step.has_own_terms THEN known.terms ELSE listed.item END AS json) AS terms
        OFFSET 0
    ) AS due
    CROSS JOIN LATERAL (
        SELECT
            coalesce(json_agg(json_build_array(counts.grants, counts.points, counts.is_known) ORDER BY counts.place), '[]') AS counted,
            coalesce(bool_or(counts.passes AND listed.item -> 'caps' -> (counts.place::integer - 1) ->> 5 IS NULL), false) AS passes,
            coalesce(bool_or(counts.passes), false) AS passes_any
        FROM ledger.cap_counts_v1(
            head.book_id, item.campaign_no, item.customer, item.at, clock.at, item.points, listed.item -> 'caps'
        ) AS counts
    ) AS shown
    LEFT JOIN LATERAL (
        SELECT account.credits, account.credits - account.debits AS points_left
        FROM ledger.account
        WHERE account.book_id = head.book_id
            AND account.id = ledger.account_id_v2(ledger.campaign_owner_v1(item.campaign_no), 'budget', 0, 'infinity')
        LIMIT 1
    ) AS funds ON true
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN due.unlimited THEN NULL ELSE coalesce(funds.points_left, 0) END AS points_left,
            due.unlimited OR coalesce(funds.credits > 0, false) AS was_given
        OFFSET 0
    ) AS budget
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN step.has_own_terms THEN (
                SELECT CASE
                    WHEN bool_or(due.caps -> (counts.place::integer - 1) ->> 5 IS NULL) THEN c_cap_reached
                    WHEN count(*) > 0 THEN c_group_cap_reached
                END
                FROM ledger.cap_counts_v1(
                    head.book_id, item.campaign_no, item.customer,
                    ledger.microseconds_v1(known.window_at), clock.at, due.points, due.caps
                ) AS counts
                WHERE counts.passes
            )
            WHEN shown.passes THEN c_cap_reached
            WHEN shown.passes_any THEN c_group_cap_reached
        END AS outcome
        OFFSET 0
    ) AS refusal
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN coalesce(state.frozen, false)
                OR coalesce(state.generation, 0) <> (listed.item ->> 'generation')::bigint THEN c_stale_customer
            WHEN item.points = 0 THEN c_proof_only
            WHEN step.is_final THEN known.outcome
            WHEN item.waits AND NOT (step.is_proved AND budget.was_given) THEN c_waiting
            WHEN refusal.outcome IS NOT NULL THEN refusal.outcome
            WHEN NOT budget.was_given AND coalesce(known.outcome NOT IN (c_cap_reached, c_budget_exhausted, c_group_cap_reached), true)
                THEN c_not_funded
            WHEN budget.points_left < due.points THEN c_budget_exhausted
            WHEN due.held THEN c_held_back
            ELSE c_granted
        END AS outcome
        OFFSET 0
    ) AS decided
    CROSS JOIN LATERAL ledger.spendable_v1(
        head.book_id, item.customer, clock.at, (clock.at AT TIME ZONE head.time_zone)::date, head.time_zone, head.grace_days,
        state.hold_until <= clock.at
    ) AS spendable
    WHERE head.book_id = p_book_id AND head.brand_id = p_brand_id
    ORDER BY listed.place;
END
$function$;
