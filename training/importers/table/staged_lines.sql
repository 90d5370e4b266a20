-- Lines with their events, each in the part of its event's day, and with their place in the event,
-- dearest first; charges are numbered by themselves.
SELECT
    lines.* EXCLUDE (dropped, order_id, is_refund, original_order_id, event_time),
    line_events.* EXCLUDE (file_no, row_no),
    order_events.source_seq,
    row_number() OVER (
        PARTITION BY line_events.event_id, is_charge
        ORDER BY quantity * price_micros DESC, item_id, quantity DESC, content, file_no, row_no
    ) AS place,
    order_events.day AS part
FROM $lines AS lines
JOIN line_events USING (file_no, row_no)
JOIN order_events USING (event_id)
WHERE order_events.day BETWEEN '$first_day' AND '$last_day'
