-- Into whom a customer was merged at a place in the book, that of an event by its seq and place; the customer, if into nobody.
-- Locks nothing.

CREATE OR REPLACE FUNCTION ledger.survivor_at_v1(
    p_book_id   integer,
    p_customer  bigint,
    p_seq       bigint,
    p_place     bigint  -- NULL: what happened there moved points
) RETURNS bigint
LANGUAGE sql STABLE
AS $function$
    SELECT coalesce(min(spell.survivor), p_customer)
    FROM ledger.spell
    WHERE spell.book_id = p_book_id AND spell.customer = p_customer
        AND CASE
            WHEN p_place IS NULL THEN p_seq > spell.from_seq AND p_seq <= coalesce(spell.until_seq, p_seq)
            ELSE p_place > spell.from_place AND p_place <= coalesce(spell.until_place, p_place)
        END
$function$;
