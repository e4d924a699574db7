-- Whether a step of a redemption may have happened when a till says so: not in the future, and not before the redemption was
-- authorized; an authorization itself not more than 30 days ago. A till's clock may be five minutes off. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.may_have_occurred_v1(
    p_head         ledger.head,
    p_redemption   bigint,      -- 0: it is to be authorized
    p_occurred_at  timestamptz
) RETURNS boolean
LANGUAGE sql STABLE
AS $function$
    SELECT p_occurred_at <= p_head.posted_at + interval '5 minutes' AND p_occurred_at >= coalesce(
        (
            SELECT begun.occurred_at - interval '5 minutes'
            FROM ledger.transfer AS begun
            WHERE begun.book_id = p_head.book_id AND begun.seq = p_redemption
        ),
        p_head.posted_at - interval '30 days'
    )
$function$;
