-- Whether anything could have moved points that a caller has read the whereabouts of since p_seen: a transfer of one of those who may
-- move them, or a redemption that has become somebody else's. What is due on those who have some is posted first, which is such a
-- transfer. The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.moved_since_v1(
    p_head      ledger.head,
    p_customer  bigint,    -- whose event it is
    p_seen      bigint,
    p_members   bigint[],
    p_lots      bytea[],   -- that have some of the points
    p_accounts  bytea[]    -- of redemptions that have some of them
) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_owners  bigint[];
    v_owner   bigint;
BEGIN
    SELECT array_agg(DISTINCT owned.customer) INTO v_owners
    FROM (
        SELECT ledger.survivor_v1(p_head.book_id, p_customer) AS customer
        UNION ALL
        SELECT ledger.account_number_v1(lot) FROM unnest(p_lots) AS lot
        UNION ALL
        SELECT redemption.customer
        FROM (SELECT DISTINCT ledger.account_number_v1(account) AS id FROM unnest(p_accounts) AS account) AS begun
        CROSS JOIN LATERAL (
            SELECT redemption.customer
            FROM ledger.redemption
            WHERE redemption.book_id = p_head.book_id AND redemption.id BETWEEN begun.id AND begun.id  -- see redeem_v2
            ORDER BY redemption.id
            LIMIT 1
        ) AS redemption
    ) AS owned;
    FOREACH v_owner IN ARRAY v_owners LOOP
        PERFORM ledger.post_due_v1(p_head, v_owner);
    END LOOP;
    RETURN NOT v_owners <@ p_members OR EXISTS (
        SELECT
        FROM unnest(p_members) AS member (customer)
        CROSS JOIN LATERAL (
            SELECT transfer.seq
            FROM ledger.transfer
            WHERE transfer.book_id = p_head.book_id AND transfer.customer = member.customer
            ORDER BY transfer.customer DESC, transfer.seq DESC
            LIMIT 1
        ) AS newest
        WHERE newest.seq > p_seen
    );
END
$function$;
