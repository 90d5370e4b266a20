SELECT type, count(DISTINCT event_id) FROM $rows GROUP BY type
