-- How far a time zone is ahead of UTC, in seconds, from when on, in order: the first row is of p_from. As this database knows zones,
-- which is how every function here says what day it is. No two changes of a zone lie within a day. Locks nothing.
--
-- Cost of a century, about: 30 ms.

CREATE OR REPLACE FUNCTION ledger.zone_offsets_v1(p_time_zone text, p_from timestamptz, p_until timestamptz)
RETURNS TABLE (since timestamptz, ahead_s integer)
LANGUAGE plpgsql STABLE
AS $function$
#variable_conflict use_column
DECLARE
    c_step    CONSTANT integer := 86400;
    v_change  record;
    v_before  integer;  -- seconds after the sample before, at which it is not changed yet
    v_after   integer;  -- at which it is
    v_middle  integer;
BEGIN
    FOR v_change IN
        SELECT step.at, step.ahead_s, step.ahead_before
        FROM (
            SELECT sample.at, sample.ahead_s, lag(sample.ahead_s) OVER (ORDER BY sample.at) AS ahead_before
            FROM (
                SELECT at, extract(epoch FROM (at AT TIME ZONE p_time_zone) - (at AT TIME ZONE 'UTC'))::integer AS ahead_s
                FROM generate_series(p_from, p_until, make_interval(secs => c_step)) AS at
            ) AS sample
        ) AS step
        WHERE step.ahead_before IS DISTINCT FROM step.ahead_s
        ORDER BY step.at
    LOOP
        v_before := -c_step;
        v_after := 0;
        WHILE v_change.ahead_before IS NOT NULL AND v_after - v_before > 1 LOOP
            v_middle := (v_before + v_after) / 2;
            IF extract(epoch FROM
                ((v_change.at + make_interval(secs => v_middle)) AT TIME ZONE p_time_zone)
                - ((v_change.at + make_interval(secs => v_middle)) AT TIME ZONE 'UTC'))::integer = v_change.ahead_before
            THEN
                v_before := v_middle;
            ELSE
                v_after := v_middle;
            END IF;
        END LOOP;
        RETURN QUERY SELECT v_change.at + make_interval(secs => v_after), v_change.ahead_s;
    END LOOP;
END
$function$;
