-- What the days before hold of orders and refunds, line by line.
CREATE OR REPLACE TEMP TABLE earlier_orders AS
SELECT
    user_id AS customer_id, order_id, session_id, source_seq, epoch_us(event_time) AS event_time,
    type = 'refund' AS is_refund, unnest(items) AS item
FROM $events
WHERE type IN ('purchase', 'refund')
