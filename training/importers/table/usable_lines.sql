-- Each usable line, once where duplicates are merged, without what only its item needs; and for
-- lines that take something back the order that they take it from, where the table itself tells.
CREATE OR REPLACE TEMP TABLE usable_lines AS
WITH lines AS (
    SELECT
        file_no, row_no, order_id, customer_id, event_time, item_id, quantity, price_micros,
        is_refund, original_order_id
    FROM $lines
    WHERE dropped IS NULL
    QUALIFY $keeps_duplicates
        OR row_number() OVER (PARTITION BY content ORDER BY file_no, row_no) = 1
),

bought AS (
    SELECT COALESCE(customer_id, '') AS customer, order_id FROM lines WHERE NOT is_refund
    UNION
    SELECT COALESCE(customer_id, ''), order_id FROM earlier_orders WHERE NOT is_refund
)

SELECT
    lines.* EXCLUDE (original_order_id),
    CASE WHEN is_refund THEN COALESCE(original_order_id, bought.order_id) END AS known_order_id
FROM lines LEFT JOIN bought
    ON bought.customer = COALESCE(lines.customer_id, '') AND bought.order_id = lines.order_id
