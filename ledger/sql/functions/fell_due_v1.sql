-- Of a piece of a book's log, p_after < seq <= p_until, what was posted later than an instant and fell due by then: lots whose last
-- day is before p_day, and, with their deadlines up to p_at, holds that timed out, what was taken back of them at once, and held-back
-- points that were rejected for it.
-- p_cut is the last transfer posted up to the instant; nothing of before it is returned. Without p_day lots are left out.
-- Returns a row for each transfer, in order, p_limit at most. Locks nothing.

CREATE OR REPLACE FUNCTION ledger.fell_due_v1(
    p_book_id  integer,
    p_cut      bigint,
    p_at       timestamptz,
    p_day      date,
    p_after    bigint,
    p_until    bigint,
    p_limit    integer DEFAULT NULL  -- NULL: all
) RETURNS TABLE (
    seq bigint, verb smallint, debit bytea, credit bytea, amount bigint, campaign_no integer, event_key bytea
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT
        transfer.seq, transfer.verb, transfer.debit, transfer.credit, transfer.amount::bigint, transfer.campaign_no,
        transfer.event_key
    FROM ledger.transfer
    WHERE transfer.book_id = p_book_id AND transfer.seq > greatest(p_after, p_cut) AND transfer.seq <= p_until
        AND CASE
            WHEN transfer.verb = ledger.verb_v1('expire')
                THEN coalesce(transfer.due_on, ledger.account_expires_on_v1(transfer.debit)) < p_day
            WHEN transfer.due_on IS NULL THEN false
            WHEN transfer.verb = ledger.verb_v1('reject') THEN (
                SELECT event.due_at <= p_at AND event.seq <= p_cut
                FROM ledger.event
                WHERE event.book_id = p_book_id AND event.campaign_no = transfer.campaign_no
                    AND event.key = transfer.event_key
            )
            -- What a time-out gave back occurred at its deadline.
            WHEN transfer.verb = ledger.verb_v1('clawback') THEN transfer.occurred_at <= p_at
            -- A time-out: before it had a verb of its own it was a void.
            ELSE (
                SELECT redemption.deadline <= p_at
                FROM ledger.redemption
                WHERE redemption.book_id = p_book_id
                    AND redemption.id BETWEEN ledger.account_number_v1(transfer.debit) AND ledger.account_number_v1(transfer.debit)
                ORDER BY redemption.id  -- see redeem_v2
                LIMIT 1
            )
        END
    ORDER BY transfer.seq
    LIMIT p_limit;
END
$function$;
