SELECT $day AS day, session_id, max(source_seq) AS raw_rows
FROM $events
GROUP BY session_id
ORDER BY session_id
