-- Each usable line, once where duplicates are merged, without what only its item needs.
CREATE OR REPLACE TEMP TABLE usable_lines AS
SELECT
    file_no, row_no, order_id, customer_id, event_time, item_id, quantity, price_micros,
    is_refund, original_order_id
FROM $lines
WHERE dropped IS NULL
QUALIFY $keeps_duplicates
    OR row_number() OVER (PARTITION BY content ORDER BY file_no, row_no) = 1
