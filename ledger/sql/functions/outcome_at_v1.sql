-- The outcome of an event at an instant of the book's clock: what was held back until then is rejected, whether or not that is posted.

CREATE OR REPLACE FUNCTION ledger.outcome_at_v1(p_outcome smallint, p_due_at timestamptz, p_at timestamptz) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $function$
    SELECT CASE
        WHEN p_outcome = ledger.grant_outcome_v1('held_back') AND p_due_at <= p_at THEN ledger.grant_outcome_v1('rejected')
        ELSE p_outcome
    END
$function$;
