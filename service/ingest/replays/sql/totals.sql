-- What the dry run $1 found. Events that would be one act are granted it once.
WITH act AS (
    SELECT DISTINCT ON (line.act) line.change, line.now_points
    FROM rewards.replayed_event AS line
    WHERE line.replay_no = $1 AND line.change IN ('new', 'rekeyed')
    ORDER BY line.act, line.envelope_no, line.line
), granted AS (
    SELECT
        coalesce(sum(act.now_points) FILTER (WHERE act.change = 'new'), 0)::bigint AS new_points,
        coalesce(sum(act.now_points) FILTER (WHERE act.change = 'rekeyed'), 0)::bigint AS given_points
    FROM act
)
SELECT
    count(*) FILTER (WHERE line.index IS NOT NULL AND line.now_outcome IS NOT NULL) AS events,
    count(*) FILTER (WHERE line.change = 'same') AS same,
    count(*) FILTER (WHERE line.change = 'new') AS new,
    count(*) FILTER (WHERE line.change = 'changed') AS changed,
    count(*) FILTER (WHERE line.change = 'rekeyed') AS rekeyed,
    count(*) FILTER (WHERE line.change = 'no_longer') AS no_longer,
    (SELECT granted.new_points FROM granted) AS new_points,
    coalesce(sum(line.left_points) FILTER (WHERE line.takes), 0)::bigint AS taken_points,
    (SELECT granted.given_points FROM granted) AS given_points
FROM rewards.replayed_event AS line
WHERE line.replay_no = $1
