-- Voids a redemption whose hold has timed out: its points went back then, so nothing moves, but it cannot be captured late any more.
-- Returns whether it is void: it is not if it was captured late before. The head is locked by the caller.

CREATE OR REPLACE FUNCTION ledger.void_late_v1(p_book_id integer, p_redemption bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE
AS $function$
DECLARE
    v_voided  CONSTANT smallint := ledger.since_time_out_v1('voided');
BEGIN
    UPDATE ledger.redemption SET since_time_out = v_voided
    WHERE redemption.book_id = p_book_id AND redemption.id = p_redemption AND redemption.since_time_out IS NULL;
    RETURN FOUND OR EXISTS (
        SELECT FROM ledger.redemption
        WHERE redemption.book_id = p_book_id AND redemption.id = p_redemption AND redemption.since_time_out = v_voided
    );
END
$function$;
