-- What a redemption holds, has spent and was given back, in points, and when it was closed. One row, or none.

CREATE OR REPLACE FUNCTION ledger.redemption_sums_v1(p_book_id integer, p_redemption bigint)
RETURNS TABLE (closed_at timestamptz, deadline timestamptz, held bigint, captured bigint, refunded bigint)
LANGUAGE sql STABLE
AS $function$
    SELECT
        redemption.closed_at, redemption.deadline,
        coalesce(sum(account.credits - account.debits) FILTER (WHERE account.kind = ledger.kind_v1('held')), 0)::bigint,
        coalesce(sum(account.credits) FILTER (WHERE account.kind = ledger.kind_v1('spent')), 0)::bigint,
        coalesce(sum(account.debits) FILTER (WHERE account.kind = ledger.kind_v1('spent')), 0)::bigint
    FROM ledger.redemption
    JOIN ledger.account
        ON account.book_id = redemption.book_id
        AND account.id >= ledger.accounts_from_v1(ledger.redemption_owner_v1(redemption.id), 'held')
        AND account.id < ledger.accounts_from_v1(ledger.redemption_owner_v1(redemption.id), 'budget')
    WHERE redemption.book_id = p_book_id AND redemption.id = p_redemption
    GROUP BY redemption.closed_at, redemption.deadline
$function$;
