-- Lines of which something was taken back, bought ones and returned ones, in the order in which
-- refunds.py takes them: by what must be equal, then by time.
WITH lines AS (
    SELECT
        file_no, row_no, order_id, customer_id, event_time, item_id, quantity, price_micros,
        is_refund, known_order_id
    FROM usable_lines
    UNION ALL
    SELECT
        -1, 0, order_id, customer_id, event_time, item.item_id, item.quantity, item.price_micros,
        is_refund, CASE WHEN is_refund THEN COALESCE(order_id, '') END
    FROM earlier_orders
    WHERE item.price_micros IS NOT NULL AND item.quantity IS NOT NULL
)

SELECT
    customer_id, item_id, price_micros, is_refund, order_id, quantity, known_order_id,
    file_no, row_no
FROM lines
WHERE customer_id IS NOT NULL
    AND (customer_id, item_id, price_micros) IN (
        SELECT (customer_id, item_id, price_micros) FROM usable_lines WHERE is_refund
    )
ORDER BY
    customer_id, item_id, price_micros, event_time, is_refund, order_id, quantity, file_no, row_no
