SELECT
    count(DISTINCT COALESCE(anonymous_id, user_id)) AS visitors,
    count(DISTINCT session_id) AS sessions,
    count(*) FILTER (WHERE type = 'purchase') AS purchase_events,
    count(DISTINCT CASE WHEN type = 'purchase' THEN session_id END) AS purchase_sessions
FROM $rows
