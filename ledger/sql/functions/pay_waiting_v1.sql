-- Decides an event that waits, now that a person is proved: by its own terms, those of the report that began to wait.
-- Returns its outcome (see GrantOutcome), or NULL if it does not wait, or goes on waiting: its campaign was never given any points, so
-- nothing can be decided yet. Its points last, or are held back, as long as if they were earned now (see last_day_v1). The head is
-- locked by the caller; p_customer has the points of the event's customer now.
--
-- The terms are JSON: points, class, expires_on, unlimited, held, occurred_at (microseconds since 2000-01-01), hash (of the details, hex,
-- by the grade of the proof; of version 1, one for all grades), and caps, each [number, period or null for the last day, most grants or
-- null, most points or null, shared by all, and, if a group of customers shares it, its number].

CREATE OR REPLACE FUNCTION ledger.pay_waiting_v1(
    p_head         ledger.head,
    p_campaign_no  integer,
    p_key          bytea,
    p_customer     bigint,
    p_grade        "char"
) RETURNS smallint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    c_granted           CONSTANT smallint := 1;
    c_budget_exhausted  CONSTANT smallint := 3;
    c_held_back         CONSTANT smallint := 6;
    c_waiting           CONSTANT smallint := 4;
    c_verb_grant        CONSTANT smallint := 2;
    c_verb_hold_back    CONSTANT smallint := 3;
    v_event    ledger.event;
    v_terms    jsonb;
    v_points   bigint;
    v_class    integer;
    v_budget   bytea;
    v_credit   bytea;
    v_refusal  smallint;
    v_outcome  smallint;
    v_due_at   timestamptz;
    v_seq      bigint;
    v_place    bigint;
BEGIN
    SELECT event.* INTO v_event
    FROM ledger.event
    WHERE event.book_id = p_head.book_id AND event.campaign_no = p_campaign_no AND event.key = p_key
        AND event.outcome = c_waiting;
    IF v_event.terms IS NULL THEN
        RETURN NULL;
    END IF;
    v_terms := v_event.terms::jsonb;
    v_points := v_terms ->> 'points';
    v_class := v_terms ->> 'class';
    v_budget := ledger.account_id_v2(
        ledger.campaign_owner_v1(p_campaign_no), CASE WHEN (v_terms ->> 'unlimited')::boolean THEN 'unlimited_budget' ELSE 'budget' END,
        0, 'infinity');

    IF NOT (v_terms ->> 'unlimited')::boolean AND NOT EXISTS (
        SELECT
        FROM ledger.account
        WHERE account.book_id = p_head.book_id AND account.id = v_budget AND account.credits > 0
    ) THEN
        RETURN NULL;
    END IF;

    v_refusal := ledger.cap_refusal_v1(p_head, p_campaign_no, p_customer, v_event.window_at, v_points, v_terms -> 'caps');
    v_outcome := CASE
        WHEN v_refusal IS NOT NULL THEN v_refusal
        WHEN NOT (v_terms ->> 'unlimited')::boolean AND v_points > coalesce((
            SELECT account.credits - account.debits
            FROM ledger.account WHERE account.book_id = p_head.book_id AND account.id = v_budget
        ), 0) THEN c_budget_exhausted
        WHEN (v_terms ->> 'held')::boolean THEN c_held_back
        ELSE c_granted
    END;

    IF v_outcome = c_held_back THEN
        v_due_at := p_head.posted_at + (v_event.due_at - v_event.decided_at);
    END IF;

    IF v_outcome IN (c_granted, c_held_back) THEN
        v_credit := ledger.account_id_v2(
            ledger.customer_owner_v1(p_customer), CASE v_outcome WHEN c_held_back THEN 'pending' ELSE 'lot' END, v_class,
            CASE v_outcome WHEN c_held_back THEN 'infinity' ELSE ledger.last_day_v1(
                coalesce((v_terms ->> 'expires_on')::date, 'infinity'), (v_event.window_at AT TIME ZONE p_head.time_zone)::date,
                (p_head.posted_at AT TIME ZONE p_head.time_zone)::date
            ) END);
        v_seq := ledger.write_transfers_v1(
            p_head, timestamptz '2000-01-01 00:00:00+00' + (v_terms ->> 'occurred_at')::bigint * interval '1 microsecond',
            p_customer, p_campaign_no, v_due_at, decode(coalesce(v_terms -> 'hash' ->> p_grade::text, v_terms ->> 'hash'), 'hex'), NULL,
            ARRAY[CASE v_outcome WHEN c_held_back THEN c_verb_hold_back ELSE c_verb_grant END],
            ARRAY[v_budget], ARRAY[v_credit], ARRAY[v_points], p_key);
        PERFORM ledger.charge_caps_v1(
            p_head, p_campaign_no, p_customer, v_event.window_at, v_points, v_terms -> 'caps');
        IF v_outcome = c_held_back THEN
            INSERT INTO ledger.pending (book_id, customer, key, campaign_no, amount, due_at, charges)
            VALUES (p_head.book_id, p_customer, p_key, p_campaign_no, v_points, v_due_at, v_event.terms);
            PERFORM ledger.refresh_customer_state_v1(p_head.book_id, p_customer);
        END IF;
    ELSE
        UPDATE ledger.head SET places = head.places + 1, posted_at = p_head.posted_at
        WHERE head.book_id = p_head.book_id
        RETURNING head.seq, head.places INTO v_seq, v_place;
    END IF;

    UPDATE ledger.event
    SET customer = p_customer, outcome = v_outcome, seq = v_seq,
        points = CASE WHEN v_outcome IN (c_granted, c_held_back) THEN v_points ELSE 0 END,
        due_at = coalesce(v_due_at, event.due_at),
        decided_at = CASE WHEN v_place IS NOT NULL THEN p_head.posted_at END, grade = p_grade, terms = NULL, place = v_place
    WHERE event.book_id = p_head.book_id AND event.campaign_no = p_campaign_no AND event.key = p_key;
    RETURN v_outcome;
END
$function$;
