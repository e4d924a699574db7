-- Whether a redemption has points that may have to be taken back when they return: see claw_back_v1.

CREATE OR REPLACE FUNCTION ledger.owes_v1(p_book_id integer, p_redemption bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT EXISTS (
        SELECT
        FROM ledger.redemption_layers_v1(
            p_book_id, ledger.accounts_from_v1(ledger.redemption_owner_v1(p_redemption), 'held'),
            ledger.accounts_from_v1(ledger.redemption_owner_v1(p_redemption), 'budget'))
    )
$function$;
