SELECT $day AS day, anonymous_id, user_id, order_id, event_time, event_id
FROM $events
WHERE type = 'purchase'
ORDER BY anonymous_id, user_id, event_time, event_id
