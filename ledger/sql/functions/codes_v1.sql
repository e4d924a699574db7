-- The numbers that transfers, events and answers hold, by the name that each has in ledger/types.py; a test compares. Expressions
-- only: a call with a constant name is a constant once its statement is planned. An unknown name is NULL; a test reads all
-- functions for those. The numbers that account ids hold are in account_parts_v1.sql.

CREATE OR REPLACE FUNCTION ledger.verb_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'fund' THEN 1
    WHEN 'grant' THEN 2
    WHEN 'hold_back' THEN 3
    WHEN 'mature' THEN 4
    WHEN 'reject' THEN 5
    WHEN 'authorize' THEN 6
    WHEN 'capture' THEN 7
    WHEN 'void' THEN 8
    WHEN 'refund' THEN 9
    WHEN 'expire' THEN 10
    WHEN 'clawback' THEN 11
    WHEN 'adjust' THEN 12
    WHEN 'merge' THEN 13
    WHEN 'open' THEN 14
    WHEN 'split' THEN 15
    WHEN 'time_out' THEN 16
    WHEN 'forfeit' THEN 17
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.operation_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'authorize' THEN 1
    WHEN 'capture' THEN 2
    WHEN 'void' THEN 3
    WHEN 'refund' THEN 4
    WHEN 'fund' THEN 5
    WHEN 'claw_back' THEN 6
    WHEN 'adjust' THEN 7
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.grant_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'stale_customer' THEN 5
    WHEN 'proof_only' THEN 8
    WHEN 'waiting' THEN 4
    WHEN 'cap_reached' THEN 2
    WHEN 'group_cap_reached' THEN 10
    WHEN 'not_funded' THEN 9
    WHEN 'budget_exhausted' THEN 3
    WHEN 'held_back' THEN 6
    WHEN 'rejected' THEN 7
    WHEN 'offer_lapsed' THEN 11
    WHEN 'granted' THEN 1
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.offer_notice_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'lapsed' THEN 1
    WHEN 'fell_back' THEN 2
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.settle_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'not_found' THEN 1
    WHEN 'not_held_back' THEN 2
    WHEN 'settled' THEN 3
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.redemption_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'idempotency_key_reused' THEN 1
    WHEN 'not_found' THEN 2
    WHEN 'stale_customer' THEN 3
    WHEN 'occurred_out_of_range' THEN 13
    WHEN 'authorization_expired' THEN 4
    WHEN 'already_voided' THEN 5
    WHEN 'fully_captured' THEN 6
    WHEN 'capture_exceeds_authorized' THEN 7
    WHEN 'refund_exceeds_captured' THEN 8
    WHEN 'worth_nothing' THEN 11
    WHEN 'points_gone' THEN 12
    WHEN 'insufficient_balance' THEN 9
    WHEN 'done' THEN 10
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.fund_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'idempotency_key_reused' THEN 1
    WHEN 'issue_limit_reached' THEN 2
    WHEN 'funded' THEN 3
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.claw_back_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'idempotency_key_reused' THEN 1
    WHEN 'not_found' THEN 2
    WHEN 'not_granted' THEN 3
    WHEN 'changed' THEN 4
    WHEN 'held_back_whole' THEN 5
    WHEN 'more_than_is_left' THEN 6
    WHEN 'rejected' THEN 7
    WHEN 'clawed_back' THEN 8
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.return_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'return_exists' THEN 1
    WHEN 'not_found' THEN 2
    WHEN 'changed' THEN 3
    WHEN 'not_granted' THEN 4
    WHEN 'more_than_was_bought' THEN 5
    WHEN 'held_back_whole' THEN 6
    WHEN 'rejected' THEN 7
    WHEN 'returned' THEN 8
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.adjust_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'idempotency_key_reused' THEN 1
    WHEN 'customer_erased' THEN 2
    WHEN 'budget_exhausted' THEN 3
    WHEN 'insufficient_balance' THEN 4
    WHEN 'adjusted' THEN 5
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.merge_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'stale_customer' THEN 1
    WHEN 'too_many' THEN 2
    WHEN 'merged' THEN 3
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.split_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'not_part' THEN 1
    WHEN 'split' THEN 2
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.erase_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'points_held' THEN 1
    WHEN 'erased' THEN 2
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.clock_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'live_book' THEN 1
    WHEN 'not_forward' THEN 2
    WHEN 'too_far' THEN 3
    WHEN 'advanced' THEN 4
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.instant_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'in_future' THEN 1
    WHEN 'before_book' THEN 2
    WHEN 'known' THEN 3
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.close_outcome_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'closed_before' THEN 1
    WHEN 'not_over' THEN 2
    WHEN 'out_of_order' THEN 3
    WHEN 'before_book' THEN 4
    WHEN 'closed' THEN 5
END)::smallint;

CREATE OR REPLACE FUNCTION ledger.close_state_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'storing' THEN 1
    WHEN 'closed' THEN 2
    WHEN 'settled' THEN 3
END)::smallint;

-- What became of a redemption after its hold timed out: see ledger.redemption.since_time_out.
CREATE OR REPLACE FUNCTION ledger.since_time_out_v1(p_name text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE p_name
    WHEN 'captured' THEN 1
    WHEN 'captured_for_good' THEN 2
    WHEN 'voided' THEN 3
END)::smallint;
