-- What is taken back of a customer's holds that have timed out by p_clock and are not released yet, once they are: see
-- collect_shortfalls_v1. One row for each layer of each of their accounts, in the order in which they will be posted: the hold, the
-- day it fell due, the lot to which the points return, the layer, and how many of its points go to which budget. Locks nothing.
--
-- A function of its own, and not planned into those that ask: nearly no customer has any.

CREATE OR REPLACE FUNCTION ledger.due_claw_backs_v1(
    p_book_id     integer,
    p_customer    bigint,
    p_clock       timestamptz,
    p_time_zone   text,
    p_grace_days  integer
) RETURNS TABLE (
    redemption bigint, day date, lot bytea, layer bigint, campaign_no integer, event_key bytea, budget bytea, points bigint
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger.shortfall
        WHERE shortfall.book_id = p_book_id AND shortfall.customer = p_customer AND shortfall.points > 0
    ) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        due.id, due.day,
        ledger.account_id_v2(
            ledger.customer_owner_v1(p_customer), 'lot', ledger.account_class_v1(due.account),
            CASE
                WHEN ledger.account_expires_on_v1(due.account) >= due.day THEN ledger.account_expires_on_v1(due.account)
                ELSE due.day + p_grace_days
            END
        ),
        due.layer, shortfall.campaign_no, shortfall.event_key, shortfall.budget,
        least(due.amount, shortfall.points - due.before)::bigint
    FROM (
        SELECT
            hold.id, hold.deadline, (hold.deadline AT TIME ZONE p_time_zone)::date AS day, piece.account, piece.layer, piece.amount,
            sum(piece.amount) OVER (PARTITION BY piece.layer ORDER BY hold.deadline, hold.id, piece.account) - piece.amount AS before
        FROM ledger.open_holds_v1(p_book_id, p_customer) AS hold
        CROSS JOIN LATERAL ledger.redemption_layers_v1(
            p_book_id, ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'held'),
            ledger.accounts_from_v1(ledger.redemption_owner_v1(hold.id), 'spent')
        ) AS piece
        WHERE hold.deadline <= p_clock
    ) AS due
    JOIN ledger.shortfall
        ON shortfall.book_id = p_book_id AND shortfall.customer = p_customer AND shortfall.layer = due.layer
        AND shortfall.points > due.before
    ORDER BY due.deadline, due.id, due.account, due.layer;
END
$function$;
