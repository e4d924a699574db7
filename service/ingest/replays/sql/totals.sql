-- What the dry run $1 found.
SELECT
    count(*) FILTER (WHERE line.index IS NOT NULL AND (line.change <> 'no_longer' OR line.now_outcome IS NOT NULL)) AS events,
    count(*) FILTER (WHERE line.change = 'same') AS same,
    count(*) FILTER (WHERE line.change = 'new') AS new,
    count(*) FILTER (WHERE line.change = 'changed') AS changed,
    count(*) FILTER (WHERE line.change = 'rekeyed') AS rekeyed,
    count(*) FILTER (WHERE line.change = 'no_longer') AS no_longer,
    coalesce(sum(line.now_points) FILTER (WHERE line.change = 'new'), 0)::bigint AS new_points,
    coalesce(sum(line.left_points) FILTER (WHERE line.takes), 0)::bigint AS taken_points,
    coalesce(sum(line.now_points) FILTER (WHERE line.change = 'rekeyed'), 0)::bigint AS given_points
FROM rewards.replayed_event AS line
WHERE line.replay_no = $1
