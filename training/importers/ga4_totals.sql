SELECT
    count(DISTINCT CASE WHEN dropped IS NULL THEN anonymous_id END) AS visitors,
    count(DISTINCT CASE WHEN dropped IS NULL THEN session_id END) AS sessions,
    count(*) FILTER (WHERE type = 'purchase') AS purchase_events,
    count(DISTINCT CASE WHEN type = 'purchase' THEN session_id END) AS purchase_sessions
FROM $rows
