-- Sets points aside for a purchase: lots, soonest to expire first, to the redemption's own accounts.
-- Returns the new redemption's id, or NULL when the wallet has too little. The head is locked and what is due is posted.
-- With p_capture the points are spent in the same transaction. p_points -1 is all there is, at most 10^9.
-- The value kept is p_value, or what the points are worth, rounded down. The details' hash is over it, as over the rest:
-- p_before, the value in digits (or null), p_after.

CREATE OR REPLACE FUNCTION ledger.authorize_v1(
    p_head         ledger.head,
    p_customer     bigint,
    p_points       bigint,
    p_capture      boolean,
    p_hold_s       integer,
    p_order_ref    text,
    p_value        bigint,  -- NULL: what the points are worth
    p_worth        bigint[],  -- so many points are so many minor units; NULLs: nobody has said
    p_store_id     text,
    p_terminal_id  text,
    p_salt         bytea,
    p_before       bytea,
    p_after        bytea
) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_owner     CONSTANT bytea := ledger.account_owner_v1(1, p_customer);
    v_deadline  CONSTANT timestamptz := p_head.posted_at + make_interval(secs => p_hold_s);
    v_holder    bytea;
    v_wanted    CONSTANT bigint := CASE WHEN p_points = -1 THEN 1000000000 ELSE p_points END;
    v_missing   bigint := v_wanted;
    v_taken     bigint;
    v_lot       record;
    v_verbs     smallint[] := '{}';
    v_debits    bytea[] := '{}';
    v_credits   bytea[] := '{}';
    v_amounts   bigint[] := '{}';
    v_held      bytea[];
    v_legs      integer;
    v_id        bigint;
    v_value     bigint;
BEGIN
    SELECT head.seq + 1 INTO v_id FROM ledger.head WHERE head.book_id = p_head.book_id;
    v_holder := ledger.account_owner_v1(3, v_id);

    -- What is due was posted, so every lot with a balance is alive.
    FOR v_lot IN
        SELECT lot.id, lot.credits - lot.debits AS points
        FROM ledger.account AS lot
        WHERE lot.book_id = p_head.book_id
            AND lot.id >= v_owner || '\x10'::bytea
            AND lot.id < v_owner || '\x20'::bytea
            AND lot.credits > lot.debits
        ORDER BY lot.expires_on, lot.id
    LOOP
        v_taken := least(v_lot.points, v_missing);
        v_verbs := v_verbs || 6::smallint;
        v_debits := v_debits || v_lot.id;
        v_credits := v_credits || (v_holder || set_byte(
            substring(v_lot.id FROM 12), 0, (3 << 4) | (get_byte(v_lot.id, 11) & 15)));
        v_amounts := v_amounts || v_taken;
        v_missing := v_missing - v_taken;
        EXIT WHEN v_missing = 0;
    END LOOP;
    IF v_missing > 0 AND (p_points <> -1 OR v_missing = v_wanted) THEN
        RETURN NULL;
    END IF;
    v_value := coalesce(p_value, (v_wanted - v_missing) * p_worth[2] / p_worth[1]);

    IF p_capture THEN
        v_legs := cardinality(v_amounts);
        v_held := v_credits;
        FOR v_leg IN 1 .. v_legs LOOP
            v_verbs := v_verbs || 7::smallint;
            v_debits := v_debits || v_held[v_leg];
            v_credits := v_credits || set_byte(v_held[v_leg], 11, (4 << 4) | (get_byte(v_held[v_leg], 11) & 15));
            v_amounts := v_amounts || v_amounts[v_leg];
        END LOOP;
    END IF;

    INSERT INTO ledger.redemption (
        book_id, id, customer, deadline, closed_at, order_ref, value, store_id, terminal_id, salt
    )
    VALUES (
        p_head.book_id, v_id, p_customer, v_deadline, CASE WHEN p_capture THEN p_head.posted_at END, p_order_ref, v_value,
        p_store_id, p_terminal_id, p_salt
    );
    RETURN ledger.write_transfers_v1(
        p_head, p_head.posted_at, p_customer, NULL, v_deadline,
        sha256(p_before || convert_to(coalesce(v_value::text, 'null'), 'UTF8') || p_after), NULL,
        v_verbs, v_debits, v_credits, v_amounts);
END
$function$;
