SELECT
    count(DISTINCT customer_id) AS customers,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT event_id) FILTER (WHERE type = 'purchase') AS orders,
    count(*) FILTER (WHERE type = 'refund') AS returned_lines,
    count(*) FILTER (WHERE type = 'refund' AND event_order_id IS NOT NULL) AS linked_lines
FROM line_events
JOIN usable_lines USING (file_no, row_no)
JOIN order_events USING (event_id)
WHERE order_events.day BETWEEN '$first_day' AND '$last_day'
