-- Whether a redemption that was closed before its deadline was ended by a void, rather than by the last capture: then the log has a
-- release that is a transaction of its own, and not a part of a capture's. Locks nothing. Of one that timed out see void_late_v1.

CREATE OR REPLACE FUNCTION ledger.was_released_v1(p_book_id integer, p_redemption bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT EXISTS (
        SELECT
        FROM (
            -- The customer's, and those of whose it was before, as redemptions_v1 has them. Each by the index of customers.
            SELECT whose.customer
            FROM (
                SELECT redemption.customer
                FROM ledger.redemption
                WHERE redemption.book_id = p_book_id AND redemption.id BETWEEN p_redemption AND p_redemption  -- see redeem_v2
                ORDER BY redemption.id
                OFFSET 0
            ) AS owner
            CROSS JOIN LATERAL (
                SELECT owner.customer
                UNION ALL
                SELECT merged.customer FROM ledger.merged_into_v1(p_book_id, owner.customer) AS merged
            ) AS whose
            UNION
            SELECT unnest(ARRAY[begun.customer, spell.survivor])
            FROM ledger.transfer AS begun
            LEFT JOIN LATERAL (
                SELECT spell.survivor FROM ledger.spell
                WHERE spell.book_id = p_book_id AND spell.customer = begun.customer
                OFFSET 0
            ) AS spell ON true
            WHERE begun.book_id = p_book_id AND begun.seq = p_redemption
        ) AS member
        CROSS JOIN LATERAL (
            SELECT transfer.verb, transfer.transaction_id, transfer.seq, transfer.debit
            FROM ledger.transfer
            WHERE transfer.book_id = p_book_id AND transfer.customer = member.customer AND transfer.seq > p_redemption
            OFFSET 0
        ) AS transfer
        WHERE transfer.verb IN (ledger.verb_v1('void'), ledger.verb_v1('time_out'))
            AND coalesce(transfer.transaction_id, transfer.seq) = transfer.seq
            AND substring(transfer.debit FROM 1 FOR 11) = ledger.redemption_owner_v1(p_redemption)
    )
$function$;
